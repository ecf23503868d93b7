"""Room for bodies: so many bytes of them are in memory, over all requests, and no more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from services.webhook.answers import Outcome, Refused

#: Bytes of bodies at a time: sixteen of the largest, or six hundred transcripts of an hour. Parsing and sending copy
#: one now and then, so that the process stays below three times that.
ROOM: Final = 128 * 1024 * 1024
#: Seconds to wait for room, half of what an answer may take: the body itself must still arrive, and be kept.
ROOM_WITHIN: Final = 1.0


class Room:
    """A number of bytes, handed out in the order of asking."""

    def __init__(self, size: int = ROOM) -> None:
        self._free = size
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Have so many bytes for the block; raises `Refused` when they do not come free in time."""
        try:
            async with asyncio.timeout(ROOM_WITHIN):
                await self._take(size)
        except TimeoutError:
            raise Refused(Outcome.CROWDED, "too many bodies arrive at a time") from None
        try:
            yield
        finally:
            self._free += size
            self._freed.set()

    async def _take(self, size: int) -> None:
        async with self._turn:
            while self._free < size:
                self._freed.clear()
                await self._freed.wait()
            self._free -= size
