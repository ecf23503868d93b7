"""Business time, injected: windows, due dates, retention and lifetimes ask a clock and hand its answer to SQL.

Leases, claims and slots use the database's clock instead, because several machines must agree on them.
"""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Whoever says what time it is."""

    def now(self) -> datetime:
        """The time now, aware, in UTC."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The time now, aware, in UTC."""
        return datetime.now(UTC)
