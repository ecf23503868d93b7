"""Business time: where it starts, how fast it runs, what clients are told of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from simulator.clock import Clock, Schedule, read_moment, written


class Real:
    """A real clock that stands still until it is told."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def wall(self) -> float:
        return 1_000_000.0 + self.seconds

    def monotonic(self) -> float:
        return self.seconds


def clock(real: Real, **choices: Any) -> Clock:
    return Clock(**{"speed": 60.0, **choices}, wall=real.wall, monotonic=real.monotonic)


def test_an_hour_of_history_is_lived_again_in_a_minute() -> None:
    real = Real()
    business = clock(real, history=3600)
    assert business.now() == 1_000_000 - 3600
    real.seconds = 60
    assert business.now() == 1_000_000


def test_time_that_waits_for_a_subscription_stands_still_until_it_begins() -> None:
    real = Real()
    business = Clock(speed=60, history=60, begun=False, wall=real.wall, monotonic=real.monotonic)
    real.seconds = 10
    assert business.now() == business.start
    business.begin()
    business.begin()
    real.seconds = 11
    assert business.now() == business.start + 60


def test_at_natural_speed_without_history_business_time_is_real_time() -> None:
    real = Real()
    business = clock(real, speed=1)
    real.seconds = 42
    assert business.now() == real.wall() == business.as_wall(business.now())


def test_with_all_of_the_history_elapsed_it_is_now_at_once() -> None:
    real = Real()
    assert clock(real, history=3600, elapsed=3600).now() == real.wall()


def test_advancing_moves_business_time_and_what_clients_are_told_but_not_real_time() -> None:
    real = Real()
    business = clock(real, speed=1)
    before = business.real()
    business.advance(86_400)
    assert business.now() == real.wall() + 86_400 == business.as_wall(business.now())
    assert business.real() == before


@pytest.mark.parametrize(("business_seconds", "told"), [(60, 1), (61, 2), (30, 1), (3600, 60), (604_800, 10_080)])
def test_durations_are_told_in_whole_real_seconds_rounded_up(business_seconds: float, told: int) -> None:
    assert clock(Real()).announced(business_seconds) == told


def test_a_moment_is_told_in_the_time_of_the_clients_own_clock() -> None:
    real = Real()
    business = clock(real, history=3600)
    assert business.as_wall(business.now() + 120) == real.wall() + 2


def test_moments_are_written_in_milliseconds_of_utc_and_read_in_any_offset() -> None:
    assert written(1_000_000.1239) == "1970-01-12T13:46:40.124Z"
    assert read_moment("1970-01-12T15:46:40.124+02:00") == 1_000_000.124
    assert read_moment("1970-01-12T13:46:40") == 1_000_000


async def test_advancing_the_clock_runs_what_has_fallen_due_in_the_order_of_its_time() -> None:
    real = Real()
    business = clock(real, speed=1)
    schedule = Schedule(business)
    ran: list[str] = []
    all_ran = asyncio.Event()

    def note(name: str) -> Callable[[], Awaitable[None]]:
        async def action() -> None:
            ran.append(name)
            if len(ran) == 2:
                all_ran.set()

        return action

    schedule.at(business.now() + 200, note("second"))
    schedule.at(business.now() + 100, note("first"))
    schedule.at(business.now() + 300, note("later"))
    schedule.start()
    business.advance(250)
    schedule.wake()
    await asyncio.wait_for(all_ran.wait(), 60)
    assert ran == ["first", "second"]
    assert schedule.busy(business.now() + 100)
    await schedule.stop()
