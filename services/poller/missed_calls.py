"""Call-log entries of recordings that came with their insights, and that two polls have not shown: asked for singly.

The row exists already, with the audio `unknown`: the audio's address is to be taken from the call log (facts 4.6).
"""

from datetime import datetime, timedelta
from typing import Final

import asyncpg
import structlog

from common.clock import Clock
from common.database.call_log_rows import DOMAIN
from common.database.pool import DatabaseAway, Pool
from common.database.statements import statements
from common.ringcentral.call_log import Window, of_session
from common.ringcentral.client import RingCentral
from common.ringcentral.errors import Missing, Rejected, SourceFailed, pause_asked_by
from common.telemetry.metrics import CALLS_ASKED
from services.poller.leadership import Leadership
from services.poller.poll import write_as_leader

#: Requests after a poll at most: of ten heavy ones a minute, most are for audio.
AFTER_A_POLL: Final = 2
#: How long after the recording was first seen its entry is asked for again; after the last time, a reconciliation of
#: the whole call log is what may still find it.
STEPS: Final = (
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
    timedelta(days=3),
)
#: Two steps are not nearer than that.
_NEAREST: Final = timedelta(minutes=5)
#: Until the last look is tried again, whose answer RingCentral failed to give: a few requests for as long as it fails.
_AFTER_A_FAILURE: Final = timedelta(days=1)
#: How far before the recording its call may have begun: long calls, and a recording that begins late in one.
_BEGAN_BEFORE: Final = timedelta(days=1)
_NOT_YET: Final = "the call log does not show its call yet"
_FAILED: Final = "RingCentral failed to answer for its call"
_NEVER: Final = f"the call log did not show its call within {STEPS[-1].days} days"


def next_look(first_seen_at: datetime, now: datetime) -> datetime | None:
    """When an entry that was not there is asked for next; None when that was the last time. Pure."""
    ahead = (first_seen_at + step for step in STEPS)
    return next((moment for moment in ahead if moment >= now + _NEAREST), None)


async def fetch_missed(
    client: RingCentral, pool: Pool, clock: Clock, leadership: Leadership, missed_since: datetime
) -> int:
    """Ask for the entries of recordings first seen before that time, a few at most, and return how many were there.

    May run at any time. Raises the client's errors, `LeadershipLost`, and the database's.
    """
    sql, found = statements("recordings_unknown"), 0
    rows = await pool.fetch(sql["missed"], client.account_id, missed_since, clock.now(), AFTER_A_POLL)
    for row in rows:
        found += await _fetch_one(client, pool, clock, leadership, row)
    if rows:
        structlog.get_logger().info("missed_calls_asked", recordings=len(rows), found=found)
    return found


async def _fetch_one(
    client: RingCentral, pool: Pool, clock: Clock, leadership: Leadership, row: asyncpg.Record
) -> bool:
    """Ask for the entry of one; whether it was there.

    What RingCentral refuses, or fails to answer for, keeps no other waiting, unless it asks for a pause.
    """
    window = Window(min(row["started_at"], clock.now()) - _BEGAN_BEFORE, clock.now())
    try:
        page = await of_session(client, row["telephony_session_id"], window)
    except (Rejected, Missing):
        CALLS_ASKED.labels("rejected").inc()
        await _look_later(client.account_id, pool, clock, leadership, row)
        return False
    except SourceFailed as error:
        CALLS_ASKED.labels("failed").inc()
        await _look_later(client.account_id, pool, clock, leadership, row, failed=True)
        if pause_asked_by(error):
            raise
        return False
    shown = any(row["source_record_id"] in call.recordings for call in page.calls)
    CALLS_ASKED.labels("found" if shown else "missing").inc()
    try:
        await write_as_leader(client.account_id, pool, page.calls, None, clock.now(), leadership)
    except DatabaseAway:
        raise
    except asyncpg.PostgresError as error:
        structlog.get_logger().error("call_log_record_refused", error=type(error).__name__)
        shown = False
    if not shown:
        await _look_later(client.account_id, pool, clock, leadership, row)
    return shown


async def _look_later(
    account_id: str, pool: Pool, clock: Clock, leadership: Leadership, row: asyncpg.Record, *, failed: bool = False
) -> None:
    now = clock.now()
    due_at = next_look(row["first_seen_at"], now)
    reason = _NOT_YET if due_at else _NEVER
    if failed:
        due_at, reason = due_at or now + _AFTER_A_FAILURE, _FAILED
    async with pool.transaction() as connection:
        await leadership.prove(connection)
        sql = statements("recordings_unknown")["look_later"]
        await connection.execute(sql, account_id, DOMAIN, row["source_record_id"], reason, due_at, now)
