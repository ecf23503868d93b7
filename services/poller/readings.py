"""Readings of the call log that a row keeps track of: which span, how far it was read, and what was missing in it."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

import asyncpg
import structlog

from common.clock import Clock
from common.database.pool import Pool
from common.database.statements import statements
from common.loss_clock import SOON
from common.ringcentral.budget import Priority
from common.ringcentral.call_log import Window
from common.ringcentral.client import RingCentral
from common.telemetry.health import Progress, unwatched
from common.telemetry.metrics import RECORDINGS_HEALED
from services.poller.history import Found, Healing, read_window, windows_between

Kind = Literal["recent", "all", "asked", "backfill"]

#: A 404 does not prove that there is nothing: a user of a restricted role has got it in place of a 403 (facts 1.4).
_NOT_THERE: Final = "unavailable: nothing_there"
#: What goes before what: a person who asks and the daily reading fetch after live work, the others only when nothing
#: else is waiting. What was not there costs two more requests each time, so each month is enough. A person who asks may
#: know better than the row: that a permission is granted, or that a clock or a retention was wrong.
HEALING: Final[dict[Kind, Healing]] = {
    "asked": Healing(
        Priority.RECONCILE, ("failed", _NOT_THERE, "unavailable: no_permission", "unavailable: retention_ended")
    ),
    "recent": Healing(Priority.RECONCILE, ("failed",)),
    "all": Healing(Priority.BACKFILL, ("failed", _NOT_THERE)),
    "backfill": Healing(Priority.BACKFILL, ("failed",)),
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
    for window in windows_between(reading.read_until, reading.ends):
        found = await read_window(client, pool, clock, window, _healing(reading, window), progress)
        told = (found.calls, found.recordings, found.new_calls, dict(found.healed))
        note = statements("call_log_readings")["note"]
        await pool.execute(note, reading.reading_id, window.end, clock.now(), *told)
        for why, number in found.healed.items():
            RECORDINGS_HEALED.labels(why).inc(number)
        if found.healed:
            log = structlog.get_logger()
            log.warning("recordings_healed", kind=reading.kind, since=window.begin.isoformat(), **found.healed)
        yield found


def _healing(reading: Reading, window: Window) -> Healing:
    """What is soon lost is not taken for missing again by itself: a person would be called for it each month."""
    healing = HEALING[reading.kind]
    soon_lost = reading.kind == "all" and window.begin < reading.begins + SOON
    return replace(healing, given_up=("failed",)) if soon_lost else healing


def _reading(kind: Kind, row: asyncpg.Record) -> Reading:
    values: dict[str, Any] = dict(row)
    found = Found(*(values.pop(name) for name in ("calls", "recordings", "new_calls", "healed")))
    return Reading(kind=kind, found=found, **values)
