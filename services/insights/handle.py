"""The handler: journal and merge in one transaction."""

from collections.abc import Sequence

import asyncpg
import structlog

from common.clock import Clock
from common.database.insight_events import Entry, ensure_partitions, journal
from common.database.pool import DatabaseAway, Pool
from common.database.recordings import Said, bring_forward, merge_sayings
from common.messages import InsightsReceived
from common.telemetry.health import Work
from common.telemetry.metrics import EVENTS_JOURNALED
from services.insights.understand import Understood, journal_alone, understand


async def handle(pool: Pool, clock: Clock, messages: Sequence[InsightsReceived], _work: Work) -> None:
    """Journal events and merge them into their rows. May run twice: an event that is journaled changes nothing.

    Returns when all of it is durable. What Postgres refuses to take as JSON is journaled without; a batch that fails
    raises, and the loop hands its events over one by one.
    """
    events = [understand(message) for message in messages]
    try:
        await _write(pool, clock, events)
    except DatabaseAway:
        raise
    except asyncpg.PostgresError as error:
        if len(events) > 1:
            raise
        structlog.get_logger().warning("event_not_applied", error=type(error).__name__)
        await _write(pool, clock, [journal_alone(events[0], f"Postgres refused it: {type(error).__name__}")])


async def _write(pool: Pool, clock: Clock, events: Sequence[Understood]) -> None:
    entries: list[Entry] = [event.entry for event in events]
    now = clock.now()
    await ensure_partitions(pool, entries)
    async with pool.transaction() as connection:
        fresh = await journal(connection, entries, now)
        for account_id in sorted({entry.account_id for entry in entries}):
            said = [
                Said((event.insights.domain, event.insights.source_record_id), event.insights.saying)
                for event in events
                if event.insights and event.entry.account_id == account_id and event.entry.digest in fresh
            ]
            await merge_sayings(connection, account_id, said, now)
            await bring_forward(connection, account_id, [one.key for one in said], now)
    errors = {entry.digest for entry in entries if entry.error} & fresh
    EVENTS_JOURNALED.labels("with_error").inc(len(errors))
    EVENTS_JOURNALED.labels("applied").inc(len(fresh) - len(errors))
    EVENTS_JOURNALED.labels("duplicate").inc(len(entries) - len(fresh))
    structlog.get_logger().info("events_journaled", events=len(entries), new=len(fresh), with_error=len(errors))
