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
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from common.database.pool import DatabaseAway, Pool
from common.database.statements import statements
from common.ringcentral.errors import NoBudget
from common.ringcentral.limits import group_of, limit_of, of_another_limiter, penalty_of
from common.ringcentral.pressure import Pressure
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


#: Heavy requests a second until the first header has told: ten a minute (facts 6).
DEFAULT_RATE: Final = 10 / 60
#: Seconds from the grant to the answer's head; past them the request is given up.
REQUEST_TIMEOUT: Final = 30.0
#: Seconds after which a grant is too old to be used and goes back: a process that was frozen must not send on it. Above
#: the time that a connection may take, or a slow line would never get beyond connecting.
GRANT_USABLE: Final = 6.0
#: Seconds after which a grant is looked at once more before it is used: somebody may have met a 429 since. What arrives
#: this soon after a 429 was still on the wire; a new connection to RingCentral takes longer.
_UNSEEN: Final = 0.05
#: Seconds that such a look may take: after a longer one the process was frozen meanwhile, and it proves nothing.
_LOOK: Final = 1.0
#: Seconds between two requests until the headers tell the limit: the documented requests a minute (facts 6).
_PACE: Final = {Group.LIGHT: 60 / 50, Group.MEDIUM: 60 / 40, Group.HEAVY: 60 / 10, Group.AUTH: 60 / 5}
#: Fraction of a window added to it: RingCentral's clock may be slower than the database's, and its window coarse. It is
#: 0.9 s of 60, which costs as much of the budget.
MARGIN: Final = 0.015
#: Fraction of a penalty added to it: `Retry-After` may be rounded down to whole seconds, and a penalty is 60 (facts 6).
_PENALTY_MARGIN: Final = 0.02
#: Seconds between two looks at least, for when a look crossed with somebody else's.
_SOONEST: Final = 0.02
#: Seconds between two looks at most, because a grant that goes back unused is not foreseen.
_LATEST: Final = 1.0
#: Seconds between two looks while more urgent work goes first: it takes its slot within milliseconds of seeing it.
_BEHIND: Final = 0.2
#: Seconds that looks are spread over: processes that wait for the same slot shall not ask in the same instant.
_SPREAD: Final = 0.02
#: Seconds that a waiter's note holds: a few looks, so that a process that is gone does not hold up others for long.
_NOTE_HOLDS: Final = 5.0
#: Counts on while the machine sleeps, where the system has such a clock.
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


@dataclass(frozen=True, slots=True)
class Grant:
    """Permission to send one request now."""

    owner_id: str
    group: Group
    slot: int
    grant_id: uuid.UUID
    taken: float

    @property
    def age(self) -> float:
        """Seconds since it was asked for."""
        return time.clock_gettime(_CLOCK) - self.taken


