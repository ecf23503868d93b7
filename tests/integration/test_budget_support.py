"""What the tests of the budget share: RingCentral's headers, and short ways to take and to learn."""

from typing import Any

from common.database.pool import Pool
from common.ringcentral.budget import Budget, Grant, Group, Priority
from common.ringcentral.errors import NoBudget

ME = ["user 1"]
HEAVY = Group.HEAVY
NEVER = 30.0
#: Seconds in which whoever waits for the end of a second, or of a window, is served, however held up it is.
SERVED = 12.0
#: Seconds of a window, unless told otherwise: short, because a test waits for its end.
WINDOW = 0.5
#: Seconds of a window that does not end while a test counts what is free in it, however slow the machine is.
LONG = 60.0
#: Seconds of one whose end a test waits for after it has seen that it goes on: longer than a process is held up.
OUTLASTS = 4.0


def told(limit: int = 10, window: float = WINDOW, remaining: int | None = None) -> dict[str, str]:
    """The headers of an answer."""
    rest = {} if remaining is None else {"x-rate-limit-remaining": str(remaining)}
    return {"x-rate-limit-group": "heavy", "x-rate-limit-limit": str(limit), "x-rate-limit-window": str(window), **rest}


async def take(
    budget: Budget, *, patience: float = 0.0, priority: Priority = Priority.LIVE, owners: list[str] = ME
) -> Grant:
    return await budget.take(owners, HEAVY, priority, patience=patience)


async def take_all(budget: Budget, owners: list[str] = ME) -> list[Grant]:
    """Whatever can be had at once."""
    grants = []
    while True:
        try:
            grants.append(await take(budget, owners=owners, patience=0.05))
        except NoBudget:
            return grants


async def learn(budget: Budget, **limit: Any) -> None:
    """One request is answered, with these headers."""
    await budget.settle(await take(budget, patience=NEVER), told(**limit))


class CountingPool:
    """Counts the statements that go through."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.statements = 0

    def __getattr__(self, name: str) -> Any:
        self.statements += 1
        return getattr(self._pool, name)
