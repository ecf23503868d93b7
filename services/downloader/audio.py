"""What a recording's bytes are, found out while they go by: container, length, and what is odd about them.

tinytag reads the containers; what it does not do is beside it: counting the frames of an MP3, and holding a WAV's
declared size against its bytes. Memory stays bounded: only the begin and the end are kept.
"""

import io
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

from tinytag import TinyTag

from services.downloader.mp3_frames import FrameCounter
from services.downloader.wav_header import read_wav_header

#: Bytes kept of the begin and of the end: headers with tags and a picture, and tags behind the sound.
_HEAD: Final = 256 * 1024
_TAIL: Final = 64 * 1024
#: What an MP3 begins with: an ID3v2 tag or a Layer III frame.
_MP3: Final = (b"ID3", b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xe3", b"\xff\xe2")
#: What marks the header in an MP3's first frame, and the bytes of the frame within which it stands.
_MARKS: Final = (b"Xing", b"Info", b"VBRI")
_MARKED_WITHIN: Final = 40
#: Bytes between frames that are forgiven, as players do: an encoder's last word, or zeros up to a block's end.
_STRAY: Final = 4096
#: Milliseconds by which frames and header of an MP3 may differ: the header counts neither itself nor what the coder
#: added in front and behind, four frames of 72 ms at most.
_HEADER_OFF: Final = 300.0


@dataclass(frozen=True, slots=True)
class Audio:
    """`milliseconds` is None when the bytes do not tell; `doubt` says what is odd, if anything.

    `missing` says that the doubt is none: some of the sound did not come, however little.
    """

    container: str | None
    milliseconds: float | None
    doubt: str | None = None
    missing: bool = False


class Inspection:
    """Give it all bytes in order, then ask for the `result`."""

    def __init__(self) -> None:
        self.size = 0
        self._head = bytearray()
        self._tail = b""
        self._frames: FrameCounter | None = None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        if self._frames is not None:
            self._frames.feed(chunk)
        if len(self._head) < _HEAD:
            self._head += chunk[: _HEAD - len(self._head)]
            self._begin(chunk)
        self._tail = chunk[-_TAIL:] if len(chunk) >= _TAIL else (self._tail + chunk)[-_TAIL:]
        self.size += len(chunk)

    def _begin(self, chunk: bytes) -> None:
        """Count frames from the first byte on, once enough is there to see that it is an MP3."""
        if self.size < 3 <= len(self._head) and self._head.startswith(_MP3):
            self._frames = FrameCounter()
            self._frames.feed(bytes(self._head[: self.size]) + chunk)

    def result(self, *, sized: bool = True) -> Audio:
        """What was found; call it once, at the end. `sized` says that the source told how many bytes there are."""
        if self._frames is not None:
            self._frames.finish()
            return self._mp3(self._frames, sized=sized)
        if self._head.startswith(b"RIFF"):
            return self._wav()
        return self._other()

    def _mp3(self, counter: FrameCounter, *, sized: bool) -> Audio:
        if counter.frames == 0:
            return Audio(None, None, "it begins like an MP3 and has no frame of one")
        header = self._header_length(counter.first_at)
        own = counter.samples_a_frame * 1000 / counter.sample_rate
        milliseconds = counter.milliseconds - (own if header is not None else 0.0)
        doubt, missing = _doubt_of_mp3(counter, header, milliseconds, sized=sized)
        return Audio("mp3", milliseconds, doubt, missing)

    def _header_length(self, first_at: int) -> float | None:
        """Milliseconds that a header in the first frame tells; without one the library only guesses."""
        frame = self._head[first_at : first_at + _MARKED_WITHIN]
        found = _read(Window(bytes(self._head), self._tail, self.size)) if any(map(frame.count, _MARKS)) else None
        return None if found is None or found.duration is None else found.duration * 1000

    def _wav(self) -> Audio:
        header = read_wav_header(bytes(self._head))
        if header is None:
            return Audio(None, None, "its WAV header is not whole")
        came = self.size - header.begin
        declared = came if header.declared is None else min(header.declared, came)
        milliseconds = declared * 1000 / header.bytes_a_second
        if header.declared is not None and header.declared > came:
            doubt = f"it has {came} bytes of sound, its header tells {header.declared}"
            return Audio("wav", milliseconds, doubt, missing=True)
        return Audio("wav", milliseconds)

    def _other(self) -> Audio:
        found = _read(Window(bytes(self._head), self._tail, self.size))
        if found is None:
            return Audio(None, None, "it is no audio that can be read")
        return Audio(type(found).__name__.strip("_").lower(), (found.duration or 0.0) * 1000)


def _read(window: "Window") -> TinyTag | None:
    """What the library sees, or None; it raises whatever it likes for what is no audio."""
    try:
        return TinyTag.get(file_obj=cast("BinaryIO", window), tags=False)
    except Exception:  # noqa: BLE001 - foreign bytes in a foreign parser: it is not audio for us, whatever it stumbles over
        return None


class Window(io.RawIOBase):
    """A file of which only the begin and the end are there: reads end at the hole, and find nothing inside it."""

    def __init__(self, head: bytes, tail: bytes, size: int) -> None:
        super().__init__()
        self._head = head
        self._tail = tail
        self._size = size
        self._position = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Raises `OSError` for a place before the begin, as files do."""
        target = offset + (0, self._position, self._size)[whence]
        if target < 0:
            raise OSError("before the begin of the file")
        self._position = target
        return target

    def read(self, size: int | None = -1) -> bytes:
        wanted = self._size if size is None or size < 0 else size
        tail_at = self._size - len(self._tail)
        if self._position < len(self._head):
            data = self._head[self._position : self._position + wanted]
        elif self._position >= tail_at:
            data = self._tail[self._position - tail_at :][:wanted]
        else:
            data = b""
        self._position += len(data)
        return data


def _doubt_of_mp3(
    counter: FrameCounter, header: float | None, milliseconds: float, *, sized: bool
) -> tuple[str | None, bool]:
    """What is odd, and whether that proves sound to be missing."""
    more = 0.0 if header is None else header - milliseconds
    differs = f"its header tells {_seconds(header or 0.0)}, it has {_seconds(milliseconds)}"
    if more > _HEADER_OFF:
        return differs, True
    if counter.cut and not sized:
        return "its last frame is cut", True
    if counter.stray > _STRAY:
        return f"{counter.stray} bytes between its frames are no sound", False
    if more < -_HEADER_OFF:
        return differs, False
    return ("its last frame is cut" if counter.cut else None), False


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.1f} s"
