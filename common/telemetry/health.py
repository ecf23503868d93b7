"""What `/livez` and `/readyz` answer. Liveness fails on a real stall alone; waiting is healthy."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

#: Work that was granted and shows no sign of progress for this long is stalled: longer than the steps of a handler that
#: cannot tell of progress together, three minutes each at worst: the last part, completing and looking at an object; or
#: listing and aborting what attempts before have left open, two uploads of one object, after the wait for the probe.
STALLED_AFTER_SECONDS = 600.0


#: Tells that something moved; what takes long calls it now and then.
Progress = Callable[[], None]


def unwatched() -> None:
    """Progress that nobody looks at."""


class Work:
    """One piece of work in hand; whoever does it calls `progress` now and then."""

    def __init__(self, stalled_after: float = STALLED_AFTER_SECONDS) -> None:
        self._stalled_after = stalled_after
        self._moved = time.monotonic()
        self._waiting = False

    def progress(self) -> None:
        """Note that something moved."""
        self._moved = time.monotonic()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While inside, the work waits for budget, broker, database or a storage that was away; never a stall."""
        self._waiting = True
        try:
            yield
        finally:
            self._waiting = False
            self.progress()

    def stalled(self) -> bool:
        """Whether nothing moved for too long."""
        return not self._waiting and time.monotonic() - self._moved > self._stalled_after


@dataclass(slots=True)
class Health:
    """The health of one process: named conditions for readiness, work in hand for liveness."""

    conditions: dict[str, Callable[[], bool]] = field(default_factory=dict)
    stalled_after: float = STALLED_AFTER_SECONDS
    _work: set[Work] = field(default_factory=set)

    @contextmanager
    def work(self) -> Iterator[Work]:
        """Register work in hand for as long as the block lasts."""
        work = Work(self.stalled_after)
        self._work.add(work)
        try:
            yield work
        finally:
            self._work.discard(work)

    def live(self) -> bool:
        """False when any work in hand is stalled."""
        return not any(work.stalled() for work in self._work)

    def unready(self) -> list[str]:
        """The names of the conditions that do not hold now."""
        return [name for name, holds in self.conditions.items() if not holds()]
