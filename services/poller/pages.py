"""How the call log is read: by sync token, or anew since a time, or, where there is no such endpoint, by windows.

Each way hands over pages, and with each page the cursor that is to be committed with it. A way that RingCentral refuses
leads to the next one, without a gap and without a person:

| the refusal | what follows |
|---|---|
| the token is rejected or forgotten (400, 404) | a full sync since the last poll |
| a full sync is rejected or unknown to the account (400, 403, 404) | closed, overlapping windows, for a day |
| the credential is refused, or lacks a permission | the same with the next credential, which has no token yet |
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from common.clock import Clock
from common.ringcentral.call_log import Changes, Window, changes, window_page
from common.ringcentral.client import RingCentral
from common.ringcentral.errors import CredentialRefused, Forbidden, Missing, Rejected
from common.telemetry.metrics import POLLS

#: How far a full sync goes behind the last poll: it goes by the time of modification, so this only has to cover records
#: that were modified while that poll was answered, and clocks that differ.
SYNC_OVERLAP: Final = timedelta(minutes=10)
#: How far windows go behind the last poll: they go by the start of a call, and a call is written when it has ended, so
#: this has to cover the longest call, and recordings that are added to a record later (facts 4.3). Each record is read
#: by many polls, which also makes good what slips from one page to another while the pages are read.
WINDOW_OVERLAP: Final = timedelta(hours=4)
#: How long windows are used before the sync endpoint is tried again.
WINDOWS_FOR: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the call log was read. The token belongs to the credential that got it."""

    credential: str
    sync_token: str | None
    polled_until: datetime
    windows_until: datetime | None = None


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
    if cursor.windows_until is None or cursor.windows_until <= now:
        try:
            async for page in _read_changes(client, clock, cursor):
                cursor = page.cursor
                yield page
        except (Rejected, Missing, Forbidden) as error:
            structlog.get_logger().warning("call_log_sync_refused", code=error.code, windows_for=str(WINDOWS_FOR))
            POLLS.labels("sync_refused").inc()
            cursor = replace(cursor, sync_token=None, windows_until=now + WINDOWS_FOR)
        else:
            return
    async for page in _read_windows(client, clock, cursor):
        yield page


async def _read_changes(client: RingCentral, clock: Clock, cursor: Cursor) -> AsyncGenerator[Page, None]:
    more = True
    while more:
        asked_at = clock.now()
        found = await _ask_changes(client, cursor)
        # An answer that brings neither a record nor another token would be asked for without end.
        more = found.more and bool(found.calls or found.sync_token != cursor.sync_token)
        # By RingCentral's own time where it is told: clocks may differ by more than any overlap.
        until = cursor.polled_until if more else found.as_of or asked_at
        cursor = Cursor(cursor.credential, found.sync_token, until)
        yield Page(found, cursor)


async def _ask_changes(client: RingCentral, cursor: Cursor) -> Changes:
    behind = SYNC_OVERLAP + (WINDOWS_FOR if cursor.windows_until else timedelta())  # windows see no late rewriting
    since = cursor.polled_until - behind
    if cursor.sync_token is not None:
        try:
            return await changes(client, sync_token=cursor.sync_token, since=since, credential=cursor.credential)
        except (Rejected, Missing) as error:
            structlog.get_logger().warning("sync_token_refused", code=error.code)
            POLLS.labels("token_refused").inc()
    return await changes(client, sync_token=None, since=since, credential=cursor.credential)


async def _read_windows(client: RingCentral, clock: Clock, cursor: Cursor) -> AsyncGenerator[Page, None]:
    asked_at = clock.now()
    window = Window(cursor.polled_until - WINDOW_OVERLAP, asked_at)
    number, more = 1, True
    while more:
        found = await window_page(client, window, number, credential=cursor.credential)
        number, more = number + 1, found.more
        until = cursor.polled_until if more else asked_at
        yield Page(found, replace(cursor, sync_token=None, polled_until=until))
