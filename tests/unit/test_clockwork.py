"""What the leader does again and again goes on whatever it meets, and is watched."""

import asyncio
import time

import pytest

from common.clock import SystemClock
from common.database.pool import DatabaseAway
from common.ringcentral.errors import NoBudget, SourceFailed
from common.telemetry.health import Health, Work
from services.poller import rounds
from services.poller.leadership import LeadershipLost
from services.poller.rounds import Rounds


@pytest.fixture
def stop() -> asyncio.Event:
    return asyncio.Event()


async def test_a_defect_in_one_loop_ends_no_loop(stop: asyncio.Event) -> None:
    async def once(_work: Work) -> float:
        stop.set()
        raise OverflowError

    await Rounds(SystemClock(), Health(), stop).repeat("a loop", once)


async def test_a_lost_leadership_ends_the_work(stop: asyncio.Event) -> None:
    async def once(_work: Work) -> float:
        raise LeadershipLost

    with pytest.raises(LeadershipLost):
        await Rounds(SystemClock(), Health(), stop).repeat("a loop", once)


class Hurried(SystemClock):
    """Notes its pauses instead of waiting."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    async def pause(self, seconds: float, stop: asyncio.Event) -> bool:
        self.pauses.append(seconds)
        return not stop.is_set()


async def test_what_ringcentral_fails_is_tried_less_and_less_often_until_it_works(stop: asyncio.Event) -> None:
    """Each try of a poll takes requests from the budget before all others."""
    clock = Hurried()
    failed, not_sent = SourceFailed("away"), (DatabaseAway("away"), NoBudget("no slot"))
    ends: list[Exception | None] = [*[failed] * 6, None, failed, *not_sent, failed, None]

    async def once(_work: Work) -> float:
        end = ends.pop(0)
        if not ends:
            stop.set()
        if end is not None:
            raise end
        return 1.0

    await Rounds(clock, Health(), stop).repeat("a loop", once)

    assert clock.pauses == [5, 10, 20, 40, 60, 60, 1, 5, 5, 5, 10, 1]


async def test_a_round_in_which_nothing_moves_is_a_stall_until_something_does(stop: asyncio.Event) -> None:
    health = Health(stalled_after=0.0)
    seen: list[bool] = []

    async def once(work: Work) -> float:
        before = time.monotonic()
        while time.monotonic() == before:  # the clock of the machine has its steps
            pass
        seen.append(health.live())
        work.progress()
        stop.set()
        return 0.0

    await Rounds(SystemClock(), health, stop).repeat("a loop", once)

    assert seen == [False]
    assert health.live(), "what has ended cannot stall"


@pytest.mark.parametrize("fails", [False, True])
async def test_a_pause_is_no_stall_however_long(
    stop: asyncio.Event, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    health = Health(stalled_after=0.0)
    monkeypatch.setattr(rounds, "RETRY_AFTER", 3600.0)
    begun = asyncio.Event()

    async def once(_work: Work) -> float:
        begun.set()
        if fails:
            raise SourceFailed("away")
        return 3600.0

    repeating = asyncio.create_task(Rounds(SystemClock(), health, stop).repeat("a loop", once))
    await begun.wait()
    await asyncio.sleep(0)  # from the end of the round into the pause

    assert health.live()
    stop.set()
    await repeating
