"""The connection pool of a process."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeAlias

import asyncpg
import asyncpg.transaction

from common.telemetry.metrics import DATABASE_AWAY

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"


class DatabaseAway(Exception):
    """Postgres is away, starting, full or failing over: wait and try again. The text is the type of what it said."""


class DatabaseRefuses(DatabaseAway):
    """It refuses these credentials, or has no such database: waiting helps once a person has mended that."""


#: What asyncpg raises for that, as opposed to "this statement is wrong".
AWAY_ERRORS: Final = (
    OSError,  # refused, reset, and also asyncio's TimeoutError
    asyncpg.PostgresConnectionError,  # what poolers say of a server that is away, too
    asyncpg.InterfaceError,  # a connection that was lost under the pool; see `_is_away`
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,  # shut down, crashed, cannot connect now, statement cancelled
    asyncpg.InsufficientResourcesError,  # too many connections, disk full, out of memory
    asyncpg.PostgresSystemError,  # its disk fails
    asyncpg.ReadOnlySQLTransactionError,  # a failover left us on the old primary
    asyncpg.IdleInTransactionSessionTimeoutError,  # we were frozen in the middle of one
    asyncpg.TransactionRollbackError,  # deadlock, serialization
    asyncpg.LockNotAvailableError,
)

#: Errors of connecting that say "these credentials or this database are wrong".
REFUSED: Final = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)

#: How Supavisor begins to say that it knows no such project or user: as an internal error, before 2.9 without a code.
_UNKNOWN: Final = ("(ENOTFOUND)", "Tenant or user not found")

#: Connections per process: enough for four downloads with their claims and the budget; small plans of hosted Postgres
#: offer a few dozen in all.
_POOL_SIZE: Final = 8
#: Seconds for one statement: the longest of ours takes a fraction of one; a lock that is held longer is an outage.
_COMMAND_TIMEOUT: Final = 30.0
#: Seconds to connect, or to get a connection that others have in use: a database that takes longer is away.
_CONNECT_TIMEOUT: Final = 10.0
#: Seconds to end a statement or a transaction that was given up, and to say goodbye at the end: a database that is
#: frozen never answers, so then the connections are dropped.
_GIVE_UP_WITHIN: Final = 2.0
#: Idle seconds after which a connection is given back: below the usual idle limit of poolers.
_IDLE_LIFETIME: Final = 60.0


async def _prepare(connection: Any) -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)


async def _keep(_connection: Any) -> None:
    """Nothing to reset: session state is never used, and skipping it halves the cost of a short statement."""


def _is_away(error: Exception, connection: "Connection | None") -> bool:
    """Whether waiting helps. An `InterfaceError` says so of a connection that is closed: of another one, or of the URL,
    it says that we use it wrongly. Who says "internal error" while we connect has not seen a statement of ours: it is
    what Supavisor says when it has no connection to give, or lost its own.
    """
    if isinstance(error, asyncpg.InternalServerError):
        return connection is None
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError) and (connection is None or _is_closed(connection))
    return isinstance(error, (*AWAY_ERRORS, *REFUSED))


def outage(error: Exception) -> DatabaseAway:
    """Ours for an error of asyncpg's that is one. What the server said is left out: it names users and projects."""
    unknown = isinstance(error, asyncpg.InternalServerError) and str(error).startswith(_UNKNOWN)
    kind = DatabaseRefuses if unknown or isinstance(error, REFUSED) else DatabaseAway
    return kind(type(error).__name__)


def _is_closed(connection: Connection) -> bool:
    """The pool takes away a connection that it saw close, which then answers no question, not even this one."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


class Pool:
    """Connections of this process. Methods raise `DatabaseAway` where waiting helps, and asyncpg's errors else."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def execute(self, statement: str, *values: object) -> str:
        """Run a statement; what it did, as Postgres says it."""
        async with self._connection() as connection:
            return await connection.execute(statement, *values)

    async def fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """All rows."""
        async with self._connection() as connection:
            return await connection.fetch(statement, *values)

    async def fetchrow(self, statement: str, *values: object) -> asyncpg.Record | None:
        """The first row, if there is one."""
        async with self._connection() as connection:
            return await connection.fetchrow(statement, *values)

    async def fetchval(self, statement: str, *values: object) -> Any:
        """The first value of the first row, if there is one."""
        async with self._connection() as connection:
            return await connection.fetchval(statement, *values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection with a transaction, committed at the end of the block, rolled back when that raises."""
        async with self._connection() as connection:
            transaction = connection.transaction()
            try:
                await transaction.start()
                yield connection
                await transaction.commit()
            except BaseException:
                await _roll_back(connection, transaction)
                raise

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        connection = None
        try:
            connection = await self._pool.acquire(timeout=_CONNECT_TIMEOUT)
            yield connection
        except Exception as error:
            if not _is_away(error, connection):
                raise
            if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                # The old primary would keep the connections that it has: the next ones look for the new one.
                await self._pool.expire_connections()
            DATABASE_AWAY.labels(type(error).__name__).inc()
            raise outage(error) from error
        finally:
            if connection is not None:
                await asyncio.shield(self._release(connection))

    async def _release(self, connection: Connection) -> None:
        with suppress(*AWAY_ERRORS):  # it is dropped then
            await self._pool.release(connection, timeout=_GIVE_UP_WITHIN)

    async def close(self) -> None:
        """Close all connections, also those to a database that is frozen: within seconds, no error."""
        try:
            async with asyncio.timeout(_GIVE_UP_WITHIN):
                await self._pool.close()
        except AWAY_ERRORS:
            self._pool.terminate()


async def _roll_back(connection: Connection, transaction: asyncpg.transaction.Transaction) -> None:
    """Within seconds, or the connection is dropped: a database that is frozen does not answer to that either."""
    try:
        async with asyncio.timeout(_GIVE_UP_WITHIN):
            await transaction.rollback()
    except AWAY_ERRORS:
        if not _is_closed(connection):
            connection.terminate()


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
