"""Reading an object back: what the storage really has, byte for byte."""

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from common.storage.interface import Storage, StorageError, StoredObject


async def read_back(storage: Storage, name: str, note: Callable[[int], Awaitable[None]]) -> StoredObject:
    """Length and sha256 of an object; raises `FileNotFoundError` and `StorageError`.

    `note` is awaited with the number of bytes of each chunk: it may count, and it may slow the reading down.
    """
    size, digest = 0, hashlib.sha256()
    async with aclosing(storage.read(name)) as chunks:
        async for chunk in chunks:
            size += len(chunk)
            digest.update(chunk)
            await note(len(chunk))
    return StoredObject(size, digest.hexdigest())


def difference(stored: StoredObject, found: StoredObject | None) -> str | None:
    """In words, what is wrong with what was found; None where nothing is."""
    if found is None:
        return "the object is not in the storage any more"
    if found.size != stored.size:
        return f"the object in the storage has {found.size} bytes of {stored.size}"
    return None if found == stored else "the object in the storage has other bytes than were stored"


async def check_read_back(storage: Storage, name: str, stored: StoredObject, progress: Callable[[], None]) -> None:
    """Read back what was just stored; raises `StorageError` when it is not the same. `progress` is called meanwhile."""

    async def note(_count: int) -> None:
        progress()

    try:
        found: StoredObject | None = await read_back(storage, name, note)
    except FileNotFoundError:
        found = None
    wrong = difference(stored, found)
    if wrong:
        raise StorageError(wrong)
