"""Time, injected. What passes in business time can be lived through in moments by whoever moves the clock.

Business time, from a `Clock` whose answer SQL gets as a parameter: windows, due dates, retention and lifetimes, and the
pauses between the rounds of the poller's leader and of the downloader's housekeeping, also after a round that failed.

The database's clock, on which several machines agree: leases, claims and slots of the budget.

The machine's seconds, which no moved clock hurries: timeouts, penalties and waits for budget, renewals of leases and
claims, reconnecting, how long a refused credential or a storage that is away is left alone, grace periods, liveness.
"""

import asyncio
from datetime import UTC, datetime
from typing import Protocol

from common.pause import pause


class Clock(Protocol):
    """Whoever says what time it is."""

    def now(self) -> datetime:
        """The time now, aware, in UTC."""


class PausingClock(Clock, Protocol):
    """Whoever lets time pass as well."""

    async def pause(self, seconds: float, stop: asyncio.Event) -> bool:
        """Wait so long in business time, or until `stop` is set; True when it was not."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The time now, aware, in UTC."""
        return datetime.now(UTC)

    async def pause(self, seconds: float, stop: asyncio.Event) -> bool:
        """Wait so long, or until `stop` is set; True when it was not."""
        return await pause(seconds, stop)
