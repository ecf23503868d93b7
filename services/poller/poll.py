"""Polling: what changed in the call log since the cursor → rows and cursor, in one transaction."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from common.clock import Clock
from common.database import calls as call_rows
from common.database.pool import Pool
from common.database.recordings import Said, merge_sayings
from common.database.statements import statements
from common.plain_json import map_of
from common.ringcentral.call_log import Call, Changes, changes, digest_of_call
from common.ringcentral.client import RingCentral
from common.ringcentral.errors import Rejected
from common.telemetry.metrics import CALLS_SEEN, POLLED_UNTIL, POLLS
from services.poller.leadership import Leadership

#: The domain whose calls the call log lists.
DOMAIN: Final = "pbx"
#: How far the very first poll looks back; what is older is the business of a backfill.
FIRST_LOOK: Final = timedelta(hours=24)
#: How far a poll without a token goes behind the last one: for records that were modified while that one was answered,
#: and for clocks that differ.
OVERLAP: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the call log was read. The token belongs to the credential that got it."""

    credential: str
    sync_token: str | None
    since: datetime


async def poll(client: RingCentral, pool: Pool, clock: Clock, leadership: Leadership) -> int:
    """Read all changes since the cursor, page by page, and return the number of records read.

    Each page is committed with its cursor, so a crash repeats at most one page, which changes nothing. Raises the
    client's errors, `LeadershipLost`, and the database's.
    """
    read = 0
    while True:
        cursor = await _find_cursor(client, pool, clock)
        asked_at = clock.now()
        page = await _ask(client, pool, clock, cursor)
        await _commit(client.account_id, pool, page, cursor, asked_at, leadership)
        read += len(page.calls)
        CALLS_SEEN.inc(len(page.calls))
        if not page.more:
            POLLS.labels("read").inc()
            POLLED_UNTIL.set(asked_at.timestamp())
            structlog.get_logger().info("call_log_polled", records=read)
            return read


async def _find_cursor(client: RingCentral, pool: Pool, clock: Clock) -> Cursor:
    row = await pool.fetchrow(statements("call_log_cursors")["find"], client.account_id)
    if row is None:
        return Cursor(client.credentials[0], None, clock.now() - FIRST_LOOK)
    if row["credential"] not in client.credentials:
        return Cursor(client.credentials[0], None, row["polled_until"] - OVERLAP)
    return Cursor(row["credential"], row["sync_token"], row["polled_until"] - OVERLAP)


async def _ask(client: RingCentral, pool: Pool, clock: Clock, cursor: Cursor) -> Changes:
    try:
        return await changes(client, sync_token=cursor.sync_token, since=cursor.since, credential=cursor.credential)
    except Rejected as error:
        if cursor.sync_token is None:
            raise
        structlog.get_logger().warning("sync_token_refused", code=error.code)
        POLLS.labels("token_refused").inc()
        await pool.execute(statements("call_log_cursors")["drop_token"], client.account_id, clock.now())
        return await changes(client, sync_token=None, since=cursor.since, credential=cursor.credential)


async def _commit(
    account_id: str, pool: Pool, page: Changes, cursor: Cursor, asked_at: datetime, leadership: Leadership
) -> None:
    if page.unreadable:
        structlog.get_logger().error("call_log_records_unreadable", records=page.unreadable)
    latest = _latest(page.calls)
    said = [Said((DOMAIN, recording), saying) for call in page.calls for recording, saying in call.recordings.items()]
    polled_until = cursor.since + OVERLAP if page.more else asked_at
    async with pool.acquire() as connection, connection.transaction():
        await leadership.prove(connection)
        await call_rows.write(connection, account_id, [_row(call) for call in latest], asked_at)
        await merge_sayings(connection, account_id, said, asked_at)
        await connection.execute(
            statements("call_log_cursors")["move"],
            account_id,
            cursor.credential,
            page.sync_token,
            polled_until,
            asked_at,
        )


def _latest(calls: Sequence[Call]) -> list[Call]:
    """One wording per record: a page may hold several."""
    return list({call.call_log_id: call for call in sorted(calls, key=_version)}.values())


def _version(call: Call) -> tuple[float, str]:
    return call.modified_at.timestamp() if call.modified_at else 0.0, digest_of_call(call)


def _row(call: Call) -> dict[str, Any]:
    row = asdict(call)
    del row["recordings"]
    times = {name: value.isoformat() for name, value in row.items() if isinstance(value, datetime)}
    return row | times | {"has_recording": bool(call.recordings), "entry": map_of(call.entry)}
