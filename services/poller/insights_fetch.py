"""Insights that no event brought: asked for through the insights GET, and journaled and merged as an event is.

The row says when (`insights_due_at`), and why there are none (`insights_reason`). Light requests of the shared budget,
after everything that is more urgent.
"""

import enum
import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import structlog

from common.clock import Clock
from common.database.insight_events import Entry, ensure_partitions, journal
from common.database.pool import DatabaseAway, Pool
from common.database.recordings import Said, merge_sayings
from common.database.statements import statements
from common.plain_json import time_of
from common.ringcentral.budget import Priority
from common.ringcentral.client import RingCentral
from common.ringcentral.errors import Forbidden, Missing, NoBudget, Rejected, RingCentralError, SourceFailed
from common.ringcentral.insights import Answer, get_insights
from common.telemetry.health import Progress, unwatched
from common.telemetry.metrics import INSIGHTS_ASKED
from services.poller.insights_schedule import (
    AGAIN,
    EXPECTED,
    EXPECTED_WITHIN,
    LAST_LOOK,
    LOOK_WITHIN,
    ask_after_failure,
    first_ask,
    next_ask,
)
from services.poller.leadership import Leadership

#: Requests a pass: two minutes of one user's budget, so that what falls due meanwhile has its turn soon.
BATCH: Final = 100
#: Recordings that are planned a pass, so that the statement stays short when a backfill has brought many.
PLANNED: Final = 500
#: Seconds between two passes when there was nothing left: an index look-up.
PAUSE: Final = 30.0
#: Seconds between two passes when a permission is missing: a person has to grant it.
FORBIDDEN_PAUSE: Final = 600.0
#: So many refusals in a row are not about one recording.
_FORBIDDEN_IN_A_ROW: Final = 2
#: After so many failures in a row the rest waits for the next pass: RingCentral has a bad minute.
_FAILED_IN_A_ROW: Final = 3
#: Rows that are told at once that a permission is missing.
_TOLD: Final = 5000


class Outcome(enum.StrEnum):
    """What came of one request; the labels of the metric."""

    FOUND = "found"
    NOTHING_NEW = "nothing_new"
    NOTES_ONLY = "notes_only"
    MISSING = "missing"
    FORBIDDEN = "forbidden"
    REJECTED = "rejected"
    FAILED = "failed"


#: Answers that say nothing of the recording.
_UNCOUNTED: Final = {Outcome.FORBIDDEN, Outcome.FAILED}


@dataclass(frozen=True, slots=True)
class Fetching:
    """What a pass works with. Each write proves the leadership."""

    client: RingCentral
    pool: Pool
    clock: Clock
    leadership: Leadership


async def fetch_insights(work: Fetching, progress: Progress = unwatched) -> float:
    """One pass: plan what is new, ask for what is due, and return the seconds until the next pass.

    May run at any time; what a crash leaves is asked for again. Raises the client's errors when nothing can be asked.
    """
    account_id = work.client.account_id
    planned = await _plan(work)
    due = statements("recordings_insights")["due"]
    rows = await work.pool.fetch(due, account_id, work.clock.now(), EXPECTED_WITHIN, BATCH)
    outcomes: Counter[Outcome] = Counter()
    in_a_row: Counter[Outcome] = Counter()
    for row in rows:
        try:
            outcome, reason = await _ask(work, row)
        except NoBudget:
            break
        progress()
        INSIGHTS_ASKED.labels(outcome.value).inc()
        outcomes[outcome] += 1
        if outcome is Outcome.FORBIDDEN and row["insights_state"] == "present":
            continue  # perhaps of a domain that nobody needs; what is missing must not wait for that.
        in_a_row = Counter({outcome: in_a_row[outcome] + 1})
        if in_a_row[Outcome.FORBIDDEN] == _FORBIDDEN_IN_A_ROW:
            await _explain(work, reason)
            return FORBIDDEN_PAUSE
        if in_a_row[Outcome.FAILED] == _FAILED_IN_A_ROW:
            return PAUSE
    if outcomes:
        structlog.get_logger().info("insights_asked", **{outcome.value: times for outcome, times in outcomes.items()})
    return 0.0 if planned == PLANNED or outcomes.total() == BATCH else PAUSE


async def _plan(work: Fetching) -> int:
    sql, account_id = statements("recordings_insights"), work.client.account_id
    rows = await work.pool.fetch(sql["unplanned"], account_id, EXPECTED_WITHIN, PLANNED)
    due = [first_ask(_ended_at(row), row["first_seen_at"], expected=row["expected"]) for row in rows]
    if left := PLANNED - len(rows):
        unlooked = await work.pool.fetch(sql["unlooked"], account_id, work.clock.now() - LOOK_WITHIN, left)
        rows, due = rows + unlooked, due + [_ended_at(row) + LAST_LOOK for row in unlooked]
    if rows:
        keys = [[row[name] for row in rows] for name in ("domain", "source_record_id", "insights_state")]
        async with work.pool.transaction() as connection:
            await work.leadership.prove(connection)
            await connection.execute(sql["plan"], account_id, *keys, due)
    return len(rows)


