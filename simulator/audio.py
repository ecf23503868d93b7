"""Audio that can be made again at any time from a recording's id: nothing is kept, any range can be streamed."""

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol


class Audio(Protocol):
    """One recording's file. ``chunks`` yields exactly the bytes from ``start`` up to, without, ``stop``."""

    @property
    def content_type(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def duration_ms(self) -> int: ...
    def chunks(self, start: int, stop: int) -> Iterator[bytes]: ...


#: one melody's length in notes; it repeats.
MELODY_NOTES = 32


@lru_cache(maxsize=4096)
def melody(name: str, choices: int) -> tuple[int, ...]:
    """The notes of this name, as numbers below ``choices``: the same name always sings the same."""
    return tuple(byte % choices for byte in hashlib.sha256(name.encode()).digest()[:MELODY_NOTES])


def sha256_of(audio: Audio) -> str:
    digest = hashlib.sha256()
    for chunk in audio.chunks(0, audio.size):
        digest.update(chunk)
    return digest.hexdigest()
