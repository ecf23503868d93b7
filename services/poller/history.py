"""Reading what the call log says of the past, window by window, independent of the cursor: what is missing is healed.

A window is a day of start times, so that it fits into a few pages; each is read once, from its first page to its last,
and noted then. So whoever goes on after a crash reads one window again at most, which changes nothing.

| why a recording was missing | |
|---|---|
| `call_unseen` | no poll told of its call: the poller was away for long, or RingCentral's answer left it out |
| `recording_late` | its call was known without it: it was added, and no poll told of the change |
| `row_lost` | its call was known with it, but its row is not there: it was deleted, or could not be written |
| `given_up` | its schedule was used up, or it was unavailable, and is still listed: it is tried once more |
"""

from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import structlog

from common.clock import Clock
from common.database.call_log_rows import DOMAIN, write_calls
from common.database.pool import Pool
from common.database.statements import statements
from common.ringcentral.budget import Priority
from common.ringcentral.call_log import Call, Window, window_page
from common.ringcentral.client import RingCentral
from common.telemetry.health import Progress, unwatched

#: Start times that one window spans.
A_WINDOW: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Healing:
    """How what is missing is healed."""

    #: Of the requests, and of fetching audio.
    priority: Priority
    #: Cells of the ledger whose audio is tried once more, as RingCentral still lists the recording.
    given_up: Sequence[str]


@dataclass(frozen=True, slots=True)
class Found:
    """What a window, or several, held."""

    calls: int = 0
    recordings: int = 0
    #: Calls that were not known.
    new_calls: int = 0
    #: Recordings that were missing, by why.
    healed: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: "Found") -> "Found":
        return Found(
            self.calls + other.calls,
            self.recordings + other.recordings,
            self.new_calls + other.new_calls,
            dict(Counter(self.healed) + Counter(other.healed)),
        )


def windows_between(begin: datetime, end: datetime) -> Iterator[Window]:
    """The windows of a span, the oldest first: it is the first that RingCentral drops."""
    while begin < end:
        window = Window(begin, min(begin + A_WINDOW, end))
        yield window
        begin = window.end


async def read_window(
    client: RingCentral,
    pool: Pool,
    clock: Clock,
    window: Window,
    healing: Healing,
    progress: Progress = unwatched,
) -> Found:
    """All calls that began in a window → rows. May run twice, and beside polls.

    Raises the client's errors, and `DatabaseAway`.
    """
    found = Found()
    async for calls in _pages(client, window, healing.priority):
        found += await _write(client.account_id, pool, calls, clock.now(), healing)
        progress()
    return found


async def _pages(client: RingCentral, window: Window, priority: Priority) -> AsyncGenerator[Sequence[Call], None]:
    number, more, seen = 1, True, set[str]()
    while more:
        page = await window_page(client, window, number, priority=priority)
        fresh = [call for call in page.calls if call.call_log_id not in seen]
        seen |= {call.call_log_id for call in fresh}
        if page.unreadable:
            structlog.get_logger().error("call_log_records_unreadable", records=page.unreadable)
        yield fresh
        number, more = number + 1, page.more and bool(page.calls)


async def _write(account_id: str, pool: Pool, calls: Sequence[Call], now: datetime, healing: Healing) -> Found:
    try:
        return await _write_together(account_id, pool, calls, now, healing)
    except asyncpg.PostgresError:
        return await _write_singly(account_id, pool, calls, now, healing)


async def _write_together(account_id: str, pool: Pool, calls: Sequence[Call], now: datetime, healing: Healing) -> Found:
    recordings = sorted({recording for call in calls for recording in call.recordings})
    async with pool.transaction() as connection:
        known = {
            row["call_log_id"]: row["has_recording"]
            for row in await connection.fetch(
                statements("call_log_readings")["known_calls"], account_id, [call.call_log_id for call in calls]
            )
        }
        cells = {
            row["source_record_id"]: row["audio_cell"]
            for row in await connection.fetch(
                statements("call_log_readings")["known_recordings"], account_id, DOMAIN, recordings
            )
        }
        await write_calls(connection, account_id, calls, now, priority=healing.priority)
        await connection.execute(
            statements("call_log_readings")["try_again"],
            account_id,
            DOMAIN,
            [recording for recording, cell in cells.items() if cell in healing.given_up],
            now,
            int(healing.priority),
            healing.given_up,
        )
    healed = Counter(
        why
        for call in calls
        for recording in call.recordings
        if (why := _why(call, recording, known, cells, healing.given_up))
    )
    return Found(len(calls), len(recordings), sum(call.call_log_id not in known for call in calls), dict(healed))


def _why(
    call: Call, recording: str, known: Mapping[str, bool], cells: Mapping[str, str], given_up: Sequence[str]
) -> str | None:
    """Why a recording was missing, or nothing when it was not."""
    cell = cells.get(recording)
    if cell in given_up:
        return "given_up"
    if cell not in {None, "unknown"}:
        return None
    if call.call_log_id not in known:
        return "call_unseen"
    return "row_lost" if known[call.call_log_id] and cell is None else "recording_late"


async def _write_singly(account_id: str, pool: Pool, calls: Sequence[Call], now: datetime, healing: Healing) -> Found:
    """Postgres refuses something on the page: write what it takes, and go on; one record never stops the others."""
    found = Found()
    for call in calls:
        try:
            found += await _write_together(account_id, pool, [call], now, healing)
        except asyncpg.PostgresError:
            log = structlog.get_logger()
            log.exception("call_log_record_refused", call_log_id=call.call_log_id[:64])
    return found
