"""Real servers for the whole run, each started when the first test asks for it."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aio_pika
import httpx
import pytest
from aio_pika.abc import AbstractIncomingMessage
from aiormq.exceptions import ChannelNotFoundEntity

from common.amqp.publisher import Publisher, open_publisher
from common.amqp.topology import QUEUES, dead_letter_queue
from common.database.leases import Lease
from common.database.migrate import migrate
from common.database.pool import Pool, open_pool
from private_servers.pgbouncer import PgBouncer
from private_servers.postgres import Postgres
from private_servers.rabbitmq import RabbitMQ
from services.poller.leadership import Leadership
from simulator import Simulator
from tests.integration.download_bench import DownloadBench, download_bench
from tests.integration.receiver_process import QUEUE, Takes
from tests.integration.test_simulator_support import Receiver, listening, signed_in


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitMQ]:
    with RabbitMQ() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def pgbouncer_server(postgres_server: Postgres) -> Iterator[PgBouncer]:
    with PgBouncer(postgres_server) as server:
        yield server


@pytest.fixture
def database_url(request: pytest.FixtureRequest, postgres_server: Postgres) -> Iterator[str]:
    """An empty database of the test's own; with the parameter "pgbouncer", through a pooler in transaction mode."""
    name = f"test_{uuid.uuid4().hex}"
    url = postgres_server.create_database(name)
    if getattr(request, "param", "direct") == "pgbouncer":
        pooler: PgBouncer = request.getfixturevalue("pgbouncer_server")
        url = pooler.database_url(name)
    yield url
    postgres_server.drop_database(name)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """The pool of a migrated database of the test's own."""
    await migrate(database_url)
    async with open_pool(database_url, "test") as opened:
        yield opened


@pytest.fixture
async def leadership(pool: Pool) -> Leadership:
    """What the leading poller proves with each write."""
    lease = Lease("poller")
    fencing = await lease.hold(pool, 3600)  # longer than any test, however slow the machine is.
    assert fencing is not None
    return Leadership(lease, fencing)


@pytest.fixture
async def rabbitmq(rabbitmq_server: RabbitMQ) -> AsyncIterator[RabbitMQ]:
    """The broker, running and without our queues; whatever the test before did to it."""
    rabbitmq_server.resume()
    await asyncio.to_thread(rabbitmq_server.start)
    async with await aio_pika.connect(rabbitmq_server.url) as connection:
        channel = await connection.channel()
        for queue in QUEUES:
            for name in (queue, dead_letter_queue(queue)):
                await channel.queue_delete(name)
    yield rabbitmq_server
    rabbitmq_server.resume()


@pytest.fixture
async def publisher(rabbitmq: RabbitMQ) -> AsyncIterator[Publisher]:
    """A publisher that is connected."""
    async with open_publisher(rabbitmq.url, "test") as opened:
        await opened.wait_connected()
        yield opened


@pytest.fixture
def taken(rabbitmq: RabbitMQ) -> Takes:
    """Take all messages that are ready in a queue."""

    async def take(queue: str) -> list[AbstractIncomingMessage]:
        found = []
        async with await aio_pika.connect(rabbitmq.url) as connection:
            channel = await connection.channel()
            try:
                found_queue = await channel.get_queue(queue)
            except ChannelNotFoundEntity:  # nobody has declared it yet.
                return []
            while message := await found_queue.get(fail=False):
                await message.ack()
                found.append(message)
        return found

    return take


@pytest.fixture
def eventually() -> Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]:
    """Wait until something holds; the test's own time limit is the only one."""

    async def wait(holds: Callable[[], Awaitable[object]]) -> None:
        while not await holds():  # noqa: ASYNC110 - any fact, also one of another process
            await asyncio.sleep(0.05)

    return wait


@pytest.fixture
def until_it_waits(
    pool: Pool, eventually: Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]
) -> Callable[["asyncio.Future[Any]"], Awaitable[None]]:
    """Wait until a statement of the test's database waits for a lock; fail when the task that runs it ends instead."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    async def wait(task: "asyncio.Future[Any]") -> None:
        async def waits() -> bool:
            assert not task.done(), task.result()
            return bool(await pool.fetchval(waiting))

        await eventually(waits)

    return wait


@pytest.fixture
async def bench(request: pytest.FixtureRequest, pool: Pool, tmp_path: Path) -> AsyncIterator[DownloadBench]:
    """One download job at a time; a parameter holds options of the simulator."""
    async with download_bench(pool, tmp_path / "audio", **getattr(request, "param", {})) as opened:
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Whoever takes the simulator's events."""
    async with listening() as running:
        yield running


@pytest.fixture
async def http(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the simulator, which each module draws for itself."""
    async with signed_in(simulator) as client:
        yield client


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def arrived(taken: Takes) -> Callable[[set[int]], Awaitable[None]]:
    """Wait until these events, and no others, have come out of the queue; duplicates are allowed."""

    async def wait(numbers: set[int]) -> None:
        found: set[int] = set()
        while found != numbers:
            found |= {json.loads(message.body)["body"]["n"] for message in await taken(QUEUE)}
            assert found <= numbers
            await asyncio.sleep(0.05)

    return wait
