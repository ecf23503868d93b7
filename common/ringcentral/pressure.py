"""Whether the budget is what holds a process up: in most of a window's time somebody waits for a slot."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from common.telemetry.metrics import BUDGET_WAITING_SECONDS

#: Part of a window's time from which on the budget is the limit: below it, what waits still goes out soon.
_MOST: Final = 0.5


class Pressure:
    """The waiting of one process for slots of one group. `clock` tells seconds and never goes back."""

    def __init__(self, group: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._group = group
        self._clock = clock
        self._counter = BUDGET_WAITING_SECONDS.labels(group)
        self._waiters = 0
        self._looked = self._began = clock()
        self._waited = 0.0
        self._limits = False

    def begin(self) -> None:
        """One more waits."""
        self._look()
        self._waiters += 1

    def end(self) -> None:
        """One waits no longer."""
        self._look()
        self._waiters -= 1

    async def tell(self, window: float, usage: Callable[[], Awaitable[Any]]) -> None:
        """Say that the budget is the limit, once, after the first window of which most was spent waiting.

        Again only after a window of which it was not. While a penalty is waited for, nothing is said. `usage` gets a
        row of `slots`, `taken`, `users` and whether the budget is `closed`, or none.
        """
        part = self._part_of(window)
        if part is None:
            return
        if self._limits or part <= _MOST:
            self._limits = part > _MOST
            return
        now = await usage()
        if now is None or now["closed"]:
            return
        self._limits = True
        told = {"used": now["taken"], "of": now["slots"], "users": now["users"], "window_seconds": window}
        structlog.get_logger().info("budget_is_the_limit", group=self._group, **told, waiting_part=round(part, 2))

    def _look(self) -> None:
        """Count the time since the last look, once for all who wait."""
        now = self._clock()
        passed = now - self._looked if self._waiters else 0.0
        self._looked = now
        self._waited += passed
        self._counter.inc(passed)

    def _part_of(self, window: float) -> float | None:
        """The part of the time that was spent waiting, when a window has passed since this was told."""
        self._look()
        lasted = self._looked - self._began
        if lasted < window:
            return None
        part, self._began, self._waited = self._waited / lasted, self._looked, 0.0
        return part
