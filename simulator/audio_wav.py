"""WAV recordings: a melody of sine notes, made on the fly."""

import math
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from simulator.audio import melody

#: bytes of a canonical RIFF/WAVE header in front of PCM samples.
HEADER_BYTES = 44
#: a note lasts a quarter of a second; its frequency is a multiple of 4 Hz, so notes join without a click.
NOTES_PER_SECOND = 4
#: C major pentatonic around the middle of a telephone's band, in multiples of 4 Hz.
FREQUENCIES = (264, 296, 328, 392, 440, 528, 592)
#: loud enough to hear, far from clipping.
LOUDNESS = 0.4
#: files of an ordered size use studio quality, so that a gigabyte is a call of three hours and not of days.
LARGE_SAMPLE_RATE = 48000


@dataclass(frozen=True)
class WavAudio:
    """PCM, mono. Telephone quality (8 kHz, 8 bit) keeps ordinary recordings below 3 MB."""

    name: str
    samples: int
    sample_rate: int = 8000
    sample_bytes: int = 1

    @property
    def content_type(self) -> str:
        return "audio/wav"

    @property
    def size(self) -> int:
        return HEADER_BYTES + self.samples * self.sample_bytes

    @property
    def duration_ms(self) -> int:
        return self.samples * 1000 // self.sample_rate

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        if start < HEADER_BYTES:
            yield self._header()[start:stop]
        tune = b"".join(
            _note(FREQUENCIES[note], self.sample_rate, self.sample_bytes)
            for note in melody(self.name, len(FREQUENCIES))
        )
        position = max(start - HEADER_BYTES, 0)
        while position < stop - HEADER_BYTES:
            offset = position % len(tune)
            piece = tune[offset : offset + min(len(tune) - offset, stop - HEADER_BYTES - position)]
            yield piece
            position += len(piece)

    def _header(self) -> bytes:
        data = self.samples * self.sample_bytes
        rate = self.sample_rate * self.sample_bytes
        layout = (16, 1, 1, self.sample_rate, rate, self.sample_bytes, self.sample_bytes * 8)
        return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + data, b"WAVE", b"fmt ", *layout, b"data", data)


def wav_of_length(name: str, duration_ms: int) -> WavAudio:
    return WavAudio(name, samples=duration_ms * 8)


def wav_of_size(name: str, size: int) -> WavAudio:
    """A file of ``size`` bytes (one less when odd), 48 kHz, 16 bit."""
    return WavAudio(name, samples=max(0, size - HEADER_BYTES) // 2, sample_rate=LARGE_SAMPLE_RATE, sample_bytes=2)


def seconds_of_size(size: int) -> float:
    """How long a file of ``wav_of_size`` plays."""
    return wav_of_size("", size).samples / LARGE_SAMPLE_RATE


@lru_cache(maxsize=64)
def _note(frequency: int, sample_rate: int, sample_bytes: int) -> bytes:
    wave = (
        LOUDNESS * math.sin(2 * math.pi * frequency * sample / sample_rate)
        for sample in range(sample_rate // NOTES_PER_SECOND)
    )
    if sample_bytes == 1:  # 8-bit WAV is unsigned around 128, 16-bit is signed.
        return bytes(128 + round(127 * value) for value in wave)
    return array("h", (round(32767 * value) for value in wave)).tobytes()