def _ended_at(row: asyncpg.Record) -> datetime:
    started_at: datetime = row["started_at"]
    return started_at + timedelta(milliseconds=row["duration_ms"])


async def _ask(work: Fetching, row: asyncpg.Record) -> tuple[Outcome, str]:
    """Ask for the insights of one recording, and write down what came of it."""
    try:
        answer = await get_insights(work.client, row["domain"], row["source_record_id"], priority=Priority.RECONCILE)
        return await _keep(work, row, answer)
    except Missing as error:
        return await _put_off(work, row, Outcome.MISSING, _code(error))
    except Forbidden as error:
        needed = "ReadRingSenseInsights of the user, RingSense of the app"
        return await _put_off(work, row, Outcome.FORBIDDEN, f"{error}; needed: {needed}")
    except Rejected as error:
        return await _put_off(work, row, Outcome.REJECTED, str(error))
    except SourceFailed as error:
        return await _put_off(work, row, Outcome.FAILED, str(error))
    except DatabaseAway:
        raise
    except asyncpg.PostgresError as error:
        structlog.get_logger().warning("insights_not_kept", error=type(error).__name__)
        return await _put_off(work, row, Outcome.FAILED, f"Postgres refused them: {type(error).__name__}")


def _code(error: RingCentralError) -> str:
    return error.code or str(error.status)


async def _keep(work: Fetching, row: asyncpg.Record, answer: Answer) -> tuple[Outcome, str]:
    """Journal and merge, in one transaction; call notes alone are asked for again.

    What events have brought already is not journaled a second time.
    """
    now, account_id, saying = work.clock.now(), work.client.account_id, answer.insights.saying
    key = row["domain"], row["source_record_id"]
    entry = Entry(
        digest=hashlib.sha256(answer.raw).digest(),
        account_id=account_id,
        raw=answer.raw,
        received_at=now,
        body=answer.envelope,
        domain=key[0],
        source_record_id=key[1],
        source="fetched",
        made_at=time_of(saying.modified),
    )
    sql = statements("recordings_insights")
    await ensure_partitions(work.pool, [entry])
    async with work.pool.transaction() as connection:
        await work.leadership.prove(connection)
        before = await connection.fetchrow(sql["state"], account_id, *key)
        await merge_sayings(connection, account_id, [Said(key, saying)], now)
        after = await connection.fetchrow(sql["state"], account_id, *key)
        new = before != after
        if new or row["insights_state"] != "present":
            await journal(connection, [entry], now)
        if after is not None and after["insights_state"] not in {"absent", "partial"}:
            looked_at = now if now >= _ended_at(row) + LAST_LOOK else None
            await connection.execute(sql["asked"], account_id, *key, looked_at)
            return Outcome.FOUND if new else Outcome.NOTHING_NEW, ""
    outcome = Outcome.NOTES_ONLY if saying.insights else Outcome.MISSING
    return await _put_off(work, row, outcome, "the answer holds none")


def _next_ask(outcome: Outcome, row: asyncpg.Record, now: datetime) -> datetime | None:
    present = row["insights_state"] == "present"
    if outcome is Outcome.FORBIDDEN and not present:  # however long it takes a person to grant it.
        return now + AGAIN
    if outcome in _UNCOUNTED:
        return ask_after_failure(_ended_at(row), row["first_seen_at"], now, present=present)
    if outcome is Outcome.REJECTED or present:
        return None
    return next_ask(_ended_at(row), now, expected=row["expected"])


async def _put_off(work: Fetching, row: asyncpg.Record, outcome: Outcome, why: str) -> tuple[Outcome, str]:
    """They are not there, or not all: ask later, or never again, with the reason on the row."""
    now = work.clock.now()
    counted, due_at = outcome not in _UNCOUNTED, _next_ask(outcome, row, now)
    reason = _reason(outcome, why, expected=row["expected"], last=due_at is None)
    values = (row["domain"], row["source_record_id"], reason, due_at, int(counted), now)
    async with work.pool.transaction() as connection:
        await work.leadership.prove(connection)
        await connection.execute(statements("recordings_insights")["ask_later"], work.client.account_id, *values)
    return outcome, reason


def _reason(outcome: Outcome, why: str, *, expected: bool, last: bool) -> str:
    """A sentence for whoever reads the row."""
    days = EXPECTED[-1].days
    if outcome is Outcome.NOTES_ONLY:
        return f"RingCentral had no more than call notes {days} days after the call" if last else "only call notes yet"
    if outcome is not Outcome.MISSING:
        return why
    if not last:
        return f"RingCentral has none yet ({why})"
    if expected:
        return f"RingCentral had none {days} days after the call ({why})"
    days = EXPECTED_WITHIN.days
    return f"its extension seems to have no licence: no insights within {days} days, and none when asked once ({why})"


async def _explain(work: Fetching, reason: str) -> None:
    """A permission is missing: whatever is due waits for it, and says so."""
    structlog.get_logger().error("insights_forbidden", reason=reason)
    sql = statements("recordings_insights")["explain"]
    async with work.pool.transaction() as connection:
        await work.leadership.prove(connection)
        await connection.execute(sql, work.client.account_id, work.clock.now(), reason, _TOLD)
