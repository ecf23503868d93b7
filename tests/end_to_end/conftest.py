"""Servers that all tests here share, and what each test has for itself: a database, empty queues, a pipeline."""

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aio_pika
import pytest

from common.amqp.topology import QUEUES, dead_letter_queue
from demo.pipeline import BUCKET, Pipeline, Servers
from private_servers.pgbouncer import PgBouncer
from private_servers.postgres import Postgres
from private_servers.rabbitmq import RabbitMQ
from private_servers.s3 import MotoS3, RcloneS3
from tests.end_to_end.facts import ACCOUNT, Rows, open_rows

#: The database that is migrated once and copied for every test.
TEMPLATE = "template_of_tests"

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    with RabbitMQ() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[RcloneS3]:
    with RcloneS3() as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[MotoS3]:
    with MotoS3() as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture(scope="session")
def postgres(rabbitmq: RabbitMQ, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """With a database that `ringvault migrate` has brought up to date."""
    with Postgres() as server:
        url = server.create_database(TEMPLATE)
        Pipeline(
            tmp_path_factory.mktemp("migrate"), servers=Servers(rabbitmq, server), settings={"DATABASE_URL": url}
        ).migrate()
        yield server


@pytest.fixture(scope="session")
def pgbouncer(postgres: Postgres) -> Iterator[PgBouncer]:
    with PgBouncer(postgres) as server:
        yield server


@pytest.fixture(scope="session", params=["direct", "pgbouncer"])
def servers(request: pytest.FixtureRequest, rabbitmq: RabbitMQ, postgres: Postgres) -> Servers:
    """Everything runs twice: straight on Postgres, and through a pooler in transaction mode."""
    pooler = request.getfixturevalue("pgbouncer") if request.param == "pgbouncer" else None
    return Servers(rabbitmq, postgres, pooler=pooler)


@pytest.fixture
async def pipeline(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> AsyncIterator[Pipeline]:
    """A pipeline whose services and simulator the test starts; audio goes to a folder, or with the parameter "s3" or
    "moto" to a prefix of its own on such an S3 server.
    """
    storage = getattr(request, "param", "file")
    if storage != "file":
        servers = replace(servers, s3=request.getfixturevalue(storage))
    async with isolated(servers, tmp_path) as one:
        yield one


@pytest.fixture
async def rows(pipeline: Pipeline) -> AsyncIterator[Rows]:
    async with open_rows(pipeline) as opened:
        yield opened


@asynccontextmanager
async def isolated(servers: Servers, folder: Path) -> AsyncIterator[Pipeline]:
    """A pipeline that shares no row, no message and no object with any other; its processes end with it."""
    name = f"test_{next(_numbers)}"
    servers.postgres.create_database(name, template=TEMPLATE)
    settings = {"DATABASE_URL": servers.database_url(name), "RC_ACCOUNT_ID": ACCOUNT}
    if servers.s3:
        settings["STORAGE_URL"] = f"s3://{BUCKET}/{name.replace('_', '-')}"
    await delete_queues(servers.rabbitmq.url)
    try:
        with Pipeline(folder, storage="s3" if servers.s3 else "file", servers=servers, settings=settings) as one:
            try:
                yield one
                assert_never_refused(one)
            finally:
                one.kill(*one.services)  # a polite end is what some tests are about; here it would only take long.
    finally:
        servers.postgres.drop_database(name)


async def delete_queues(url: str) -> None:
    """With all that an earlier test has left in them; whoever connects next declares them anew."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for queue in QUEUES:
            await channel.queue_delete(queue)
            await channel.queue_delete(dead_letter_queue(queue))


def assert_never_refused(pipeline: Pipeline) -> None:
    """In no story is the simulator's rate limit hit."""
    if pipeline.simulator:
        assert pipeline.ask_simulator("/simulator/counts")["refused"] == 0
