"""The budget: permission to send a request, shared by all processes through rows in Postgres.

RingCentral allows each user of an app so many requests of a group (light, medium, heavy, auth) in a sliding window,
and a request during a penalty restarts it (facts 6). So each request takes one of as many slots as the limit. A slot is
taken for the longest time in which its request may still arrive, plus a window; the answer corrects that to its own
arrival plus a window plus a margin. Only the database's clock counts, so skewed clocks do no harm.
"""

import asyncio
import enum
import random
import time
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from common.database.pool import Pool
from common.database.statements import statements
from common.ringcentral.errors import NoBudget
from common.telemetry.metrics import BUDGET_WAIT_SECONDS


class Group(enum.StrEnum):
    """The rate-limit groups."""

    LIGHT = "light"
    MEDIUM = "medium"
    HEAVY = "heavy"
    AUTH = "auth"


class Priority(enum.IntEnum):
    """Who goes first when several wait; the smaller, the earlier."""

    POLL = 0  # polls and the subscription: everything else follows from them
    LIVE = 1
    RECONCILE = 2
    BACKFILL = 3


#: Seconds from the grant to the answer's head; past them the request is given up.
REQUEST_TIMEOUT: Final = 30.0
#: Seconds after which a grant is too old to be used and goes back: a process that was frozen must not send on it.
GRANT_USABLE: Final = 5.0
#: Seconds of a window until the headers say better (facts 6).
DEFAULT_WINDOW: Final = 60.0
#: Fraction of a window added to it: for RingCentral's clock being slower than the database's, and its window coarser.
MARGIN: Final = 0.01
#: Fraction of a window between two looks for a slot that may have come free early; with one look at a time per process
#: this is less than one query a second at the real window of 60 s.
_LOOK_AGAIN: Final = 0.02
#: Seconds that a waiter's note holds: a few looks, so that a process that is gone does not hold up others for long.
_NOTE_HOLDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Grant:
    """Permission to send one request now."""

    owner_id: str
    group: Group
    slot: int
    grant_id: uuid.UUID
    taken: float

    def usable(self) -> bool:
        """Whether it is still fresh enough to be used."""
        return time.monotonic() - self.taken < GRANT_USABLE


class Budget:
    """The budget of one app, for any number of owners."""

    def __init__(self, pool: Pool, app: str) -> None:
        self._pool = pool
        self._app = app
        self._sql = statements("rate_slots")
        self._known: set[tuple[str, Group]] = set()
        self._limits: dict[tuple[str, Group], tuple[int, float]] = {}
        self._turns: defaultdict[tuple[Group, Priority], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def take(
        self,
        owners: Sequence[str],
        group: Group,
        priority: Priority,
        *,
        patience: float,
        timeout: float = REQUEST_TIMEOUT,
    ) -> Grant:
        """A grant of whichever owner has one first; raises `NoBudget` after `patience` seconds.

        `timeout` bounds the time in which the request may arrive at RingCentral.
        """
        started = time.monotonic()
        try:
            async with asyncio.timeout(patience), self._turns[group, priority]:
                grant = await self._wait_for_slot(owners, group, priority, timeout)
        except TimeoutError:
            raise NoBudget(f"no {group} request was allowed within {patience:.0f} s") from None
        BUDGET_WAIT_SECONDS.labels(group.value).observe(time.monotonic() - started)
        return grant

    async def _wait_for_slot(self, owners: Sequence[str], group: Group, priority: Priority, timeout: float) -> Grant:
        waiters: dict[str, uuid.UUID] = {}
        try:
            while True:
                for owner in owners:
                    grant = await self._try(owner, group, priority, timeout)
                    if grant is not None:
                        return grant
                pauses = []
                for owner in owners:
                    key = (owner, self._app, group.value)
                    waiter = waiters.setdefault(owner, uuid.uuid4())
                    await self._pool.execute(self._sql["say_waiting"], *key, waiter, int(priority), _NOTE_HOLDS)
                    row = await self._pool.fetchrow(self._sql["wait"], *key)
                    if row is not None:
                        pauses.append(max(min(row["seconds"], row["window_seconds"] * _LOOK_AGAIN), 0.005))
                await asyncio.sleep(min(pauses, default=0.1) * random.uniform(1.0, 1.2))
        finally:
            for waiter in waiters.values():
                await self._pool.execute(self._sql["stop_waiting"], waiter)

    async def _try(self, owner: str, group: Group, priority: Priority, timeout: float) -> Grant | None:
        key = (owner, self._app, group.value)
        if (owner, group) not in self._known:
            await self._pool.execute(self._sql["ensure_group"], *key, DEFAULT_WINDOW)
            self._known.add((owner, group))
        taken, grant_id = time.monotonic(), uuid.uuid4()
        slot = await self._pool.fetchval(self._sql["take"], *key, grant_id, int(priority), timeout)
        return None if slot is None else Grant(owner, group, slot, grant_id, taken)

    async def give_back(self, grant: Grant) -> None:
        """Return a grant that was not used. May run twice."""
        await self._pool.execute(self._sql["give_back"], *self._key(grant), grant.slot, grant.grant_id)

    async def settle(self, grant: Grant, headers: Mapping[str, str]) -> None:
        """Note that the answer has arrived, and learn from its headers. May run twice."""
        limits = limits_of(headers)
        if limits is not None and self._limits.get((grant.owner_id, grant.group)) != limits:
            await self._learn(grant, *limits)
        await self._pool.execute(self._sql["settle"], *self._key(grant), grant.slot, grant.grant_id, MARGIN)

    async def _learn(self, grant: Grant, slots: int, window: float) -> None:
        key = self._key(grant)
        async with self._pool.acquire() as connection, connection.transaction():
            if await connection.fetchval(self._sql["learn_group"], *key, slots, window) is not None:
                await connection.execute(self._sql["learn_slots"], *key, slots)
                await connection.execute(self._sql["stretch_slots"], *key, window, MARGIN)
                structlog.get_logger().info(
                    "budget_learnt", group=grant.group.value, slots=slots, window_seconds=window
                )
        self._limits[grant.owner_id, grant.group] = (slots, window)

    async def close(self, grant: Grant, seconds: float, headers: Mapping[str, str]) -> None:
        """Grant nothing of this group to anybody for so long: a 429 was answered.

        When the headers show that another limiter spoke, that holds for all groups.
        """
        if any(name.lower().startswith("x-rate-limit-") for name in headers):
            await self._pool.execute(self._sql["close_group"], *self._key(grant), seconds)
        else:
            await self._pool.execute(self._sql["close_app"], self._app, seconds)
        structlog.get_logger().warning("budget_closed", group=grant.group.value, seconds=seconds)

    async def rate(self, group: Group) -> float | None:
        """Requests a second that all owners together may send, or None when no header has said so yet."""
        rate: float = await self._pool.fetchval(self._sql["rates"], self._app, group.value)
        return rate or None

    def _key(self, grant: Grant) -> tuple[str, str, str]:
        return grant.owner_id, self._app, grant.group.value


def limits_of(headers: Mapping[str, str]) -> tuple[int, float] | None:
    """The number of requests and the seconds of the window that the headers of an answer tell, if they do."""
    try:
        limit, window = int(headers["x-rate-limit-limit"]), float(headers["x-rate-limit-window"])
    except (KeyError, ValueError):
        return None
    return (limit, window) if limit > 0 and window > 0 else None
