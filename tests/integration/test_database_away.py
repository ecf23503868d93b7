"""Whatever keeps a real Postgres from working is waited for: no message is lost, buried or counted meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import asyncpg
import pytest
from aio_pika.abc import AbstractIncomingMessage
from structlog.testing import capture_logs

from cli.on_database import sentence_of
from common.amqp.consumer import Consumption, consume
from common.amqp.publisher import Publisher
from common.clock import SystemClock
from common.database import pool as pools
from common.database.migrate import migrate
from common.database.pool import Connection, DatabaseAway, DatabaseRefuses, Pool, open_pool
from common.database.ready import wait_for_schema
from common.messages import InsightsReceived
from common.process import CannotStart
from common.telemetry.health import Health
from private_servers.postgres import Postgres
from private_servers.rabbitmq import RabbitMQ
from services.insights.handle import handle

#: Who the services are here: no superuser, as those are spared some of what may happen.
USER, PASSWORD = "services", "secret"

#: What Supavisor says to a new client, each as an internal error: it is full, or knows no such project or user.
FULL = "(EMAXCLIENTCONN) max client connections reached"
UNKNOWN = ["(ENOTFOUND) tenant/user services.project not found", "Tenant or user not found"]

Outage = AbstractAsyncContextManager[None]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A server of this module's own, because it is hurt."""
    with Postgres() as server:
        yield server


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[str]:
    """A migrated database of ours."""
    url = postgres.create_database("kept")
    await order(postgres, f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'", f"ALTER DATABASE kept OWNER TO {USER}")
    await migrate(ours(url))
    yield ours(url)
    postgres.drop_database("kept")
    await order(postgres, f"DROP ROLE {USER}")


@dataclass
class Events:
    """Events about insights, on their way through a broker to the database."""

    rabbitmq: RabbitMQ
    publisher: Publisher
    taken: Callable[[str], Awaitable[list[AbstractIncomingMessage]]]

    async def publish(self, recording_id: str) -> None:
        insights = {"domain": "pbx", "sourceRecordId": recording_id, "insights": {"Summary": [{"value": "x"}]}}
        path = "/ai/ringsense/v1/public/accounts/4711/domains/pbx/insights"
        body = {"uuid": recording_id, "event": path, "body": insights}
        event = InsightsReceived(json.dumps(body).encode(), "4711", datetime(2026, 3, 1, tzinfo=UTC))
        await self.publisher.publish(event.QUEUE, event.to_wire())

    @asynccontextmanager
    async def consuming(self, pool: Pool, health: Health) -> AsyncIterator[None]:
        stop = asyncio.Event()
        consumption = Consumption(InsightsReceived, partial(handle, pool, SystemClock()), away=(DatabaseAway,))
        task = asyncio.create_task(consume(self.rabbitmq.url, "test", consumption, self.publisher, health, stop))
        try:
            yield
        finally:
            stop.set()
            await task


@pytest.fixture
def events(
    rabbitmq: RabbitMQ, publisher: Publisher, taken: Callable[[str], Awaitable[list[AbstractIncomingMessage]]]
) -> Events:
    return Events(rabbitmq, publisher, taken)


def ours(url: str) -> str:
    return f"postgresql://{USER}:{PASSWORD}@{url.split('@')[1]}"


async def order(postgres: Postgres, *statements: str, database: str = "postgres") -> None:
    connection = await asyncpg.connect(postgres.database_url(database))
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'services'"
RELOAD = "SELECT pg_reload_conf()"


@asynccontextmanager
async def killed(postgres: Postgres) -> AsyncIterator[None]:
    await asyncio.to_thread(postgres.kill)
    yield
    await asyncio.to_thread(postgres.start)


@asynccontextmanager
async def ordered(
    postgres: Postgres, begin: list[str], end: list[str], database: str = "postgres"
) -> AsyncIterator[None]:
    await order(postgres, *begin, database=database)
    try:
        yield
    finally:
        await order(postgres, *end, database=database)


@asynccontextmanager
async def read_only(postgres: Postgres) -> AsyncIterator[None]:
    """As a primary that a failover has made a standby; whoever is connected stays so."""
    setting = "default_transaction_read_only"
    begin, end = [f"ALTER SYSTEM SET {setting} = on", RELOAD], [f"ALTER SYSTEM RESET {setting}", RELOAD]
    async with ordered(postgres, begin, end):
        # A new connection that has the setting comes after the server has told all others of it.
        while await shown(postgres, setting) != "on":  # noqa: ASYNC110 - a fact of another process
            await asyncio.sleep(0.01)
        yield


async def shown(postgres: Postgres, setting: str) -> str:
    connection = await asyncpg.connect(postgres.url)
    try:
        value: str = await connection.fetchval(f"SHOW {setting}")
    finally:
        await connection.close()
    return value


def full_of_connections(postgres: Postgres) -> Outage:
    limit = f"ALTER ROLE {USER} CONNECTION LIMIT"
    return ordered(postgres, [f"{limit} 0", END_ALL], [f"{limit} -1"])


def with_another_password(postgres: Postgres) -> Outage:
    password = f"ALTER ROLE {USER} PASSWORD"
    return ordered(postgres, [f"{password} 'rotated'", END_ALL], [f"{password} '{PASSWORD}'"])


def saying(sqlstate: str, postgres: Postgres) -> Outage:
    """Every new row meets an error that cannot be had without ruining the machine."""
    fault = f"""
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE SQLSTATE '{sqlstate}'; END $$
    """
    trigger = "CREATE TRIGGER fails BEFORE INSERT ON recordings FOR EACH ROW EXECUTE FUNCTION fail()"
    return ordered(postgres, [fault, trigger], ["DROP FUNCTION fail CASCADE"], database="kept")


@pytest.mark.parametrize(
    ("outage", "said"),
    [
        pytest.param(killed, {"ConnectionRefusedError", "ConnectionDoesNotExistError"}, id="killed"),
        pytest.param(read_only, {"ReadOnlySQLTransactionError"}, id="read-only"),
        pytest.param(full_of_connections, {"TooManyConnectionsError"}, id="full-of-connections"),
        pytest.param(with_another_password, {"InvalidPasswordError"}, id="another-password"),
        pytest.param(partial(saying, "53100"), {"DiskFullError"}, id="disk-full"),
        pytest.param(partial(saying, "53200"), {"OutOfMemoryError"}, id="out-of-memory"),
        pytest.param(partial(saying, "58030"), {"PostgresIOError"}, id="disk-fails"),
        pytest.param(partial(saying, "40001"), {"SerializationError"}, id="serialization"),
        pytest.param(partial(saying, "57P03"), {"CannotConnectNowError"}, id="starting"),
    ],
)
async def test_an_event_waits_for_the_database_and_the_log_says_what_for(
    outage: Callable[[Postgres], Outage],
    said: set[str],
    postgres: Postgres,
    database: str,
    events: Events,
    eventually: Any,
) -> None:
    health = Health()
    with capture_logs() as lines:
        async with open_pool(database, "test") as pool, events.consuming(pool, health):
            await events.publish("1")
            await eventually(lambda: journaled(pool, 1))
            async with outage(postgres):
                await events.publish("2")
                await eventually(lambda: waits(lines, said))
                assert health.live()
            await eventually(lambda: journaled(pool, 2))

    assert {line["reason"] for line in lines if line["event"] == "handling_waited"} & said
    assert await events.taken(f"{InsightsReceived.QUEUE}.dead") == []
    assert await events.taken(InsightsReceived.QUEUE) == []


async def test_an_event_waits_for_a_pooler_that_calls_its_own_outage_an_internal_error(
    postgres: Postgres,
    database: str,
    events: Events,
    eventually: Any,
) -> None:
    health, works = Health(), asyncio.Event()
    with capture_logs() as lines:
        async with (
            pooler(postgres, database, works) as url,
            open_pool(url, "test") as pool,
            events.consuming(pool, health),
        ):
            await events.publish("1")
            await eventually(lambda: waits(lines, {"InternalServerError"}))
            works.set()
            await eventually(lambda: journaled(pool, 1))
            assert await pool.fetchval("SELECT count(*) FROM insight_events WHERE error IS NULL") == 1

    assert await events.taken(f"{InsightsReceived.QUEUE}.dead") == []


async def test_an_internal_error_of_a_statement_is_its_own_and_no_outage(
    postgres: Postgres,
    database: str,
    events: Events,
    eventually: Any,
) -> None:
    async def decided() -> bool:
        return await pool.fetchval("SELECT count(*) FROM insight_events") or await waits(lines, {"InternalServerError"})

    with capture_logs() as lines:
        async with (
            open_pool(database, "test") as pool,
            saying("XX000", postgres),
            events.consuming(pool, Health()),
        ):
            await events.publish("1")
            await eventually(decided)
            error = await pool.fetchval("SELECT error FROM insight_events")
            assert error == "Postgres refused it: InternalServerError"

    assert await events.taken(f"{InsightsReceived.QUEUE}.dead") == []
    assert await events.taken(InsightsReceived.QUEUE) == []


@pytest.mark.parametrize("said", UNKNOWN)
async def test_a_project_or_user_that_a_pooler_does_not_know_is_for_a_person_to_mend(
    said: str, postgres: Postgres, database: str
) -> None:
    async with pooler(postgres, database, asyncio.Event(), said) as url, open_pool(url, "test") as pool:
        with pytest.raises(DatabaseRefuses, match=r"^InternalServerError$") as refused:
            await pool.fetchval("SELECT 1")
        assert "refused by Postgres" in str(sentence_of(refused.value))
        with pytest.raises(CannotStart, match="refused by Postgres"):
            await wait_for_schema(pool, Health(), asyncio.Event())


@pytest.mark.parametrize(
    ("said", "sentence"),
    [(FULL, "cannot be reached, or used now"), *((said, "refused by Postgres") for said in UNKNOWN)],
)
async def test_migrate_says_in_one_sentence_what_a_pooler_calls_an_internal_error(
    said: str, sentence: str, postgres: Postgres, database: str
) -> None:
    works = asyncio.Event()
    async with pooler(postgres, database, works, said) as url:
        with pytest.raises(DatabaseAway, match=r"^InternalServerError$") as away:
            await migrate(url)
        assert sentence in str(sentence_of(away.value))
        works.set()
        assert await migrate(url) == []


@asynccontextmanager
async def pooler(postgres: Postgres, database: str, works: asyncio.Event, text: str = FULL) -> AsyncIterator[str]:
    """Hands on what it gets; until it works, it answers to a new client as Supavisor does. Yields the URL by it."""
    said = f"SFATAL\0CXX000\0M{text}\0\0".encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not works.is_set():
            await reader.read(1)
            writer.write(b"E" + (len(said) + 4).to_bytes(4, "big") + said)
        else:
            there, back = await asyncio.open_connection("127.0.0.1", postgres.port)
            await asyncio.gather(hand_on(reader, back), hand_on(there, writer))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"{database.replace(str(postgres.port), str(port))}?sslmode=disable"


async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await reader.read(65536):
        writer.write(part)
    writer.close()


async def waits(lines: list[Any], said: set[str]) -> bool:
    return any(line["event"] == "handling_waited" and line["reason"] in said for line in lines)


async def journaled(pool: Pool, count: int) -> bool:
    try:
        return bool(await pool.fetchval("SELECT count(*) FROM recordings") == count)
    except DatabaseAway:
        return False


async def test_after_a_failover_the_next_connection_goes_to_the_server_that_can_be_written_to(
    postgres: Postgres, database: str
) -> None:
    with Postgres() as other:
        elsewhere = other.create_database("kept")
        await order(other, f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'", f"ALTER DATABASE kept OWNER TO {USER}")
        for url in (database, ours(elsewhere)):
            async with open_pool(url, "test") as pool:
                await pool.execute("CREATE TABLE writes (at timestamptz DEFAULT now())")
        both = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{postgres.port},127.0.0.1:{other.port}/kept"
        port = "INSERT INTO writes DEFAULT VALUES RETURNING inet_server_port()"
        async with open_pool(f"{both}?target_session_attrs=read-write", "test") as pool:
            assert await pool.fetchval(port) == postgres.port
            async with read_only(postgres):
                with pytest.raises(DatabaseAway, match="ReadOnlySQLTransactionError"):
                    await pool.fetchval(port)
                assert await pool.fetchval(port) == other.port


async def test_two_that_lock_each_other_out_both_go_on_in_the_end(database: str) -> None:
    async with open_pool(database, "test") as pool:
        await pool.execute("CREATE TABLE pair AS SELECT n, 0 AS times FROM generate_series(1, 2) n")
        both = asyncio.Barrier(2)

        async def touch(first: int, second: int) -> str:
            try:
                async with pool.transaction() as connection:
                    await connection.execute("UPDATE pair SET times = times + 1 WHERE n = $1", first)
                    await both.wait()
                    await connection.execute("UPDATE pair SET times = times + 1 WHERE n = $1", second)
            except DatabaseAway as error:
                return str(error)
            return "done"

        assert {*await asyncio.gather(touch(1, 2), touch(2, 1))} == {"done", "DeadlockDetectedError"}
        assert await pool.fetchval("SELECT sum(times) FROM pair") == 2


async def test_a_row_that_somebody_else_holds_for_too_long_is_an_outage_that_ends(
    postgres: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await order(
        postgres, "CREATE TABLE held AS SELECT 0 AS times", f"ALTER TABLE held OWNER TO {USER}", database="kept"
    )
    monkeypatch.setattr(pools, "_COMMAND_TIMEOUT", 3.0)  # what nobody holds up takes less, also on a busy machine.
    async with open_pool(database, "test") as pool:
        holder = await asyncpg.connect(postgres.database_url("kept"))
        try:
            async with holder.transaction():
                await holder.execute("UPDATE held SET times = 100")
                with pytest.raises(DatabaseAway, match="TimeoutError"):
                    await pool.execute("UPDATE held SET times = times + 1")
        finally:
            await holder.close()

        await pool.execute("UPDATE held SET times = times + 1")
        assert await pool.fetchval("SELECT times FROM held") == 101  # the first did not happen after all


async def test_whoever_is_cancelled_while_the_database_is_frozen_ends_as_cancelled(
    postgres: Postgres, database: str
) -> None:
    async with open_pool(database, "test") as pool:
        begun = asyncio.Event()

        async def write() -> None:
            async with pool.transaction() as connection:
                await connection.execute("SELECT 1")
                begun.set()
                await connection.execute("SELECT pg_sleep(600)")

        task = asyncio.create_task(write())
        await begun.wait()
        postgres.pause()
        try:
            task.cancel()  # once: nobody insists.
            await asyncio.wait([task], timeout=pools._COMMAND_TIMEOUT / 2)
            assert task.cancelled()
        finally:
            postgres.resume()
        assert await pool.fetchval("SELECT 1") == 1


async def the_server_hangs_up(postgres: Postgres, connection: Connection) -> None:
    """While nothing is asked of it, so that only the pool notices."""
    await order(postgres, END_ALL)
    while not pools._is_closed(connection):  # noqa: ASYNC110 - a fact of asyncpg's
        await asyncio.sleep(0.01)


async def test_a_connection_that_closes_between_two_statements_is_an_outage(postgres: Postgres, database: str) -> None:
    async def write() -> None:
        async with pool.transaction() as connection:
            await the_server_hangs_up(postgres, connection)
            await connection.execute("SELECT 1")

    async with open_pool(database, "test") as pool:
        with pytest.raises(DatabaseAway):
            await write()
        assert await pool.fetchval("SELECT 1") == 1


@pytest.mark.parametrize("fault", [KeyError, asyncio.CancelledError])
async def test_what_goes_wrong_while_a_connection_closes_is_told_as_it_is(
    fault: type[BaseException], postgres: Postgres, database: str
) -> None:
    async def write() -> None:
        async with pool.transaction() as connection:
            await the_server_hangs_up(postgres, connection)
            raise fault

    async with open_pool(database, "test") as pool:
        with pytest.raises(fault):
            await write()
        assert await pool.fetchval("SELECT 1") == 1


async def test_a_password_that_is_wrong_and_a_database_that_is_not_there_are_for_a_person_to_mend(
    database: str,
) -> None:
    for url in (database.replace(PASSWORD, "wrong"), database.replace("/kept", "/nowhere")):
        async with open_pool(url, "test") as pool:
            with pytest.raises(DatabaseRefuses) as refused:
                await pool.fetchval("SELECT 1")
        assert "refused by Postgres" in str(sentence_of(refused.value))


async def test_what_we_do_wrong_is_no_outage(database: str) -> None:
    async with open_pool(database, "test") as pool:
        with pytest.raises(asyncpg.DataError, match="invalid input for query argument"):
            await pool.fetchval("SELECT $1::int", "no number")
        with pytest.raises(asyncpg.InterfaceError, match="expects 1 argument"):
            await pool.fetchval("SELECT $1::int")
        assert await pool.fetchval("SELECT $1::int", 1) == 1
