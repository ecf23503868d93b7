"""Leases: leadership as a row with a deadline and a fencing number, which works behind a transaction pooler."""

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import Final

import structlog

from common.database.pool import Connection, DatabaseAway, Pool
from common.database.statements import statements

#: Seconds that a process which stops takes to give a lease back; after that the lease ends by itself.
_RELEASE_WITHIN: Final = 2.0


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that this process may hold; `holder` names the process."""

    name: str
    holder: uuid.UUID = field(default_factory=uuid.uuid4)

    async def hold(self, pool: Pool, seconds: float) -> int | None:
        """Take or keep it for so long; the fencing number, or None when somebody else holds it."""
        fencing: int | None = await pool.fetchval(statements("leases")["hold"], self.name, self.holder, seconds)
        return fencing

    async def still_held(self, connection: Connection, fencing: int) -> bool:
        """Whether what this transaction writes is still ours to write; nobody else can take it before the commit."""
        sql = statements("leases")["still_held"]
        return await connection.fetchval(sql, self.name, self.holder, fencing) is not None

    async def release(self, pool: Pool) -> None:
        """Let the next one in at once, or, when the database is away, as soon as the lease ends. May run twice."""
        try:
            async with asyncio.timeout(_RELEASE_WITHIN):
                await pool.execute(statements("leases")["release"], self.name, self.holder)
        except (DatabaseAway, TimeoutError):
            structlog.get_logger().info("lease_left_to_end")
