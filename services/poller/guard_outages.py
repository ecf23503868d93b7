"""Outages: the intervals in which no event could reach us, and what was missed in them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from common.database.call_log_rows import DOMAIN
from common.database.outages import BEGAN_BEFORE
from common.database.statements import statements
from common.telemetry.metrics import SUBSCRIPTION_EXPIRES, SUBSCRIPTION_LIVE, SUBSCRIPTION_OUTAGES
from services.poller.guard_duty import Duty
from services.poller.guard_judge import Fault, Judged

#: How long RingCentral may have had insights of two recordings while no event at all came.
SILENT_AFTER: Final = timedelta(minutes=30)
#: The same for one recording alone: in a company with few calls, the event may have been lost and nobody called since.
ALONE_AFTER: Final = timedelta(days=1)
#: How far back answers are looked at that may show a silence: each pass looks, and one may have been away for a night.
LOOK_BACK: Final = ALONE_AFTER + timedelta(days=1)
#: Recordings of a dark interval that fall due in one transaction, a fraction of a second. It holds the lease's row, so
#: that one for a whole month's would keep the leader from renewing the lease until it is lost, again and again. It
#: bounds what is found: of the interval's recordings those that lack nothing are read as well, however many they are.
TOGETHER: Final = 5000


def silence_guard() -> None:
    """Say nothing any more: somebody else leads."""
    SUBSCRIPTION_LIVE.set(0)
    SUBSCRIPTION_EXPIRES.set(0)


async def begin_outage(duty: Duty, judged: Sequence[Judged]) -> None:
    """None of ours delivers: record since when, once. May run twice."""
    last = max(judged, key=lambda one: one.live_until)
    if last.fault is not None:
        await _begin(duty, last.fault, last.live_until, last.subscription_id)


async def _begin(duty: Duty, fault: Fault, since: datetime, subscription_id: str) -> None:
    SUBSCRIPTION_LIVE.set(0)
    values = (duty.client.account_id, since, duty.clock.now(), fault.value, subscription_id)
    async with duty.pool.transaction() as connection:
        await duty.leadership.prove(connection)
        begun = await connection.fetchval(statements("subscription_outages")["begin"], *values)
    if begun is not None:
        SUBSCRIPTION_OUTAGES.labels(fault.value).inc()
        log = structlog.get_logger()
        log.error("subscription_outage_began", reason=fault.value, since=since.isoformat())


async def begin_disabled(duty: Duty, subscription_id: str, since: datetime) -> None:
    """The subscription is there, but its filters are disabled: nothing comes until a person has granted the permission.

    May run twice.
    """
    await _begin(duty, Fault.FILTERS_DISABLED, since, subscription_id)


async def end_outage(duty: Duty, subscription_id: str) -> None:
    """Events reach us: note it, end the outage that goes on, and let the insights that it has cost fall due.

    May run twice.
    """
    now, account_id = duty.clock.now(), duty.client.account_id
    SUBSCRIPTION_LIVE.set(1)
    async with duty.pool.transaction() as connection:
        await duty.leadership.prove(connection)
        await connection.execute(statements("subscriptions")["seen_live"], subscription_id, now)
        outage = await connection.fetchrow(statements("subscription_outages")["find_open"], account_id)
    if outage is None:
        return
    due = await _fall_due(duty, outage["began_at"] - BEGAN_BEFORE, now)
    async with duty.pool.transaction() as connection:
        await duty.leadership.prove(connection)
        await connection.execute(statements("subscription_outages")["end"], outage["outage_id"], now, due)
    seconds = round((now - outage["began_at"]).total_seconds())
    log = structlog.get_logger().bind(reason=outage["reason"], seconds=seconds, recordings_due=due)
    lost = [domain for domain in duty.wanted.domains if domain != DOMAIN]
    log.warning("subscription_outage_ended", not_recoverable=lost)


async def _fall_due(duty: Duty, began: datetime, now: datetime) -> int:
    """Let what lacks insights since then fall due, and return how many that were. May run twice."""
    sql = statements("recordings_insights")["fall_due"]
    due, found = 0, TOGETHER
    while found == TOGETHER:
        async with duty.pool.transaction() as connection:
            await duty.leadership.prove(connection)
            row = await connection.fetchrow(sql, duty.client.account_id, began, now, now, TOGETHER)
        assert row is not None
        found, began = row["found"], row["until"]
        due += row["due"]
    return due


async def look_for_silence(duty: Duty) -> None:
    """Take the subscription for dead when RingCentral had insights and no event came since; this pass replaces it.

    May run at any time when no event waits to be journaled.
    """
    sql, now = statements("subscriptions")["fall_silent"], duty.clock.now()
    since_when = (now - SILENT_AFTER, now - LOOK_BACK, now - ALONE_AFTER)
    for row in await duty.pool.fetch(sql, duty.client.account_id, list(duty.wanted.domains), *since_when):
        since = row["silent_since"].isoformat()
        structlog.get_logger().error("subscription_silent", subscription_id=row["subscription_id"], since=since)
