"""A source of uneven chunks → parts of one size, with the length and sha256 of all that went through."""

import hashlib
import io
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final, cast

#: Parts that are in hand at the same time: one is sent while the next is gathered.
IN_HAND: Final = 2


class Part(io.BytesIO):
    """One part. What is read of it is a view, no copy: it is read to be signed, and again to be sent."""

    #: In hex, where it is known before it is sent.
    sha256: str | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        begin = self.tell()
        view = self.getbuffer()[begin:] if size is None or size < 0 else self.getbuffer()[begin : begin + size]
        self.seek(begin + len(view))
        return cast("bytes", view)  # whoever hashes or sends it cannot tell.


class Parts:
    """Cuts a source into parts; holds `IN_HAND` parts at a time, and no byte is copied more than once.

    After each `advance`, `current` is the next part (the last one may be short, and is empty only for an empty source)
    and `more` says whether another follows. A part is good until the `advance` after the next: then its memory is used
    again, unless somebody still reads it.
    """

    def __init__(self, chunks: AsyncIterator[bytes], *, part_bytes: int) -> None:
        self.current = Part()
        self.size = 0
        self._before: list[Part] = []
        self._chunks = chunks
        self._part_bytes = part_bytes
        self._rest = memoryview(b"")
        self._digest = hashlib.sha256()

    @property
    def more(self) -> bool:
        return len(self._rest) > 0

    @property
    def sha256(self) -> str:
        """In hex, of everything taken from the source so far."""
        return self._digest.hexdigest()

    async def advance(self) -> None:
        """Gather the next part; raises what the source raises."""
        part = self._room()
        while True:
            taken = self._rest[: self._part_bytes - part.tell()]
            part.write(taken)
            self._rest = self._rest[len(taken) :]
            if self.more:  # a part is given away only when it is known whether it is the last.
                break
            chunk = await anext(self._chunks, None)
            if chunk is None:
                break
            self.size += len(chunk)
            self._digest.update(chunk)
            self._rest = memoryview(chunk)
        part.truncate()
        part.seek(0)
        self.current = part
        self._before.append(part)

    def _room(self) -> Part:
        """A part to be filled: the one before the last, or a new one. New memory costs more than to fill it."""
        if len(self._before) == IN_HAND:
            part = self._before.pop(0)
            with suppress(BufferError):  # a connection that broke may still hold what it did not send.
                part.truncate(self._part_bytes)
                part.seek(0)
                part.sha256 = None
                return part
        return Part(bytes(self._part_bytes))  # of full size at once: one that grows takes up to twice as much.
