"""What the leader does again and again goes on whatever it meets."""

import asyncio

import pytest

from services.poller.leadership import LeadershipLost
from services.poller.serve import _repeat


async def test_a_defect_in_one_loop_ends_no_loop() -> None:
    stop = asyncio.Event()

    async def once() -> float:
        stop.set()
        raise OverflowError

    await _repeat("a loop", once, stop)


async def test_a_lost_leadership_ends_the_work() -> None:
    async def once() -> float:
        raise LeadershipLost

    with pytest.raises(LeadershipLost):
        await _repeat("a loop", once, asyncio.Event())
