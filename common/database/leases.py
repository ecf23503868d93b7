"""Leases: leadership as a row with a deadline and a fencing number, which works behind a transaction pooler."""

import uuid
from dataclasses import dataclass, field

from common.database.pool import Connection, Pool
from common.database.statements import statements


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
        """Let the next one in at once. May run twice."""
        await pool.execute(statements("leases")["release"], self.name, self.holder)
