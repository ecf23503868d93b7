"""What one attempt has waited for, so that the end of its time is laid to whoever took it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal

from common.ringcentral.errors import SourceFailed
from common.storage.interface import StorageError

What = Literal["storage", "source", "budget"]

_NAMES: Final[dict[What, str]] = {
    "storage": "the storage",
    "source": "RingCentral's audio",
    "budget": "permission to ask RingCentral, and its answer",
}


class Waits:
    """Seconds by what was waited for. A wait within another counts for the inner one alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds: dict[What, float] = dict.fromkeys(_NAMES, 0.0)
        self._now: What | None = None
        self._since = clock()

    @contextmanager
    def on(self, what: What) -> Iterator[None]:
        """Around a wait."""
        around = self._turn_to(what)
        try:
            yield
        finally:
            self._turn_to(around)

    def _turn_to(self, what: What | None) -> What | None:
        before, now = self._now, self._clock()
        if before is not None:
            self._seconds[before] += now - self._since
        self._now, self._since = what, now
        return before

    def too_long(self, deadline: float) -> SourceFailed | StorageError:
        """The fault of an attempt that was not done within `deadline` seconds: that of whoever took most of them.

        No budget counts as the source's: audio was received, and would be for ever if that did not count.
        """
        longest = sorted(self._seconds, key=self._seconds.__getitem__, reverse=True)
        parts = ", ".join(f"{self._seconds[what]:.0f} s for {_NAMES[what]}" for what in longest)
        sentence = f"the attempt was not done in {deadline:.0f} s: it waited {parts}"
        return StorageError(sentence) if longest[0] == "storage" else SourceFailed(sentence)
