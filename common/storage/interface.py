"""What ringvault asks of a storage: the one interface, for which S3 and the file system ship.

Names are relative to the prefix of `STORAGE_URL`. Errors are built-in ones, translated where the library is known:
`FileNotFoundError` for an object that is not there, `StorageError` for everything the storage itself did wrong.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol


class StorageError(Exception):
    """The storage failed or refused; the sentence says what and where, never with credentials."""


class ObjectTooLarge(StorageError):
    """The storage works, and takes no object of this size: a person must raise its limit."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What `put` wrote: the number of bytes and their sha256 in hex, both counted on the way through."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What the storage itself says of an object; a file system knows no content type."""

    size: int
    content_type: str | None


async def nothing_to_note(_upload_id: str) -> None:
    """For callers that keep no record of open uploads."""


async def nothing_to_check() -> None:
    """For callers whose write needs no last check."""


class Storage(Protocol):
    """Where objects go. One instance a process, opened and closed as an async context manager."""

    async def check(self) -> list[str]:
        """Try all that will be asked of it, on small objects of its own, and leave nothing behind.

        Raises `StorageError` with one sentence that says what to mend; returns a sentence for each thing it lacks that
        one can do without.
        """

    async def put(
        self,
        name: str,
        chunks: AsyncIterator[bytes],
        *,
        content_type: str,
        note_upload: Callable[[str], Awaitable[None]] = nothing_to_note,
        before_commit: Callable[[], Awaitable[None]] = nothing_to_check,
    ) -> StoredObject:
        """Write the chunks as one object, which appears whole or not at all; an object of that name is replaced.

        Memory stays bounded whatever the length. `note_upload` is awaited with the id of an upload that a crash would
        leave open, before its first part is sent. `before_commit` is awaited right before the object becomes visible;
        when it, the source or the storage raises, or the task is cancelled, nothing is written and nothing is left
        open, and the source's own error is raised as it is. One moment is beyond promises: when the very request that
        makes the object visible fails or is cancelled, it may stand all the same. May run twice: the second write
        replaces the first. An upload that even the clean-up could not abort is told of in a note on the error.
        The source is not closed here.
        """

    def read(self, name: str) -> AsyncGenerator[bytes, None]:
        """The bytes of an object in chunks; raises `FileNotFoundError`.

        Whoever may stop early closes it: `async with aclosing(storage.read(name)) as chunks`.
        """

    def names(self, folder: str) -> AsyncGenerator[str, None]:
        """The names of all objects in a folder and below it, in order; nothing when there is no such folder.

        What is written or deleted meanwhile may be among them or not.
        """

    async def head(self, name: str) -> ObjectFacts:
        """What the storage says of an object; raises `FileNotFoundError`."""

    async def delete(self, name: str) -> None:
        """Delete an object; one that is not there is no error. May run twice."""

    async def abort(self, name: str, upload_id: str) -> None:
        """Abort an upload that `note_upload` told of; one that is not open any more is no error. May run twice."""

    async def abort_left(self, name: str, noted: str | None) -> None:
        """Abort every open upload of this very object: those that are listed, and the noted one. May run twice.

        For whoever alone may write the object, as a claim says: what is open then was left by somebody who is gone or
        has lost it. Where uploads cannot be listed, only the noted one is aborted.
        """

    async def open_uploads(self, folder: str = "") -> list[tuple[str, str]]:
        """The (name, upload id) of every upload left open below the prefix, or in that folder and below it."""
