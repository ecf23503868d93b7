"""The check that every storage makes of itself before a process takes work."""

import uuid
from collections.abc import AsyncIterator

from common.storage.interface import Storage, StorageError

#: Some bytes to write, read and compare: enough to notice a storage that gives back others.
PROBE = b"ringvault was here"


async def check_round_trip(storage: Storage, place: str) -> None:
    """Write, read, compare and delete a small object; raises `StorageError`.

    The name is a new one each time, because several processes check one storage at once.
    """
    name = f"check/{uuid.uuid4().hex}"
    await storage.put(name, _probe(), content_type="text/plain")
    try:
        found = b"".join([chunk async for chunk in storage.read(name)])
    except FileNotFoundError:
        raise StorageError(f"{place} does not have an object right after it was written: is it the same one?") from None
    finally:
        await storage.delete(name)
    if found != PROBE:
        raise StorageError(f"{place} gives back other bytes than were written: do not trust it with recordings.")


async def _probe() -> AsyncIterator[bytes]:
    yield PROBE
