"""MP3 recordings, written frame by frame without an encoder: MPEG-1 Layer III, 32 kHz, mono, constant bit rate.

Every frame carries one spectral line per granule, which is heard as a soft tone; a note is a run of frames on the same
line. A line of height one is the simplest Huffman code there is (count1 table B: four inverted bits and a sign), which
is why no encoder is needed. 32 kHz mono is what RingCentral's own files were measured to be (facts 5).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from simulator.audio import melody

#: MPEG-1 Layer III bit rates with their index in the frame header; at 32 kHz each gives frames of whole bytes.
BIT_RATE_INDEX = {32: 1, 40: 2, 48: 3, 56: 4, 64: 5}
#: 1152 samples at 32 kHz last exactly this long.
FRAME_MS = 36
#: frames of one note: about a quarter of a second.
NOTE_FRAMES = 8
#: spectral lines (27.8 Hz each) of a pentatonic scale from about 260 Hz up.
LINES = (9, 10, 12, 14, 16, 19, 21)
#: a tone at a line's frequency turns by a quarter per granule: these signs repeat, by the line's parity.
SIGNS = {0: (0, 1, 1, 0), 1: (0, 0, 1, 1)}
#: a height of one gives a tone of 0.35 of full scale: well audible, far from clipping.
GLOBAL_GAIN = 202


@dataclass(frozen=True)
class Mp3Audio:
    name: str
    frames: int
    bit_rate: int = 32

    @property
    def content_type(self) -> str:
        return "audio/mpeg"

    @property
    def frame_bytes(self) -> int:
        return 144 * self.bit_rate // 32

    @property
    def size(self) -> int:
        return self.frames * self.frame_bytes

    @property
    def duration_ms(self) -> int:
        return self.frames * FRAME_MS

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        tune = _tune(self.name, self.bit_rate)
        position = start
        while position < stop:
            offset = position % len(tune)
            piece = tune[offset : offset + min(len(tune) - offset, stop - position)]
            yield piece
            position += len(piece)


def mp3_of_length(name: str, duration_ms: int, bit_rate: int) -> Mp3Audio:
    """The whole number of frames nearest to that length: its own ``duration_ms`` is exact."""
    return Mp3Audio(name, frames=max(1, round(duration_ms / FRAME_MS)), bit_rate=bit_rate)


@lru_cache(maxsize=32)
def _tune(name: str, bit_rate: int) -> bytes:
    stamp = hashlib.sha256(name.encode()).digest()[:8]  # in the ancillary bytes: no two recordings are alike.
    size = 144 * bit_rate // 32
    frames = []
    for note in melody(name, len(LINES)):
        line = LINES[note]
        for frame in range(NOTE_FRAMES):
            signs = SIGNS[line % 2]
            sound = tone_frame(bit_rate, line, signs[2 * frame % 4], signs[(2 * frame + 1) % 4])
            frames.append(sound.ljust(size - len(stamp), b"\0") + stamp)
    return b"".join(frames)


@lru_cache(maxsize=512)
def tone_frame(bit_rate: int, line: int, first_sign: int, second_sign: int) -> bytes:
    """Header, side information and main data of one frame, without its padding."""
    header = bytes((0xFF, 0xFB, BIT_RATE_INDEX[bit_rate] << 4 | 2 << 2, 0xC4))
    granules = [_granule(line, sign) for sign in (first_sign, second_sign)]
    # main_data_begin (9), private bits (5), scale factor selection (4): all zero, every frame stands alone.
    side = "0" * 18 + "".join(_granule_side(len(bits)) for bits in granules)
    return header + _bytes_of(side) + _bytes_of("".join(granules))


def _granule(line: int, sign: int) -> str:
    """Quadruples of zeros up to the line, then the one that holds it."""
    return "1111" * (line // 4) + format(15 ^ (8 >> line % 4), "04b") + str(sign)


def _granule_side(bits: int) -> str:
    """59 bits: length, no big values, gain, no scale factors, long block, tables unused, count1 table B."""
    return f"{bits:012b}" + "0" * 9 + f"{GLOBAL_GAIN:08b}" + "0" * (4 + 1 + 15 + 4 + 3 + 2) + "1"


def _bytes_of(bits: str) -> bytes:
    whole = bits.ljust(-(-len(bits) // 8) * 8, "0")
    return int(whole, 2).to_bytes(len(whole) // 8, "big")
