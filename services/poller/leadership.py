"""One leader among replicas: a lease with a deadline and a fencing number."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from common.database.leases import Lease
from common.database.pool import Connection, DatabaseAway, Pool
from common.pause import pause
from common.tasks import end
from common.telemetry.metrics import LEADER

#: Seconds a lease lasts: a leader that is killed is followed that soon.
LEASE_SECONDS: Final = 15.0
#: Seconds between renewals: two may fail before the lease is lost.
RENEW_EVERY: Final = 5.0
#: Seconds that the work may take to end by itself after a stop, so that no row stays marked as announced whose job was
#: not published; the lease outlives them.
FINISH_WITHIN: Final = 5.0


class LeadershipLost(Exception):
    """Another process may lead now: nothing more is written."""


@dataclass(frozen=True, slots=True)
class Leadership:
    """What the leader proves with each write that it leads."""

    lease: Lease
    fencing: int

    async def prove(self, connection: Connection) -> None:
        """Make sure, inside the caller's transaction, that this process still leads; raises `LeadershipLost`."""
        if not await self.lease.still_held(connection, self.fencing):
            raise LeadershipLost


async def lead(pool: Pool, lease: Lease, stop: asyncio.Event, work: Callable[[Leadership], Awaitable[None]]) -> None:
    """Do `work` whenever this process leads, until `stop`, which `work` heeds as well.

    It is cancelled when the leadership is lost, or when it goes on after a stop.

    An error of `work` other than a lost leadership is raised.
    """
    try:
        while not stop.is_set():
            fencing = await _hold(pool, lease)
            if fencing is not None:
                await _work(pool, Leadership(lease, fencing), stop, work)
            await pause(RENEW_EVERY, stop)
    finally:
        await lease.release(pool)


async def _work(
    pool: Pool, leadership: Leadership, stop: asyncio.Event, work: Callable[[Leadership], Awaitable[None]]
) -> None:
    log = structlog.get_logger().bind(fencing=leadership.fencing)
    log.info("leadership_taken")
    LEADER.set(1)
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work(leadership))
    until = loop.time() + LEASE_SECONDS
    try:
        while not task.done() and loop.time() < until and await pause(RENEW_EVERY, stop):
            asked = loop.time()
            if await _hold(pool, leadership.lease) == leadership.fencing:
                until = asked + LEASE_SECONDS
        if stop.is_set():
            await asyncio.wait([task], timeout=FINISH_WITHIN)
    finally:
        await end(task)
        LEADER.set(0)
        log.info("leadership_ended")
    if not task.cancelled() and (error := _beside_lost(task.exception())) is not None:
        raise error


def _beside_lost(error: BaseException | None) -> BaseException | None:
    """What went wrong beside the loss of the leadership; of a group's errors the first, so that the log names it."""
    if isinstance(error, BaseExceptionGroup):
        _, others = error.split(LeadershipLost)
        return _beside_lost(others.exceptions[0]) if others is not None else None
    return None if isinstance(error, LeadershipLost) else error


async def _hold(pool: Pool, lease: Lease) -> int | None:
    try:
        async with asyncio.timeout(RENEW_EVERY):
            return await lease.hold(pool, LEASE_SECONDS)
    except (DatabaseAway, TimeoutError) as error:
        reason = str(error) or type(error).__name__
        structlog.get_logger().warning("lease_not_renewed", reason=reason)
        return None
