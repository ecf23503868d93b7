"""When to poll: after a pause that adapts, sooner when insights came for a recording that no poll has shown."""

from collections import deque
from datetime import datetime, timedelta
from typing import Final

from common.clock import Clock
from common.database.pool import Pool
from common.database.statements import statements
from common.ringcentral.budget import DEFAULT_RATE, Group
from common.ringcentral.client import RingCentral
from common.ringcentral.errors import RingCentralError
from common.telemetry.health import Progress, unwatched
from common.telemetry.metrics import POLLS
from services.poller.leadership import Leadership
from services.poller.missed_calls import fetch_missed
from services.poller.pace import next_pause, shortest_pause
from services.poller.poll import poll

#: Seconds between two looks whether a poll is wanted sooner: an index look-up.
LOOK_EVERY: Final = 1.0


class Polling:
    """The polls of one leader."""

    def __init__(
        self, client: RingCentral, pool: Pool, clock: Clock, leadership: Leadership, *, longest: float
    ) -> None:
        """`longest`: seconds that a pause lasts at most."""
        self._client, self._pool, self._clock, self._leadership = client, pool, clock, leadership
        self._longest = longest
        #: Seconds between the end of the last poll and the next one: at the most, and at the least.
        self._pause = self._shortest = 0.0
        self._ended: datetime | None = None
        #: When the last two polls began.
        self._began: deque[datetime] = deque(maxlen=2)

    async def once(self, progress: Progress = unwatched) -> float:
        """Poll if it is time, and return the seconds until it may be again.

        Raises the client's errors, `LeadershipLost`, and the database's.
        """
        left = self._left()
        if left > 0 and not (self._pause - left >= self._shortest and await self._is_wanted()):
            return min(LOOK_EVERY, left)
        began = self._clock.now()
        try:
            read = await poll(self._client, self._pool, self._clock, self._leadership, progress)
        except RingCentralError:
            POLLS.labels("failed").inc()
            raise
        self._began.append(began)
        await self._set_pause(read)
        if len(self._began) == self._began.maxlen:
            await fetch_missed(self._client, self._pool, self._clock, self._leadership, self._began[0])
        return min(LOOK_EVERY, self._pause)

    async def _set_pause(self, read: int) -> None:
        rate = await self._client.budget.rate(Group.HEAVY) or DEFAULT_RATE
        self._pause = next_pause(read=read, last=self._pause, rate=rate, longest=self._longest)
        self._shortest = min(self._pause, shortest_pause(read=read, rate=rate))
        self._ended = self._clock.now()

    def _left(self) -> float:
        """Seconds until the next poll at the latest; none when the clock was set back."""
        if self._ended is None or (waited := self._clock.now() - self._ended) < timedelta():
            return 0.0
        return self._pause - waited.total_seconds()

    async def _is_wanted(self) -> bool:
        """Whether a recording came with its insights since the last poll began: its call is in the call log by now."""
        if not self._began:
            return False
        sql = statements("recordings_unknown")["waits"]
        return bool(await self._pool.fetchval(sql, self._client.account_id, self._began[-1]))
