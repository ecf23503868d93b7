"""Readings of the call log that a row keeps track of: which span, how far it was read, and what was missing in it."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import asyncpg
import structlog

from common.clock import Clock
from common.database.pool import Pool
from common.database.statements import statements
from common.ringcentral.budget import Priority
from common.ringcentral.client import RingCentral
from common.telemetry.health import Progress, unwatched
from common.telemetry.metrics import RECORDINGS_HEALED
from services.poller.history import Found, read_window, windows_between

Kind = Literal["recent", "all", "asked", "backfill"]

#: What goes before what: a person who asks and the daily reading fetch after live work, the others only when nothing
#: else is waiting.
PRIORITY: dict[Kind, Priority] = {
    "asked": Priority.RECONCILE,
    "recent": Priority.RECONCILE,
    "all": Priority.BACKFILL,
    "backfill": Priority.BACKFILL,
}


@dataclass(frozen=True, slots=True)
class Reading:
    """A row of `call_log_readings`."""

    reading_id: int
    kind: Kind
    begins: datetime
    ends: datetime
    read_until: datetime
    started_at: datetime
    finished_at: datetime | None
    found: Found


async def last_reading(
    pool: Pool, account_id: str, kind: Kind, begins: datetime | None = None, ends: datetime | None = None
) -> Reading | None:
    """The one of this kind, and of this span when it is given, that was begun last."""
    row = await pool.fetchrow(statements("call_log_readings")["find"], account_id, kind, begins, ends)
    return None if row is None else _reading(kind, row)


async def begin_reading(
    pool: Pool, account_id: str, kind: Kind, begins: datetime, ends: datetime, now: datetime
) -> Reading:
    """Note that a span is to be read."""
    row = await pool.fetchrow(statements("call_log_readings")["begin"], account_id, kind, begins, ends, now)
    assert row is not None
    return _reading(kind, row)


async def note_first_poll(pool: Pool, account_id: str, kind: Kind, begins: datetime, now: datetime) -> None:
    """Count what the first poll reads as the first reading of a kind."""
    await pool.execute(statements("call_log_readings")["note_first_poll"], account_id, kind, begins, now)


async def go_on(
    client: RingCentral, pool: Pool, clock: Clock, reading: Reading, progress: Progress = unwatched
) -> AsyncGenerator[Found, None]:
    """Read what is left of a span, the oldest first, and tell of each window once it is noted.

    Whoever is broken off goes on with the window in hand. May run twice. Raises the client's errors and `DatabaseAway`.
    """
    priority = PRIORITY[reading.kind]
    for window in windows_between(reading.read_until, reading.ends):
        found = await read_window(client, pool, clock, window, priority, progress)
        told = (found.calls, found.recordings, found.new_calls, dict(found.healed))
        note = statements("call_log_readings")["note"]
        await pool.execute(note, reading.reading_id, window.end, clock.now(), *told)
        for why, number in found.healed.items():
            RECORDINGS_HEALED.labels(why).inc(number)
        if found.healed:
            log = structlog.get_logger()
            log.warning("recordings_healed", kind=reading.kind, since=window.begin.isoformat(), **found.healed)
        yield found


def _reading(kind: Kind, row: asyncpg.Record) -> Reading:
    values: dict[str, Any] = dict(row)
    found = Found(*(values.pop(name) for name in ("calls", "recordings", "new_calls", "healed")))
    return Reading(kind=kind, found=found, **values)
