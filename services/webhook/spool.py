"""The spool of one process: events that the broker did not take in time, fsynced, until it has.

All file work happens in one thread. Events that arrive while it writes are written together by the next commit, so that
a thousand at once cost a few fsyncs. Nothing leaves before `remove`; whatever is left at the end is adopted by another.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import structlog

from common.clock import Clock
from common.messages import Wire
from common.telemetry.metrics import SPOOL_EVENTS, SPOOL_OLDEST_SECONDS
from services.webhook.spool_file import SpoolDamaged, SpoolDiskFails, SpoolFile, SpoolUnusable, Waiting
from services.webhook.spool_folder import SpoolFolder

__all__ = ["Batch", "Spool", "SpoolUnusable", "open_spool"]

#: Bytes of bodies that one batch may hold: the drain's memory.
_BATCH_BYTES: Final = 4 * 1024 * 1024

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Batch:
    """The oldest events of one file, or none of no file."""

    file: SpoolFile | None
    events: Sequence[Waiting]


class Spool:
    """See above; made by `open_spool`."""

    def __init__(self, folder: SpoolFolder, thread: ThreadPoolExecutor, limit: int, clock: Clock) -> None:
        self._folder = folder
        self._own: SpoolFile | None = None  # until the disk has taken one.
        self._adopted: list[SpoolFile] = []
        self._thread = thread
        self._limit = limit
        self._clock = clock
        self._unwritten: dict[asyncio.Future[None], tuple[str, Wire]] = {}  # by what their senders wait for.
        self._writer: asyncio.Task[None] | None = None
        self._promised = 0  # bytes of those that are not yet counted in the file.
        self._failing = False
        self._replacing = asyncio.Lock()
        self._filled = asyncio.Event()

    async def open(self) -> None:
        """Make our file; a disk that is full or fails may take it later. Raises `SpoolUnusable`."""
        try:
            await self._own_file()
        except SpoolDiskFails as error:
            self._failing = True
            structlog.get_logger().error("spool_failing", reason=str(error))

    @property
    def events(self) -> int:
        """Events that wait, those of adopted files included."""
        return sum(file.events for file in self._files())

    @property
    def oldest_seconds(self) -> float:
        """The age of the oldest event; 0 when there is none."""
        ages = [self._now() - file.oldest_at for file in self._files() if file.oldest_at is not None]
        return max(ages, default=0.0)

    @property
    def _own_bytes(self) -> int:
        return self._own.bytes if self._own else 0

    @property
    def accepts(self) -> bool:
        """Whether the next `put` should work."""
        return not self._failing and self._own_bytes < self._limit

    async def wait_filled(self) -> None:
        """Return once there is an event."""
        await self._filled.wait()

    async def put(self, queue: str, wire: Wire) -> None:
        """Return when the message is on disk; raises `SpoolUnusable`. Cancelled, it may be there all the same."""
        if self._own_bytes + self._promised + len(wire.body) > self._limit:
            raise SpoolUnusable("the limit of the spool is reached")
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unwritten[written] = (queue, wire)
        self._promised += len(wire.body)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        try:
            await written
        finally:
            # Whoever gives up has told the sender so: while a disk hangs, nothing is held for him.
            if self._unwritten.pop(written, None) is not None:
                self._promised -= len(wire.body)

    async def oldest(self, count: int) -> Batch:
        """The events to publish next: those of adopted files first; raises `SpoolUnusable`."""
        for file in self._files():
            if file.events:
                try:
                    return Batch(file, await self._call(file.oldest, count, _BATCH_BYTES))
                except SpoolDamaged:
                    await self._replace(file)
        return Batch(None, [])

    async def remove(self, batch: Batch, ids: Iterable[int]) -> None:
        """Delete what the broker has confirmed; raises `SpoolUnusable`: call it again, or the events go out twice."""
        file = batch.file
        if file is None or file not in self._files():
            return  # nothing was there to publish, or the file was damaged meanwhile and set aside.
        try:
            await self._call(file.remove, list(ids))
        except SpoolDamaged:
            await self._replace(file)
        if file in self._adopted and not file.events:
            self._adopted.remove(file)
            await self._call(self._folder.finish, file)
        self._note_filled()

    async def look_after(self) -> None:
        """Adopt the files of processes that are gone, and see whether a failing disk works again."""
        self._adopted += await self._call(self._folder.adopt)
        try:
            if self._failing:
                await self._with_own(lambda own: own.probe())
                self._failing = False
        except (SpoolDamaged, SpoolUnusable) as error:
            structlog.get_logger().warning("spool_failing", reason=str(error))
        self._note_filled()

    async def close(self) -> None:
        """Close every file; raises nothing. Events that are left wait on disk for the next process."""
        if self._writer:  # it may still be at work for somebody who gave up.
            await asyncio.wait([self._writer])
        if self.events:
            structlog.get_logger().warning("events_left_in_spool", count=self.events)
        for file in self._files():
            await self._call(self._folder.finish, file)

    async def _write(self) -> None:
        """Commit what somebody waits for, together, until nobody does."""
        while group := {written: entry for written, entry in self._unwritten.items() if not written.done()}:
            for written in group:
                del self._unwritten[written]
            fault = await self._commit(list(group.values()))
            self._promised -= sum(len(wire.body) for _, wire in group.values())
            self._failing = fault is not None
            for written in group:
                if written.done():
                    continue
                if fault is None:
                    written.set_result(None)
                else:
                    written.set_exception(fault)
            self._note_filled()

    async def _commit(self, wires: Sequence[tuple[str, Wire]]) -> SpoolUnusable | None:
        now = self._now()
        try:
            await self._with_own(lambda own: own.append(wires, now))
        except (SpoolDamaged, SpoolUnusable) as error:
            structlog.get_logger().error("spool_failing", reason=str(error))
            return SpoolUnusable(str(error))
        return None

    async def _own_file(self) -> SpoolFile:
        """Ours, made now when the disk did not take one before; raises `SpoolUnusable`."""
        async with self._replacing:
            if self._own is None:
                self._own = await self._call(self._folder.create)
            return self._own

    async def _with_own(self, work: Callable[[SpoolFile], None]) -> None:
        """Work with our file; when it is found damaged, once more with the new one that takes its place."""
        own = await self._own_file()
        try:
            await self._call(work, own)
        except SpoolDamaged:
            await self._replace(own)
            await self._call(work, await self._own_file())

    async def _replace(self, damaged: SpoolFile) -> None:
        """Set a damaged file aside, and have a new one when it was ours; once, whoever else finds it damaged."""
        async with self._replacing:
            if damaged is self._own:
                self._own = await self._call(self._folder.create)
            elif damaged in self._adopted:
                self._adopted.remove(damaged)
            else:
                return
            self._note_filled()
            await self._call(self._folder.set_aside, damaged)

    def _files(self) -> list[SpoolFile]:
        return [*self._adopted, *([self._own] if self._own else [])]

    def _note_filled(self) -> None:
        if self.events:
            self._filled.set()
        else:
            self._filled.clear()

    def _now(self) -> float:
        return self._clock.now().timestamp()

    async def _call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))


@asynccontextmanager
async def open_spool(folder: Path, limit: int, clock: Clock) -> AsyncIterator[Spool]:
    """The spool for as long as the block lasts; raises `SpoolUnusable` when the folder cannot be written.

    On a disk that is full or fails it is there all the same, and takes nothing until the disk does.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="spool") as thread:
        spool = Spool(SpoolFolder(folder), thread, limit, clock)
        await spool.open()
        SPOOL_EVENTS.set_function(lambda: spool.events)
        SPOOL_OLDEST_SECONDS.set_function(lambda: spool.oldest_seconds)
        try:
            yield spool
        finally:
            await spool.close()
            SPOOL_EVENTS.set_function(lambda: 0)
            SPOOL_OLDEST_SECONDS.set_function(lambda: 0)
