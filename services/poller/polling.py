"""When to poll: after a pause that adapts, sooner when insights came for a recording that no poll has shown."""

import asyncio
from collections import deque
from datetime import datetime
from typing import Final

from common.clock import Clock
from common.database.pool import Pool
from common.database.statements import statements
from common.ringcentral.budget import DEFAULT_RATE, Group
from common.ringcentral.client import RingCentral
from common.ringcentral.errors import RingCentralError
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
        self._pause = 0.0
        #: When the next poll may be at the earliest, and is at the latest, in seconds of the event loop.
        self._soonest = self._latest = 0.0
        #: When the last two polls began, in business time.
        self._began: deque[datetime] = deque(maxlen=2)

    async def once(self) -> float:
        """Poll if it is time, and return the seconds until it may be again.

        Raises the client's errors, `LeadershipLost`, and the database's.
        """
        now = asyncio.get_running_loop().time()
        if now < self._latest and not (now >= self._soonest and await self._is_wanted()):
            return min(LOOK_EVERY, self._latest - now)
        began = self._clock.now()
        try:
            read = await poll(self._client, self._pool, self._clock, self._leadership)
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
        now = asyncio.get_running_loop().time()
        self._latest = now + self._pause
        self._soonest = now + min(self._pause, shortest_pause(read=read, rate=rate))

    async def _is_wanted(self) -> bool:
        """Whether a recording came with its insights since the last poll began: its call is in the call log by now."""
        if not self._began:
            return False
        sql = statements("recordings_unknown")["waits"]
        return bool(await self._pool.fetchval(sql, self._client.account_id, self._began[-1]))
