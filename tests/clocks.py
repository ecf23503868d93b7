"""Clocks that tests set. One in which whoever pauses is woken is in `tests.end_to_end.moved_clock`."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass
class StandingClock:
    """Stands still until it is set."""

    time: datetime

    def now(self) -> datetime:
        return self.time


@dataclass
class ShiftedClock:
    """The machine's clock, and so many seconds more."""

    ahead: float = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead)
