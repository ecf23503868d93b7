"""The connection pool of a process."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import asyncpg

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

#: Errors that say "Postgres is away, starting, full, failing over", not "this statement is wrong".
DATABASE_AWAY: Final = (
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
#: Idle seconds after which a connection is given back: below the usual idle limit of poolers.
_IDLE_LIFETIME: Final = 60.0


async def _prepare(connection: Any) -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)


async def _keep(_connection: Any) -> None:
    """Nothing to reset: session state is never used, and skipping it halves the cost of a short statement."""


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
    async with pool:
        yield pool
