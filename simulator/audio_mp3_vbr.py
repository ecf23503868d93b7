"""MP3 recordings whose frames vary in size, without a header that tells their number, and with tags around the sound.

A reader that takes the first frame's bit rate for that of the whole is wrong about the length: the frames have to be
counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from simulator.audio import melody
from simulator.audio_mp3 import FRAME_MS, LINES, NOTE_FRAMES, SIGNS, tone_frame

#: kbit/s of the frames, one after the other, by the melody: what speech and pauses are given.
BIT_RATES = (32, 40, 48, 64, 56, 32, 64)
#: frames after which the tune begins again.
TUNE_FRAMES = 32 * NOTE_FRAMES


@dataclass(frozen=True)
class VbrMp3Audio:
    """``before`` and ``after`` are tags: an ID3v2 in front, an ID3v1 behind."""

    name: str
    frames: int
    before: bytes = b""
    after: bytes = b""

    @property
    def content_type(self) -> str:
        return "audio/mpeg"

    @property
    def duration_ms(self) -> int:
        return self.frames * FRAME_MS

    @property
    def size(self) -> int:
        return len(self.before) + self._sound_bytes + len(self.after)

    @property
    def _sound_bytes(self) -> int:
        tune, ends = _tune(self.name)
        whole, rest = divmod(self.frames, TUNE_FRAMES)
        return whole * len(tune) + ends[rest]

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        sound = len(self.before) + self._sound_bytes
        if start < len(self.before):
            yield self.before[start:stop]
        tune, _ = _tune(self.name)
        position = max(start, len(self.before))
        while position < min(stop, sound):
            offset = (position - len(self.before)) % len(tune)
            piece = tune[offset : offset + min(len(tune) - offset, min(stop, sound) - position)]
            yield piece
            position += len(piece)
        if stop > sound:
            yield self.after[max(0, start - sound) : stop - sound]


def vbr_of_length(name: str, duration_ms: int) -> VbrMp3Audio:
    """With tags or without, by the name."""
    note = melody(name, 3)[0]
    before = id3v2(name) if note > 0 else b""
    after = b"TAG".ljust(128, b"\0") if note > 1 else b""
    return VbrMp3Audio(name, max(1, round(duration_ms / FRAME_MS)), before, after)


def id3v2(title: str) -> bytes:
    """A tag of version 2.3 with a title and some padding."""
    text = b"\0" + title.encode("latin-1", "replace")
    frame = b"TIT2" + len(text).to_bytes(4, "big") + b"\0\0" + text + bytes(32)
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + frame


@lru_cache(maxsize=32)
def _tune(name: str) -> tuple[bytes, tuple[int, ...]]:
    """The frames of one round, and where each begins."""
    frames = []
    for count, note in enumerate(melody(name, len(LINES))):
        line = LINES[note]
        for frame in range(NOTE_FRAMES):
            signs = SIGNS[line % 2]
            bit_rate = BIT_RATES[(note + count + frame) % len(BIT_RATES)]
            sound = tone_frame(bit_rate, line, signs[2 * frame % 4], signs[(2 * frame + 1) % 4])
            frames.append(sound.ljust(144 * bit_rate // 32, b"\0"))
    return b"".join(frames), (0, *accumulate(map(len, frames)))
