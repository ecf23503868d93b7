"""A source of uneven chunks → parts of one size, with the length and sha256 of all that went through."""

import hashlib
import io
from collections.abc import AsyncIterator


class Parts:
    """Cuts a source into parts; holds one part at a time, and no byte is copied more than once.

    After each `advance`, `current` is the next part (the last one may be short, and is empty only for an empty source)
    and `more` says whether another follows.
    """

    def __init__(self, chunks: AsyncIterator[bytes], *, part_bytes: int) -> None:
        self.current = io.BytesIO()
        self.size = 0
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
        part = io.BytesIO(bytes(self._part_bytes))  # of full size at once: one that grows takes up to twice as much.
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
