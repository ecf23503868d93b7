"""Counting the frames of an MP3 as it goes by.

An MP3 without a Xing or VBRI header tells its length nowhere: libraries take the first frame's bit rate for that of
the whole, which is wrong for a variable one and blind for a cut one. Only the frames tell, each of which says where the
next one begins. No library that we know counts them in a stream, so this does: Layer III only, which is what
`audio/mpeg` is for RingCentral. Runs of equal frames are matched by a regular expression, so that a constant bit rate
costs next to nothing.
"""

import re
from functools import lru_cache
from typing import Final

_HEADER: Final = 4
#: kbit/s by the header's index, of MPEG-1 and of MPEG-2 and 2.5; index 0 (free) and 15 are not used.
_BIT_RATES: Final = (
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
#: Samples a second by version bits and index.
_SAMPLE_RATES: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
#: What stands behind the last frame when it is no sound: ID3v1, APEv2, Lyrics3, and an ID3v2 that was put at the end.
_TAGS: Final = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3")
_LONGEST_TAG: Final = max(map(len, _TAGS))
_SYNC: Final = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]", re.DOTALL)


class FrameCounter:
    """Give it all bytes in order, then `finish`."""

    def __init__(self) -> None:
        #: Whole frames, the one that holds a Xing or VBRI header included.
        self.frames = 0
        #: Bytes between frames that belong to none.
        self.stray = 0
        #: Whether the last frame is cut.
        self.cut = False
        self.samples_a_frame = 0
        self.sample_rate = 0
        #: Where the first frame stands.
        self.first_at = 0
        self._offset = 0
        self._kind: tuple[int, int] | None = None
        self._rest = b""
        self._skip = 0
        self._begun = False
        self._ended = False

    @property
    def milliseconds(self) -> float:
        """How long the frames play."""
        return 1000 * self.frames * self.samples_a_frame / self.sample_rate if self.sample_rate else 0.0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        if self._ended:
            return
        skipped = min(self._skip, len(chunk))
        self._skip -= skipped
        self._offset += skipped
        data = self._rest + chunk[skipped:] if self._rest or skipped else chunk
        position = 0 if self._begun else self._pass_tags(data)
        if self._begun:
            position = self._count(data, position)
        self._offset += position
        self._rest = data[position:]

    def finish(self) -> None:
        """There is no more."""
        if self._rest and not self._ended:
            if self._begun and not _is_tag(self._rest):
                self.cut = self._rest[0] == 0xFF and (
                    len(self._rest) < _HEADER or _frame_at(self._rest, 0, self._kind) is not None
                )
                self.stray += 0 if self.cut else len(self._rest)
            self._rest = b""

    def _pass_tags(self, data: bytes) -> int:
        """Step over ID3v2 tags in front; the sound begins behind them."""
        position = 0
        while len(data) - position >= 10:
            if data[position : position + 3] != b"ID3":
                self._begun = True
                return position
            size = 0
            for byte in data[position + 6 : position + 10]:
                size = size << 7 | (byte & 0x7F)
            end = position + 10 + size + (10 if data[position + 5] & 0x10 else 0)
            if end > len(data):
                self._skip = end - len(data)
                return len(data)
            position = end
        return position

    def _count(self, data: bytes, position: int) -> int:
        """Count what is whole; returns where the unfinished begins."""
        while len(data) - position >= _LONGEST_TAG:
            length = _frame_at(data, position, self._kind)
            if length is not None and self._kind is None:
                if len(data) - position < length + _LONGEST_TAG:
                    return position  # what follows is still to come.
                length = length if _is_followed(data, position, length) else None
            if length is None:
                if _is_tag(data[position : position + _LONGEST_TAG]) and self.frames:
                    self._ended = True
                    return len(data)
                found = _SYNC.search(data, position + 1)
                following = found.start() if found else max(position + 1, len(data) - 1)
                self.stray += following - position
                position = following
                continue
            run = _run_of(data[position + 1], data[position + 2], length).match(data, position)
            if run is None:
                return position
            if self._kind is None:
                self._learn(data, position)
            self.frames += (run.end() - position) // length
            position = run.end()
        return position

    def _learn(self, data: bytes, position: int) -> None:
        """The first frame's version and rate are those of all."""
        version, rate = data[position + 1] >> 3 & 3, data[position + 2] >> 2 & 3
        self._kind, self.first_at = (version, rate), self._offset + position
        self.samples_a_frame = 1152 if version == 3 else 576
        self.sample_rate = _SAMPLE_RATES[version][rate]


def _is_tag(data: bytes) -> bool:
    return data.startswith(_TAGS)


def _frame_at(data: bytes, position: int, kind: tuple[int, int] | None) -> int | None:
    """The length of the frame whose header stands there, or None when none does."""
    if len(data) - position < _HEADER or data[position] != 0xFF:
        return None
    first, second = data[position + 1], data[position + 2]
    return _length_of(first, second) if kind in {None, (first >> 3 & 3, second >> 2 & 3)} else None


def _is_followed(data: bytes, position: int, length: int) -> bool:
    """Whether the first frame is one: another of its kind follows, or a tag. A sync alone may be junk behind a tag."""
    following = position + length
    kind = (data[position + 1] >> 3 & 3, data[position + 2] >> 2 & 3)
    return _frame_at(data, following, kind) is not None or _is_tag(data[following : following + _LONGEST_TAG])


@lru_cache(maxsize=4096)
def _length_of(first: int, second: int) -> int | None:
    """The length of a frame by the second and third byte of its header."""
    version, rate, index = first >> 3 & 3, second >> 2 & 3, second >> 4
    if first & 0xE6 != 0xE2 or version == 1 or rate == 3 or index in {0, 15}:
        return None
    bit_rate = _BIT_RATES[0 if version == 3 else 1][index - 1]
    return (144 if version == 3 else 72) * 1000 * bit_rate // _SAMPLE_RATES[version][rate] + (second >> 1 & 1)


@lru_cache(maxsize=4096)
def _run_of(first: int, second: int, length: int) -> re.Pattern[bytes]:
    """As many whole frames with this header as there are; possessive, so that nothing is remembered for going back."""
    head = re.escape(bytes((0xFF, first, second)))
    return re.compile(rb"(?:%b.{%d})++" % (head, length - 3), re.DOTALL)
