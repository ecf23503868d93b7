"""Replay: what the journal holds → the rows, as if it all arrived again. Changes nothing that is as it should be."""

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from common.clock import Clock
from common.database.insight_events import Entry
from common.database.pool import Connection, DatabaseAway, Pool
from common.database.recordings import Said, merge_sayings
from common.database.statements import statements
from common.messages import InsightsReceived
from services.insights.understand import Understood, understand

#: Events that one transaction takes, as in the handler.
PAGE: Final = 50


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events: by their time of arrival, `since` included and `until` not, and perhaps of one domain only."""

    since: datetime
    until: datetime
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a page of the journal came to."""

    events: int = 0
    #: Rows of `recordings` that learnt something.
    changed: int = 0
    #: Events that say nothing of a recording, or that Postgres refuses: they stay in the journal with their error.
    not_applied: int = 0

    def __add__(self, other: "Replayed") -> "Replayed":
        return Replayed(self.events + other.events, self.changed + other.changed, self.not_applied + other.not_applied)


async def count(pool: Pool, selection: Selection) -> int:
    """How many events the selection holds."""
    sql = statements("insight_events")["count"]
    found: int = await pool.fetchval(sql, selection.since, selection.until, selection.domain)
    return found


async def replay(
    pool: Pool, clock: Clock, selection: Selection, not_applied: Callable[[str], None]
) -> AsyncGenerator[Replayed, None]:
    """Merge the events of the journal again, the oldest first, and tell of each page.

    `not_applied` gets each event that was not, by the key of its row in the journal, and why; nothing of what it says.

    May run twice, beside the services, and again after it was broken off. What could not be understood when it came,
    and is now, says so in the journal from then on. Tombstones stay. Raises `DatabaseAway`.
    """
    after = (selection.since, b"")
    while True:
        sql = statements("insight_events")["page"]
        rows = await pool.fetch(sql, selection.since, selection.until, *after, selection.domain, PAGE)
        if not rows:
            return
        events = [_understood(row, selection.domain) for row in rows]
        yield await _apply_page(pool, clock, [event for event in events if event is not None], not_applied)
        after = rows[-1]["received_at"], rows[-1]["digest"]


def _understood(row: asyncpg.Record, domain: str | None) -> Understood | None:
    """The event, when it is of this domain; what is of none yet may be of any."""
    event = understand(InsightsReceived(row["raw"], row["account_id"], row["received_at"]))
    return event if domain in {None, event.entry.domain} else None


async def _apply_page(
    pool: Pool, clock: Clock, events: Sequence[Understood], not_applied: Callable[[str], None]
) -> Replayed:
    try:
        changed, failed = await _apply(pool, clock, events), 0
    except DatabaseAway:
        raise
    except asyncpg.PostgresError:
        changed, failed = await _apply_singly(pool, clock, events, not_applied)
    silent = [event.entry for event in events if event.insights is None]
    for entry in silent:
        not_applied(_named(entry, entry.error))
    return Replayed(len(events), changed, len(silent) + failed)


async def _apply(pool: Pool, clock: Clock, events: Sequence[Understood]) -> int:
    """Rows and journal in one transaction; the rows that changed."""
    now, changed = clock.now(), 0
    async with pool.transaction() as connection:
        for account_id in sorted({event.entry.account_id for event in events}):
            said = [
                Said((event.insights.domain, event.insights.source_record_id), event.insights.saying)
                for event in events
                if event.insights and event.entry.account_id == account_id
            ]
            changed += await merge_sayings(connection, account_id, said, now)
        await _note(connection, [event for event in events if event.insights], now)
    return changed


async def _note(connection: Connection, events: Sequence[Understood], now: datetime) -> None:
    entries = [event.entry for event in events]
    await connection.execute(
        statements("insight_events")["understand"],
        [entry.digest for entry in entries],
        [entry.received_at for entry in entries],
        [None if entry.body is None else json.dumps(entry.body) for entry in entries],
        [entry.uuid for entry in entries],
        [entry.domain for entry in entries],
        [entry.source_record_id for entry in entries],
        [now for _ in entries],
        [entry.error for entry in entries],
    )


async def _apply_singly(
    pool: Pool, clock: Clock, events: Sequence[Understood], not_applied: Callable[[str], None]
) -> tuple[int, int]:
    """One that Postgres refuses never stops the others: rows that changed, and events that were refused."""
    changed = failed = 0
    for event in events:
        try:
            changed += await _apply(pool, clock, [event])
        except asyncpg.PostgresError as error:
            failed += 1
            not_applied(_named(event.entry, f"Postgres refused it: {type(error).__name__}"))
    return changed, failed


def _named(entry: Entry, why: str | None) -> str:
    return f"{entry.received_at.isoformat()} \\x{entry.digest.hex()}: {why}"
