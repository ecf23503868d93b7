"""The connection pool of a process."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"


class DatabaseAway(Exception):
    """Postgres is away, starting, full or failing over: wait and try again. The text is the type of what it said."""


#: What asyncpg raises for that, as opposed to "this statement is wrong".
AWAY_ERRORS: Final = (
    OSError,  # refused, reset, and also asyncio's TimeoutError
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,  # a connection that was lost under the pool
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,  # shut down, crashed, cannot connect now, statement cancelled
    asyncpg.InsufficientResourcesError,  # too many connections, disk full, out of memory
    asyncpg.ReadOnlySQLTransactionError,  # a failover left us on the old primary
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
)

#: Errors that say "these credentials or this database are wrong": waiting does not help, a person must mend them.
REFUSED: Final = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)

#: Connections per process: enough for four downloads with their claims and the budget; small plans of hosted Postgres
#: offer a few dozen in all.
_POOL_SIZE: Final = 8
#: Seconds for one statement: the longest of ours takes a fraction of one; a lock that is held longer is an outage.
_COMMAND_TIMEOUT: Final = 30.0
#: Seconds to connect: a database that takes longer is away.
_CONNECT_TIMEOUT: Final = 10.0
#: Seconds to say goodbye to the database; one that is frozen never answers.
_CLOSE_TIMEOUT: Final = 5.0
#: Idle seconds after which a connection is given back: below the usual idle limit of poolers.
_IDLE_LIFETIME: Final = 60.0


async def _prepare(connection: Any) -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)


async def _keep(_connection: Any) -> None:
    """Nothing to reset: session state is never used, and skipping it halves the cost of a short statement."""


@contextmanager
def _translated() -> Iterator[None]:
    """Let `DatabaseAway` stand for what says so; a wrong URL is no such thing, although it is an `InterfaceError`."""
    try:
        yield
    except asyncpg.ClientConfigurationError:
        raise
    except AWAY_ERRORS as error:
        raise DatabaseAway(type(error).__name__) from error


class Pool:
    """Connections of this process. Methods raise `DatabaseAway` where waiting helps, and asyncpg's errors else."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def execute(self, statement: str, *values: object) -> str:
        """Run a statement; what it did, as Postgres says it."""
        with _translated():
            return await self._pool.execute(statement, *values)

    async def fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """All rows."""
        with _translated():
            return await self._pool.fetch(statement, *values)

    async def fetchrow(self, statement: str, *values: object) -> asyncpg.Record | None:
        """The first row, if there is one."""
        with _translated():
            return await self._pool.fetchrow(statement, *values)

    async def fetchval(self, statement: str, *values: object) -> Any:
        """The first value of the first row, if there is one."""
        with _translated():
            return await self._pool.fetchval(statement, *values)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """A connection, for several statements of one transaction and nothing else."""
        with _translated():
            async with self._pool.acquire() as connection:
                yield connection

    async def close(self) -> None:
        """Close all connections, also those to a database that is frozen: at most some seconds, no error."""
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await self._pool.close()
        except AWAY_ERRORS:
            self._pool.terminate()


@asynccontextmanager
async def open_pool(url: str, name: str, *, size: int = _POOL_SIZE) -> AsyncIterator[Pool]:
    """A pool for as long as the block lasts. It connects when first used: a database away is no error here."""
    pool = asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size,
        statement_cache_size=0,  # a transaction pooler hands the next statement to another server connection
        max_inactive_connection_lifetime=_IDLE_LIFETIME,
        command_timeout=_COMMAND_TIMEOUT,
        timeout=_CONNECT_TIMEOUT,
        init=_prepare,
        reset=_keep,
        server_settings={"application_name": f"ringvault {name}"},
    )
    opened = Pool(await pool)
    try:
        yield opened
    finally:
        await opened.close()
