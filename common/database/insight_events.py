"""The journal: every accepted event, and every answer that brought insights in place of one, byte for byte."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from common.database.pool import Connection, Pool
from common.database.statements import statements


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as it is journaled. `digest` is the sha256 of `raw`; `body` is None when Postgres cannot hold it.

    With the source `fetched`, `raw` holds the answer of the insights GET, which RingCentral had at `made_at`.
    """

    digest: bytes
    account_id: str
    raw: bytes
    received_at: datetime
    body: Any = None
    uuid: str | None = None
    domain: str | None = None
    source_record_id: str | None = None
    error: str | None = None
    source: Literal["event", "fetched"] = "event"
    made_at: datetime | None = None


async def ensure_partitions(pool: Pool, entries: Sequence[Entry]) -> None:
    """Make sure of the partitions of the months in which these arrived. May run twice, also at the same time.

    Outside the transaction that journals them: whoever makes one is waited for by all who need it.
    """
    days = [entry.received_at.astimezone(UTC) for entry in entries]
    for month in {day.replace(day=1, hour=0, minute=0, second=0, microsecond=0) for day in days}:
        await pool.execute(statements("insight_events")["ensure_partition"], month)


async def journal(connection: Connection, entries: Sequence[Entry], applied_at: datetime) -> set[bytes]:
    """Journal what is not there yet, and return the digests of those. May run twice: then it returns nothing.

    Their partitions must be there: see `ensure_partitions`.
    """
    sql = statements("insight_events")
    unique = {entry.digest: entry for entry in entries}
    rows = await connection.fetch(sql["remember"], list(unique), [entry.received_at for entry in unique.values()])
    fresh = [unique[row["digest"]] for row in rows]
    await connection.execute(
        sql["journal"],
        [entry.digest for entry in fresh],
        [entry.account_id for entry in fresh],
        [entry.raw for entry in fresh],
        # As text: a list among jsonb values would be taken for a dimension of the array.
        [None if entry.body is None else json.dumps(entry.body) for entry in fresh],
        [entry.uuid for entry in fresh],
        [entry.domain for entry in fresh],
        [entry.source_record_id for entry in fresh],
        [entry.received_at for entry in fresh],
        [applied_at if entry.source_record_id is not None else None for entry in fresh],
        [entry.error for entry in fresh],
        [entry.source for entry in fresh],
        [entry.made_at for entry in fresh],
    )
    return {entry.digest for entry in fresh}
