"""Business time: where it stands, how fast it runs, and what is to happen when.

Business time starts ``history`` seconds before the real start, or ``elapsed`` seconds later, and runs ``speed`` times
as fast. Rules that a client meets (token and subscription lifetimes, delays) are kept in business time, so that
advancing the clock ends them.
"""

import asyncio
import heapq
import itertools
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

Action = Callable[[], Awaitable[None]]


class Clock:
    """Business time in seconds since 1970."""

    def __init__(
        self,
        *,
        speed: float,
        history: float = 0.0,
        elapsed: float = 0.0,
        begun: bool = True,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.speed = speed
        self._wall = wall
        self._monotonic = monotonic
        self._began = monotonic() if begun else None
        self._elapsed = elapsed
        self._advanced = 0.0
        #: whole milliseconds, because that is the precision RingCentral writes.
        self.start = round(wall() - history, 3)

    def now(self) -> float:
        run = 0.0 if self._began is None else (self._monotonic() - self._began) * self.speed
        return self.start + self._elapsed + self._advanced + run

    def begin(self) -> None:
        """Let the time run, if it stands still. May be called again."""
        if self._began is None:
            self._began = self._monotonic()

    def real(self) -> float:
        """Real seconds that only run forward: for what does not end when the clock is advanced (rate windows)."""
        return self._monotonic()

    def advance(self, seconds: float) -> None:
        self._advanced += seconds

    def real_seconds(self, business_seconds: float) -> float:
        return business_seconds / self.speed

    def announced(self, business_seconds: float) -> int:
        """A business duration as a header or an ``expires_in`` tells it: whole real seconds, at least 1."""
        return max(1, math.ceil(round(business_seconds / self.speed, 6)))

    def as_wall(self, moment: float) -> float:
        """What a client's own clock shows at that business moment, when it is advanced together with this one."""
        return self._wall() + self._advanced + (moment - self.now()) / self.speed


class Schedule:
    """Runs actions when their business time has come, also when it came by advancing the clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Action]] = []
        self._order = itertools.count()
        self._changed = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self.errors: list[str] = []

    def at(self, moment: float, action: Action) -> None:
        heapq.heappush(self._due, (moment, next(self._order), action))
        self._changed.set()

    def wake(self) -> None:
        """To be called after the clock was moved."""
        self._changed.set()

    def busy(self, until: float) -> bool:
        """Whether an action runs, or one that is due by then has not begun."""
        return bool(self._under_way) or bool(self._due and self._due[0][0] <= until)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        tasks = [*self._under_way, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            self._start_due()
            pause = None
            if self._due:
                pause = max(0.0, self._clock.real_seconds(self._due[0][0] - self._clock.now()))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), pause)

    def _start_due(self) -> None:
        while self._due and self._due[0][0] <= self._clock.now():
            _, _, action = heapq.heappop(self._due)
            task = asyncio.ensure_future(_as_coroutine(action))
            self._under_way.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.errors.append(repr(error))


async def _as_coroutine(action: Action) -> None:
    await action()


def written(moment: float) -> str:
    """A moment as RingCentral writes it: ISO 8601, UTC, milliseconds."""
    whole = datetime.fromtimestamp(milliseconds(moment) / 1000, UTC)
    return whole.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(moment: float) -> int:
    return round(moment * 1000)


def read_moment(text: str) -> float:
    """Seconds since 1970; any offset is understood, none means UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
