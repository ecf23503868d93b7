"""Reconciliation: what RingCentral lists is held against the rows, by itself, whatever the cursor says.

| reading | begun | spans | goes |
|---|---|---|---|
| `recent` | every `RECONCILE_INTERVAL`, a day | the last 7 days | behind live work |
| `all` | every 30 days | all that RingCentral may still keep | only when nothing else waits for budget |

The first of each is begun when its time has passed once: until then there is only what the first poll has read. What
began before that is found as well, so the past comes by itself within a month; a backfill brings it at once.
"""

from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from common.clock import Clock
from common.database.pool import Pool
from common.ringcentral.client import RingCentral
from common.telemetry.health import Progress, unwatched
from services.poller.poll import FIRST_LOOK
from services.poller.readings import Kind, Reading, begin_reading, go_on, last_reading, note_first_poll

#: How far the daily reading goes back: recordings are added, and records rewritten, days after a call at most, and a
#: weekend with bank holidays at both ends is over by then.
RECENT: Final = timedelta(days=7)
#: How often all of it is read: 100 requests for 100,000 recordings, of 430,000 that the budget of a month has.
ALL_EVERY: Final = timedelta(days=30)
#: What began later is left to polls: a record appears when its call has ended, a recording minutes later (facts 4.3).
SETTLED_AFTER: Final = timedelta(hours=1)
#: Part of the heavy budget that readings may take: a slot that they have taken in an idle moment is missing for a whole
#: window to live work which comes a moment later.
SHARE: Final = 0.5
#: Seconds between two looks whether a reading is due.
LOOK_EVERY: Final = 60.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """How often, and how far back, by kind of reading."""

    recent_every: timedelta
    #: How long RingCentral keeps a recording: what is older cannot be healed any more.
    retention: timedelta

    def due(self, kind: Kind, last: Reading, now: datetime) -> tuple[datetime, datetime] | None:
        """The span of a reading that is due, or nothing; after one that began later than now, at once. Pure."""
        every = {"recent": self.recent_every, "all": ALL_EVERY}[kind]
        if last.started_at <= now < last.started_at + every:
            return None
        return now - (RECENT if kind == "recent" else self.retention), now - SETTLED_AFTER


def pause_between_windows(rate: float) -> float:
    """Seconds between two windows, at so many heavy requests a second. Pure."""
    return 1 / (SHARE * rate)


async def reconcile(
    client: RingCentral, pool: Pool, clock: Clock, schedule: Schedule, progress: Progress = unwatched
) -> bool:
    """One window of a reading that is due or was broken off; False when there is none. Raises the client's errors.

    May run at any time: a reading goes on where it was left, by whoever leads then.
    """
    kinds: tuple[Kind, ...] = ("recent", "all")
    for kind in kinds:
        reading = await _in_hand(client, pool, clock, schedule, kind)
        if reading is not None:
            async with aclosing(go_on(client, pool, clock, reading, progress)) as windows:
                found = await anext(windows)
            log = structlog.get_logger()
            log.info("call_log_reconciled", kind=kind, calls=found.calls, recordings=found.recordings)
            return True
    return False


async def _in_hand(client: RingCentral, pool: Pool, clock: Clock, schedule: Schedule, kind: Kind) -> Reading | None:
    now = clock.now()
    last = await last_reading(pool, client.account_id, kind)
    if last is None:
        await note_first_poll(pool, client.account_id, kind, now - FIRST_LOOK, now)
        return None
    if last.finished_at is None and last.started_at <= now:
        return last
    span = schedule.due(kind, last, now)
    return None if span is None else await begin_reading(pool, client.account_id, kind, *span, now)
