"""Polling: what changed in the call log since the cursor → rows and cursor, in one transaction."""

from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import structlog

from common.clock import Clock
from common.database.call_log_rows import write_calls
from common.database.pool import Pool
from common.database.statements import statements
from common.ringcentral.budget import Priority
from common.ringcentral.call_log import Call
from common.ringcentral.client import RingCentral
from common.telemetry.health import Progress, unwatched
from common.telemetry.metrics import CALLS_SEEN, POLLED_UNTIL, POLLS
from services.poller.leadership import Leadership
from services.poller.pages import Cursor, Page, read_pages
from services.poller.windows import Windows

#: How far the very first poll looks back; what is older is the business of a backfill.
FIRST_LOOK: Final = timedelta(hours=24)


async def poll(
    client: RingCentral, pool: Pool, clock: Clock, leadership: Leadership, progress: Progress = unwatched
) -> int:
    """Read all changes since the cursor, page by page, and return the number of records read.

    Each page is committed with its cursor, so a crash repeats at most one page, which changes nothing. Raises the
    client's errors, `LeadershipLost`, and the database's.
    """
    read = 0
    cursor = await _find_cursor(client, pool, clock)
    async with aclosing(read_pages(client, clock, cursor)) as pages:
        async for page in pages:
            await _commit(client.account_id, pool, page, clock.now(), leadership)
            progress()
            cursor = page.cursor
            read += len(page.changes.calls)
            CALLS_SEEN.inc(len(page.changes.calls))
    POLLS.labels("read").inc()
    POLLED_UNTIL.set(cursor.polled_until.timestamp())
    structlog.get_logger().info("call_log_polled", records=read, by_windows=cursor.windows is not None)
    return read


async def _find_cursor(client: RingCentral, pool: Pool, clock: Clock) -> Cursor:
    row = await pool.fetchrow(statements("call_log_cursors")["find"], client.account_id)
    if row is None:
        return Cursor(client.credentials[0], None, clock.now() - FIRST_LOOK)
    times = row["windows_since"], row["windows_until"], row["windows_deep_until"]
    return Cursor(row["credential"], row["sync_token"], row["polled_until"], None if None in times else Windows(*times))


async def _commit(account_id: str, pool: Pool, page: Page, now: datetime, leadership: Leadership) -> None:
    if page.changes.unreadable:
        structlog.get_logger().error("call_log_records_unreadable", records=page.changes.unreadable)
    try:
        await write_as_leader(account_id, pool, page.changes.calls, page.cursor, now, leadership)
    except asyncpg.PostgresError:
        await _write_singly(account_id, pool, page, now, leadership)


async def write_as_leader(
    account_id: str, pool: Pool, calls: Sequence[Call], cursor: Cursor | None, now: datetime, leadership: Leadership
) -> None:
    """Rows, and the cursor if there is one, in one transaction. May run twice. Raises `LeadershipLost`."""
    async with pool.transaction() as connection:
        await leadership.prove(connection)
        await write_calls(connection, account_id, calls, now, priority=Priority.LIVE)
        if cursor is not None:
            await connection.execute(
                statements("call_log_cursors")["move"],
                account_id,
                cursor.credential,
                cursor.sync_token,
                cursor.polled_until,
                cursor.windows and cursor.windows.since,
                cursor.windows and cursor.windows.until,
                cursor.windows and cursor.windows.deep_until,
                now,
            )


async def _write_singly(account_id: str, pool: Pool, page: Page, now: datetime, leadership: Leadership) -> None:
    """Postgres refuses something on the page: write what it takes, and go on; one record never stops the others."""
    for call in page.changes.calls:
        try:
            await write_as_leader(account_id, pool, [call], None, now, leadership)
        except asyncpg.PostgresError:
            log = structlog.get_logger()
            log.exception("call_log_record_refused", call_log_id=call.call_log_id[:64])
    await write_as_leader(account_id, pool, [], page.cursor, now, leadership)
