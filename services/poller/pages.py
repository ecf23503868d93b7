"""How the call log is read: by sync token, or anew since a time, or, where there is no such endpoint, by windows.

Each way hands over pages, and with each page the cursor that is to be committed with it. A way that RingCentral refuses
leads to the next one, without a gap and without a person:

| the refusal | what follows |
|---|---|
| the token is rejected or forgotten (400, 404) | a full sync since the last poll |
| a full sync is rejected or unknown to the account (400, 403, 404) | `windows`, closed and overlapping, for a day |
| none any more, after that day | a full sync since windows were begun: they see no late rewriting |
| the credential is refused, or lacks a permission | the same with the next credential, which has no token yet |
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from common.clock import Clock
from common.ringcentral.call_log import Changes, changes, window_page
from common.ringcentral.client import RingCentral
from common.ringcentral.errors import CredentialRefused, Forbidden, Missing, Rejected
from common.telemetry.metrics import POLLS
from services.poller.windows import WINDOWS_FOR, Windows, after_window, begin_windows, next_window

#: How far a full sync goes behind the last poll: it goes by the time of modification, so this only has to cover records
#: that were modified while that poll was answered, and clocks that differ.
SYNC_OVERLAP: Final = timedelta(minutes=10)
#: How far a full sync goes back at most to make good what windows did not see. The older endpoint refuses more than 30
#: days (facts 4.4), and being refused for it would leave an account with windows for ever.
LONGEST_LOOK_BACK: Final = timedelta(days=29)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the call log was read. The token belongs to the credential that got it."""

    credential: str
    sync_token: str | None
    polled_until: datetime
    #: None when the sync endpoint has told all up to `polled_until`.
    windows: Windows | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What was read, and the cursor that belongs to it. The last one's cursor is where the next poll begins."""

    changes: Changes
    cursor: Cursor


async def read_pages(client: RingCentral, clock: Clock, cursor: Cursor) -> AsyncGenerator[Page, None]:
    """All pages of changes since the cursor; raises the client's errors when no way is left.

    A caller that stops in between and begins again from the last committed cursor misses nothing.
    """
    refused: CredentialRefused | Forbidden | None = None
    for credential in [cursor.credential, *(one for one in client.credentials if one != cursor.credential)]:
        if credential in client.credentials:
            own = cursor if credential == cursor.credential else replace(cursor, credential=credential, sync_token=None)
            try:
                async for page in _read_with(client, clock, own):
                    yield page
            except (CredentialRefused, Forbidden) as error:
                refused = error
            else:
                return
    raise refused or CredentialRefused("RC_JWT holds no credential that could read the call log")


async def _read_with(client: RingCentral, clock: Clock, cursor: Cursor) -> AsyncGenerator[Page, None]:
    now = clock.now()
    if cursor.windows is None or cursor.windows.until <= now:
        try:
            async for page in _read_changes(client, clock, cursor):
                cursor = page.cursor
                yield page
        except (Rejected, Missing, Forbidden) as error:
            structlog.get_logger().warning("call_log_sync_refused", code=error.code, windows_for=str(WINDOWS_FOR))
            POLLS.labels("sync_refused").inc()
        else:
            return
        windows = begin_windows(cursor.windows, cursor.polled_until, now)
    else:
        windows = cursor.windows
    async for page in _read_window(client, clock, cursor, windows):
        yield page


async def _read_changes(client: RingCentral, clock: Clock, cursor: Cursor) -> AsyncGenerator[Page, None]:
    more = True
    while more:
        asked_at = clock.now()
        found = await _ask_changes(client, cursor, asked_at)
        # An answer that brings neither a record nor another token would be asked for without end.
        more = found.more and bool(found.calls or found.sync_token != cursor.sync_token)
        # By RingCentral's own time where it is told: clocks may differ by more than any overlap.
        until = cursor.polled_until if more else found.as_of or asked_at
        # What began as a full sync since windows were begun is one until its last page.
        cursor = Cursor(cursor.credential, found.sync_token, until, cursor.windows if more else None)
        yield Page(found, cursor)


async def _ask_changes(client: RingCentral, cursor: Cursor, now: datetime) -> Changes:
    since = full_sync_since(cursor, now)
    if cursor.sync_token is not None:
        try:
            return await changes(client, sync_token=cursor.sync_token, since=since, credential=cursor.credential)
        except (Rejected, Missing) as error:
            structlog.get_logger().warning("sync_token_refused", code=error.code)
            POLLS.labels("token_refused").inc()
    return await changes(client, sync_token=None, since=since, credential=cursor.credential)


def full_sync_since(cursor: Cursor, now: datetime) -> datetime:
    """Since when a full sync has to tell what was modified: all that neither sync nor windows have seen. Pure."""
    told_until = cursor.polled_until
    if cursor.windows is not None:
        told_until = min(told_until, max(cursor.windows.since, now - LONGEST_LOOK_BACK))
    return told_until - SYNC_OVERLAP


async def _read_window(
    client: RingCentral, clock: Clock, cursor: Cursor, windows: Windows
) -> AsyncGenerator[Page, None]:
    asked_at = clock.now()
    window = next_window(windows, cursor.polled_until, asked_at)
    number, more = 1, True
    while more:
        found = await window_page(client, window, number, credential=cursor.credential)
        number, more = number + 1, found.more
        cursor = replace(cursor, sync_token=None, windows=windows)
        if not more:
            cursor = replace(cursor, polled_until=asked_at, windows=after_window(windows, asked_at))
        yield Page(found, cursor)