class Budget:
    """The budget of one app, for any number of owners."""

    def __init__(self, pool: Pool, app: str) -> None:
        self._pool = pool
        self._app = app
        self._sql = statements("rate_slots")
        self._turns: defaultdict[tuple[Group, Priority, frozenset[str]], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._pressures = {group: Pressure(group.value) for group in Group}
        #: When this process saw a 429 last, by owner and group; that of another limiter stands under None.
        self._closed_at: dict[tuple[str | None, str | None], float] = {}
        #: Penalties that the others have not been told of, because the database was away: whose, of what, until when.
        self._untold: list[tuple[str | None, list[str] | None, float]] = []

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

        `timeout` bounds the time in which the request may arrive at RingCentral. Whoever gets a grant either sends at
        once and settles, or gives it back. Of those who wait alike in a process one looks, the others wait for it.
        """
        started = time.monotonic()
        turn = self._turns[group, priority, frozenset(owners)]
        too_long = NoBudget(f"no {group} request was allowed within {patience:.0f} s")
        try:
            async with asyncio.timeout(patience):
                await turn.acquire()
        except TimeoutError:
            raise too_long from None
        try:
            grant = await self._wait_for_slot(owners, group, priority, timeout, started + patience)
        finally:
            turn.release()
        if grant is None:
            raise too_long
        BUDGET_WAIT_SECONDS.labels(group.value).observe(time.monotonic() - started)
        return grant

    async def _wait_for_slot(
        self, owners: Sequence[str], group: Group, priority: Priority, timeout: float, until: float
    ) -> Grant | None:
        """Look, sleep until a slot may be free, look again; None when that took until `until`."""
        waiter, noted, grant, pressure = uuid.uuid4(), False, None, self._pressures[group]
        try:
            while (grant := await self._try(owners, group, priority, timeout, waiter)) is None:
                left = until - time.monotonic()
                if left <= 0:
                    return None
                if not noted:
                    noted = True
                    pressure.begin()
                pause = await self._say_waiting(waiter, owners, group, priority)
                await asyncio.sleep(min(pause + random.uniform(0, _SPREAD), left))
            return grant
        finally:
            if noted:
                pressure.end()
            if noted and grant is None:
                with suppress(DatabaseAway):  # the note ends by itself
                    await self._pool.execute(self._sql["stop_waiting"], waiter)

    async def _try(
        self, owners: Sequence[str], group: Group, priority: Priority, timeout: float, waiter: uuid.UUID
    ) -> Grant | None:
        await self._tell()  # before anything is granted
        asked, grant_id = time.clock_gettime(_CLOCK), uuid.uuid4()
        key = (list(owners), self._app, group.value)
        try:
            row = await self._pool.fetchrow(self._sql["take"], *key, grant_id, int(priority), timeout, waiter)
        except BaseException:  # cancelled, or the connection was lost: it may have been granted all the same
            with suppress(DatabaseAway):
                await self._pool.execute(self._sql["give_back"], *key, grant_id, MARGIN)
            raise
        return None if row is None else Grant(row["owner_id"], group, row["slot"], grant_id, asked)

    async def _say_waiting(self, waiter: uuid.UUID, owners: Sequence[str], group: Group, priority: Priority) -> float:
        """Tell the others, and return the seconds until it is worth looking again."""
        key = (list(owners), self._app, group.value)
        row = await self._pool.fetchrow(self._sql["wait"], *key, waiter, int(priority), _NOTE_HOLDS)
        if row is None or row["groups"] < len(set(owners)):
            await self._pool.execute(self._sql["ensure_groups"], *key, _PACE[group])
            return 0.0
        usage = partial(self._pool.fetchrow, self._sql["usage"], *key)
        await self._pressures[group].tell(row["window_seconds"], usage)
        soonest = _BEHIND if row["behind"] else _SOONEST
        return float(min(max(row["seconds"], soonest), _LATEST))

    def usable(self, grant: Grant) -> bool:
        """Whether it may be used: it is fresh, and this process has seen no 429 since it was asked for."""
        closings = (self._closed_at.get(key, 0.0) for key in ((grant.owner_id, grant.group.value), (None, None)))
        return grant.age < GRANT_USABLE and grant.taken > max(closings)

    async def still_usable(self, grant: Grant) -> bool:
        """Whether it may be used, as far as anybody knows: an older grant is looked up among those of all processes."""
        if grant.age < _UNSEEN or not self.usable(grant):
            return self.usable(grant)
        before = grant.age
        stands: bool = await self._pool.fetchval(self._sql["stands"], *self._key(grant), grant.grant_id)
        return stands and grant.age - before < _LOOK and self.usable(grant)

    async def give_back(self, grant: Grant) -> None:
        """Return a grant that was not used. May run twice."""
        owner_id, *key = self._key(grant)
        await self._pool.execute(self._sql["give_back"], [owner_id], *key, grant.grant_id, MARGIN)

    async def settle(self, grant: Grant, headers: Mapping[str, str]) -> None:
        """Note that the request was counted by now, and learn from the headers of its answer. May run twice."""
        known = await self._pool.fetchrow(self._sql["settle"], *self._key(grant), grant.grant_id, MARGIN)
        limit = limit_of(headers, grant.group.value)
        if limit is None or (known is not None and tuple(known) == (limit.slots, limit.window)):
            return
        told = (limit.slots, limit.window, MARGIN, limit.remaining)
        if await self._pool.fetchval(self._sql["learn"], *self._key(grant), *told) is not None:
            log = structlog.get_logger()
            log.info("budget_learnt", group=grant.group.value, slots=limit.slots, window_seconds=limit.window)

    async def close(self, grant: Grant, headers: Mapping[str, str]) -> None:
        """Grant nothing more of this group to anybody until the penalty is over: a 429 was answered.

        When its headers show that another limiter spoke, that holds for all groups of all owners.
        """
        seconds = penalty_of(headers)
        of_all = of_another_limiter(headers)
        owner = None if of_all else grant.owner_id
        groups = None if of_all else sorted({grant.group.value, group_of(headers) or grant.group.value})
        now = time.clock_gettime(_CLOCK)
        self._closed_at |= dict.fromkeys([(owner, group) for group in groups or (None,)], now)
        self._untold.append((owner, groups, now + seconds * (1 + _PENALTY_MARGIN)))
        log = structlog.get_logger()
        log.warning("budget_closed", groups="all" if groups is None else groups, seconds=seconds)
        await self._tell()

    async def _tell(self) -> None:
        """Close for everybody what is closed; what cannot be told now is told before the next grant."""
        while self._untold:
            owner, groups, until = penalty = self._untold[0]
            left = until - time.clock_gettime(_CLOCK)
            if left > 0:
                await self._pool.execute(self._sql["close"], self._app, owner, groups, left)
            if penalty in self._untold:
                self._untold.remove(penalty)

    async def rate(self, group: Group) -> float | None:
        """Requests a second that all owners together may send, or None when none was ever sent."""
        rate: float = await self._pool.fetchval(self._sql["rates"], self._app, group.value)
        return rate or None

    def _key(self, grant: Grant) -> tuple[str, str, str]:
        return grant.owner_id, self._app, grant.group.value
