"""Rebuild: what storage holds → the rows, without anything of Postgres: for a database that is lost.

First the files beside the audio, then the journal, because an event that came after a file was written says more. Calls
without a recording are not in storage: the call log tells of them again (a year of it, facts 4.3).
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import asyncpg

from common.archive.journal_lines import NotAnArchive, event_of, lines_in
from common.archive.sidecar import Sidecar, read_sidecar
from common.clock import Clock
from common.database import calls as call_rows
from common.database.pool import Pool
from common.database.recordings import Said, merge_sayings
from common.database.statements import statements
from common.messages import InsightsReceived
from common.ringcentral.call_log import read_call
from common.storage.interface import Storage
from common.storage.object_names import JOURNAL, PIECE, SIDECAR, account_folder
from common.telemetry.health import Work
from services.insights.handle import handle

#: Events that one transaction takes, as in the service.
_BATCH: Final = 50


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What some objects of the storage came to."""

    recordings: int = 0
    events: int = 0
    #: Files beside audio that is missing, or has another length: their rows are made, and fetched again when possible.
    without_audio: int = 0
    #: Objects that could not be read.
    unreadable: int = 0

    def __add__(self, other: "Rebuilt") -> "Rebuilt":
        return Rebuilt(
            self.recordings + other.recordings,
            self.events + other.events,
            self.without_audio + other.without_audio,
            self.unreadable + other.unreadable,
        )


async def rebuild(
    pool: Pool, storage: Storage, clock: Clock, account_id: str, unread: Callable[[str], None]
) -> AsyncGenerator[Rebuilt, None]:
    """Make the rows of an account again and tell of each object that was read; `unread` gets the others, and why.

    May run twice, and into a database that has rows: those that know more stay, tombstones stay. Raises `StorageError`,
    `DatabaseAway`, and asyncpg's `InsufficientPrivilegeError`.
    """
    folder = account_folder(account_id)
    journal = f"{folder}/{JOURNAL}/"
    async with aclosing(storage.names(folder)) as names:
        async for name in names:
            if name.endswith(SIDECAR) and not name.startswith(journal):
                yield await _told(name, unread, _restore_recording(pool, storage, clock, name))
    async with aclosing(storage.names(journal.rstrip("/"))) as names:
        async for name in names:
            if name.endswith(PIECE):
                yield await _told(name, unread, _restore_events(pool, storage, clock, name))


async def _told(name: str, unread: Callable[[str], None], restoring: Awaitable[Rebuilt]) -> Rebuilt:
    try:
        return await restoring
    except asyncpg.InsufficientPrivilegeError:  # it is the same for all.
        raise
    except (NotAnArchive, FileNotFoundError, asyncpg.PostgresError) as error:
        reason = str(error) if isinstance(error, NotAnArchive) else type(error).__name__
        unread(f"{name}: {reason}")
        return Rebuilt(unreadable=1)


async def _restore_recording(pool: Pool, storage: Storage, clock: Clock, name: str) -> Rebuilt:
    async with aclosing(storage.read(name)) as chunks:
        sidecar = read_sidecar(b"".join([chunk async for chunk in chunks]))
    there = await _is_there(storage, sidecar)
    key = (sidecar.account_id, sidecar.domain, sidecar.source_record_id)
    call, now = read_call(sidecar.call), clock.now()
    async with pool.transaction() as connection:
        if call is not None:
            await call_rows.write(connection, sidecar.account_id, [call_rows.row_of(call)], now)
        said = Said((sidecar.domain, sidecar.source_record_id), sidecar.known)
        await merge_sayings(connection, sidecar.account_id, [said], sidecar.first_seen_at)
        if there:
            await connection.execute(statements("sidecars")["restore_audio"], *key, *sidecar.audio.values(), now)
    return Rebuilt(recordings=1, without_audio=0 if there else 1)


async def _is_there(storage: Storage, sidecar: Sidecar) -> bool:
    """Whether the audio is there, as long as it was; `ringvault verify` compares its bytes."""
    try:
        facts = await storage.head(sidecar.audio["audio_object"])
    except FileNotFoundError:
        return False
    return bool(facts.size == sidecar.audio["audio_bytes"])


async def _restore_events(pool: Pool, storage: Storage, clock: Clock, name: str) -> Rebuilt:
    """Journal the events again and apply them, as when they came."""
    batch: list[InsightsReceived] = []
    restored = 0
    async with aclosing(storage.read(name)) as chunks, aclosing(lines_in(chunks)) as lines:
        async for line in lines:
            batch.append(event_of(line))
            if len(batch) == _BATCH:
                restored += await _apply(pool, clock, batch)
                batch = []
    return Rebuilt(events=restored + await _apply(pool, clock, batch))


async def _apply(pool: Pool, clock: Clock, batch: list[InsightsReceived]) -> int:
    try:
        await handle(pool, clock, batch, Work())
    except asyncpg.PostgresError:  # one that Postgres refuses never stops the others: see the consume loop
        for event in batch:
            await handle(pool, clock, [event], Work())
    return len(batch)
