"""What the header of a WAV declares, to be held against the bytes that came.

tinytag takes the declared size for the real one, so a WAV that was cut short has its full length for it; and it takes
the blocks of a packed coding for samples. The header's own bytes a second are right for every coding.
"""

import struct
from dataclasses import dataclass
from typing import Final

#: Sizes from here on stand for "not known when the header was written", as those who write into a pipe do.
_UNKNOWN: Final = 0x7FFFF000


@dataclass(frozen=True, slots=True)
class WavHeader:
    """`declared` bytes of sound, which begin at `begin`; None when the header was written before that was known."""

    bytes_a_second: int
    begin: int
    declared: int | None


def read_wav_header(head: bytes) -> WavHeader | None:
    """The header at the begin of a file, or None when it is not one, or not whole."""
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    position, rate = 12, 0
    while position + 8 <= len(head):
        name, size = struct.unpack_from("<4sI", head, position)
        begin = position + 8
        if name == b"fmt " and size >= 16 and begin + 16 <= len(head):
            rate = int(struct.unpack_from("<I", head, begin + 8)[0])
        if name == b"data":
            declared = None if size >= _UNKNOWN or (size == 0 and len(head) > begin) else size
            return WavHeader(rate, begin, declared) if rate else None
        position = begin + size + size % 2
    return None
