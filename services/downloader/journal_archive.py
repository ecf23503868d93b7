"""Closed days of the journal → storage, and out of Postgres again when `JOURNAL_KEEP` says so.

A day is closed an hour after its end (UTC). It is written in pieces: events that come later, because a receiver's spool
was drained late, make a further piece. No object is ever written over: the row in `journal_archives` says which one
counts, and what a crash leaves without a row holds only what another piece holds as well.
"""

import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import structlog

from common.archive.journal_lines import Squeezed, line_of
from common.clock import Clock
from common.database.pool import Pool
from common.database.statements import statements
from common.messages import InsightsReceived
from common.storage.interface import Storage, StorageError
from common.storage.object_names import journal_object_name

#: How long after its end a day counts as closed: what the broker held up is here by then.
CLOSED_AFTER: Final = timedelta(hours=1)
#: Events of one piece at most: some hundred MB of transcripts, which are squeezed to a tenth.
PIECE_EVENTS: Final = 10_000
#: Events that are read together: transcripts of some hundred KB each at worst.
_PAGE: Final = 50
_CONTENT_TYPE: Final = "application/gzip"


@dataclass(slots=True)
class _Piece:
    """Up to `PIECE_EVENTS` events of a day, as they are written."""

    pool: Pool
    account_id: str
    begin: datetime
    end: datetime
    digests: list[bytes] = field(default_factory=list)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        squeezed, after = Squeezed(), (self.begin, b"")
        while len(self.digests) < PIECE_EVENTS:
            sql = statements("journal_archives")["page"]
            rows = await self.pool.fetch(sql, self.account_id, self.begin, self.end, *after, _PAGE)
            if not rows:
                break
            events = [InsightsReceived(row["raw"], self.account_id, row["received_at"]) for row in rows]
            yield squeezed.add(line_of(event) for event in events)
            self.digests += [row["digest"] for row in rows]
            after = rows[-1]["received_at"], rows[-1]["digest"]
        yield squeezed.end()


async def archive_piece(pool: Pool, storage: Storage, clock: Clock) -> bool:
    """Write the next piece of a closed day to storage; False when all of them are there. May run twice.

    Raises `StorageError`, and `DatabaseAway` when the database is.
    """
    now = clock.now()
    closed = _begin_of((now - CLOSED_AFTER).astimezone(UTC).date())
    sql = statements("journal_archives")
    oldest = await pool.fetchrow(sql["oldest_unarchived"], closed)
    if oldest is None:
        return False
    account_id, day = oldest["account_id"], oldest["day"]
    number = 1 + await pool.fetchval(sql["last_number"], account_id, day)
    name = journal_object_name(account_id, day, number, uuid.uuid4().hex[:8])
    piece = _Piece(pool, account_id, _begin_of(day), _begin_of(day + timedelta(days=1)))
    stored = await storage.put(name, piece.chunks(), content_type=_CONTENT_TYPE)
    await _demand_length(storage, name, stored.size)
    async with pool.transaction() as connection:
        told = (name, len(piece.digests), stored.size, stored.sha256, now)
        first = await connection.fetchval(sql["add"], account_id, day, number, *told) is not None
        if first:
            await connection.execute(sql["mark"], account_id, piece.begin, piece.end, piece.digests, now)
    if not first:  # another process did the same, and was quicker.
        await storage.delete(name)
        return True
    log = structlog.get_logger()
    log.info("journal_archived", day=str(day), number=number, events=len(piece.digests), size=stored.size)
    return True


async def forget_day(pool: Pool, storage: Storage, clock: Clock, keep: timedelta) -> bool:
    """Delete one day's events that are older than `keep` from Postgres, once storage shows its pieces; False when there
    is none. Events of domains that cannot be listed again stay, and so does every digest. May run twice.

    Raises `StorageError` when a piece is missing or shorter, and `DatabaseAway`.
    """
    sql = statements("journal_archives")
    oldest = await pool.fetchrow(sql["forgettable_day"], _begin_of((clock.now() - keep).astimezone(UTC).date()))
    if oldest is None:
        return False
    account_id, day = oldest["account_id"], oldest["day"]
    for piece in await pool.fetch(sql["pieces"], account_id, day):
        await _demand_length(storage, piece["object"], piece["bytes"])
    await pool.execute(sql["forget"], account_id, _begin_of(day), _begin_of(day + timedelta(days=1)))
    structlog.get_logger().info("journal_forgotten", day=str(day))
    return True


async def _demand_length(storage: Storage, name: str, size: int) -> None:
    try:
        found = (await storage.head(name)).size
    except FileNotFoundError:
        raise StorageError(f"the storage has lost {name}, a piece of the journal") from None
    if found != size:
        raise StorageError(f"the storage holds {found} of the {size} bytes of {name}, a piece of the journal")


def _begin_of(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
