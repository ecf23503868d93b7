"""The watchdog: a source that trickles is as good as one that stands still."""

from typing import Final

#: Seconds over which the pace is taken: shorter pauses are nobody's fault.
WINDOW: Final = 30.0
#: Bytes a second: an hour of speech at 32 kbit/s, 14 MB, would not come within an attempt's quarter of an hour.
LEAST: Final = 10_000


class TooSlow(Exception):
    """Fewer bytes came than are worth waiting for."""


class Throughput:
    """The pace of one source, by the time that was spent waiting for it: a slow storage is not held against it."""

    def __init__(self, *, window: float = WINDOW, least: int = LEAST) -> None:
        self._window = window
        self._least = least
        self._bytes = 0
        self._seconds = 0.0

    def came(self, size: int, seconds: float) -> None:
        """So many bytes came after waiting so long; raises `TooSlow` once a window was too slow."""
        self._bytes += size
        self._seconds += seconds
        if self._seconds >= self._window:
            too_slow = self._bytes < self._least * self._seconds
            self._bytes, self._seconds = 0, 0.0  # also for a connection that goes on with the rest.
            if too_slow:
                raise TooSlow
