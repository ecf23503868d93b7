"""The check that every storage makes of itself before a process takes work."""

from collections.abc import AsyncIterator, Awaitable, Callable

from common.storage.interface import Storage, StorageError

#: Some bytes to write, read and compare: enough to notice a storage that gives back others.
PROBE = b"ringvault was here"


async def nothing_to_look_at(_name: str) -> None:
    """For a storage whose objects have nothing but their bytes."""


async def check_round_trip(
    storage: Storage, place: str, name: str, look: Callable[[str], Awaitable[None]] = nothing_to_look_at
) -> None:
    """Write, look at, read, compare and delete a small object; raises `StorageError`.

    `look` is called while the object is there.
    """
    await storage.put(name, _probe(), content_type="audio/mpeg")
    try:
        size = (await storage.head(name)).size
        await look(name)
        found = b"".join([chunk async for chunk in storage.read(name)])
    except FileNotFoundError:
        raise StorageError(f"{place} does not have an object right after it was written: is it the same one?") from None
    finally:
        await storage.delete(name)
    if size != len(PROBE) or found != PROBE:
        raise StorageError(f"{place} gives back other bytes than were written: do not trust it with recordings.")


async def _probe() -> AsyncIterator[bytes]:
    yield PROBE
