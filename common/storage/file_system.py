"""A folder as storage: each object is written beside its place under a name of its own, made durable, then renamed.

The temporary name is `.{name}.{upload id}.partial`; object names never begin with a dot, so none looks like it.
"""

import asyncio
import contextlib
import errno
import os
import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import BinaryIO, Literal, ParamSpec, TypeVar

from common.storage.cancellation import to_the_end
from common.storage.interface import ObjectFacts, StorageError, StoredObject, nothing_to_check, nothing_to_note
from common.storage.object_names import check_name
from common.storage.parts import Parts
from common.storage.round_trip import check_round_trip
from common.storage.trials import trial_name

P = ParamSpec("P")
T = TypeVar("T")

#: Bytes for each trip to a worker thread: the trip costs about 0.1 ms, so fewer bytes would be mostly trips.
BLOCK_BYTES = 1024 * 1024

#: Free bytes below which a disk is full: an hour of sound as WAV. A trial object fits where no recording does.
ROOM_BYTES = 64 * 1024 * 1024

_PARTIAL = re.compile(r"\.(?P<name>.+)\.(?P<upload_id>[0-9a-f]{32})\.partial")

_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space or give it a larger one",
    errno.EDQUOT: "the disk quota is used up: free some space or raise it",
    errno.EACCES: "this process may not do that there: give its user the right to read and write the folder",
    errno.EPERM: "this process may not do that there: give its user the right to read and write the folder",
    errno.EROFS: "the disk is mounted read-only: mount it for writing",
    errno.EEXIST: "a file stands where a folder should be: check STORAGE_URL",
    errno.ENOTDIR: "a file stands where a folder should be: check STORAGE_URL",
}


class _NotThereError(StorageError):
    """No such file; callers turn it into what it means to them."""


class FileStorage:
    """Objects as files below one folder, which is made when it is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._place = f"The storage {folder}"

    async def check(self) -> list[str]:
        await check_round_trip(self, self._place, trial_name())
        await self._disk(_demand_room, self._folder)
        return []

    async def put(
        self,
        name: str,
        chunks: AsyncIterator[bytes],
        *,
        content_type: str,  # noqa: ARG002 - a file has none; the row in Postgres keeps it.
        note_upload: Callable[[str], Awaitable[None]] = nothing_to_note,
        before_commit: Callable[[], Awaitable[None]] = nothing_to_check,
    ) -> StoredObject:
        target = self._path(name)
        upload_id = uuid.uuid4().hex
        partial = _partial(target, upload_id)
        parts = Parts(chunks, part_bytes=BLOCK_BYTES)
        await self._disk(_make_folder, target.parent)
        try:
            await self._write(partial, parts, lambda: note_upload(upload_id))
            await before_commit()
            await self._disk(_commit, partial, target)
        except BaseException as fault:
            try:
                await self._disk(partial.unlink, missing_ok=True)
            except StorageError:
                fault.add_note("The temporary file could not be removed.")
            raise
        return StoredObject(size=parts.size, sha256=parts.sha256)

    async def read(self, name: str) -> AsyncGenerator[bytes, None]:
        try:
            async with self._opened(self._path(name), "rb") as file:
                while chunk := await self._disk(file.read, BLOCK_BYTES):
                    yield chunk
        except _NotThereError:
            raise self._missing(name) from None

    async def names(self, folder: str) -> AsyncGenerator[str, None]:
        for name in await self._disk(self._find_names, self._path(folder)):
            yield name

    def _find_names(self, folder: Path) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            next(folder.iterdir(), None)  # raises what `rglob` passes over: no folder, or none that may be read.
        files = (path for path in folder.rglob("*") if not path.name.startswith(".") and path.is_file())
        return sorted(path.relative_to(self._folder).as_posix() for path in files)

    async def head(self, name: str) -> ObjectFacts:
        try:
            facts = await self._disk(self._path(name).stat)
        except _NotThereError:
            raise self._missing(name) from None
        return ObjectFacts(size=facts.st_size, content_type=None)

    async def delete(self, name: str) -> None:
        with contextlib.suppress(_NotThereError):
            await self._disk(_remove, self._path(name))

    async def abort(self, name: str, upload_id: str) -> None:
        partial = _partial(self._path(name), upload_id)
        if _PARTIAL.fullmatch(partial.name):  # the id of another storage names no file here.
            with contextlib.suppress(_NotThereError):
                await self._disk(_remove, partial)

    async def abort_left(self, name: str, noted: str | None) -> None:  # noqa: ARG002 - it lists all there are.
        target = self._path(name)
        for path, upload_id in await self._disk(_partials, target.parent.glob):
            if path == target:
                await self.abort(name, upload_id)

    async def open_uploads(self, folder: str = "") -> list[tuple[str, str]]:
        """Walks the whole folder."""
        below = self._path(folder) if folder else self._folder
        found = await self._disk(_partials, below.rglob)
        return [(path.relative_to(self._folder).as_posix(), upload_id) for path, upload_id in found]

    async def _write(self, partial: Path, parts: Parts, note: Callable[[], Awaitable[None]]) -> None:
        async with self._opened(partial, "xb") as file:
            await note()
            while True:
                await parts.advance()
                await self._disk(file.write, parts.current.getbuffer())
                if not parts.more:
                    break
            await self._disk(_make_durable, file)

    @contextlib.asynccontextmanager
    async def _opened(self, path: Path, mode: Literal["rb", "xb"]) -> AsyncIterator[BinaryIO]:
        opened: list[BinaryIO] = []  # filled in the thread: a cancellation must not lose the handle.
        try:
            await self._disk(lambda: opened.append(path.open(mode)))
            yield opened[0]
        finally:
            for file in opened:
                with contextlib.suppress(StorageError):  # after a failed write closing fails too; after fsync, never.
                    await self._disk(file.close)

    async def _disk(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it in a worker thread, to its end even when cancelled: a thread cannot be stopped, only outlived."""
        try:
            return await to_the_end(asyncio.to_thread(work, *args, **kwargs))
        except FileNotFoundError:
            raise _NotThereError(f"{self._place} lost a file or folder while it was in use.") from None
        except OSError as error:
            advice = _ADVICE.get(error.errno or 0) or error.strerror or type(error).__name__
            raise StorageError(f"{self._place} failed: {advice}.") from None

    def _path(self, name: str) -> Path:
        return self._folder / check_name(name)

    def _missing(self, name: str) -> FileNotFoundError:
        return FileNotFoundError(f"{self._place} has no object {name}.")


def _partial(target: Path, upload_id: str) -> Path:
    return target.parent / f".{target.name}.{upload_id}.partial"


def _partials(look: Callable[[str], Iterable[Path]]) -> list[tuple[Path, str]]:
    """The target and upload id of every temporary file that is found."""
    matches = [(path, _PARTIAL.fullmatch(path.name)) for path in look(".*.partial")]
    return [(path.with_name(match["name"]), match["upload_id"]) for path, match in matches if match]


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _make_durable(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _commit(partial: Path, target: Path) -> None:
    partial.replace(target)
    _sync_folder(target.parent)


def _demand_room(folder: Path) -> None:
    disk = os.statvfs(folder)
    if disk.f_blocks and disk.f_bavail * disk.f_frsize < ROOM_BYTES:  # some network file systems tell nothing.
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _remove(path: Path) -> None:
    path.unlink()
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """A new, renamed or removed name survives a power cut only when its folder was synced."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
