"""The loss clock: when a recording is lost, by age or by the cap, and what no order can save."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.loss_clock import BUCKET, SOON, Kept, Retention, Waiting, read_clock

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
LIFETIME = 90 * DAY


def kept(starts: Sequence[datetime] = (), *, cap: int = 100_000, rate: float = 0.0, of: str = "automatic") -> Kept:
    ranks = list(enumerate(sorted(starts, reverse=True)))[: cap + 1]
    return Kept(Retention(of, LIFETIME, cap), NOW, ranks, rate)


def after(moment: datetime) -> datetime:
    return moment + timedelta.resolution


def an_hour(count: int) -> list[datetime]:
    """One recording an hour, the newest an hour ago."""
    return [NOW - (number + 1) * HOUR for number in range(count)]


def test_below_the_cap_a_recording_is_lost_when_its_time_is_over() -> None:
    clock = kept(an_hour(10))

    assert clock.lost_at(NOW - 3 * DAY) == NOW + 87 * DAY
    assert clock.lost_at(NOW - 91 * DAY) == NOW - DAY
    assert clock.begun_before(NOW + 2 * DAY) == after(NOW - 88 * DAY)


def test_below_a_full_cap_a_recording_is_lost_when_so_many_newer_ones_have_come() -> None:
    clock = kept(an_hour(200), cap=200, rate=1 / 3600)

    assert clock.count == 200
    assert clock.lost_at(NOW - 200 * HOUR) == NOW + HOUR, "the oldest goes with the next one"
    assert clock.lost_at(NOW - 101 * HOUR) == NOW + 100 * HOUR
    assert clock.lost_at(NOW - HOUR) == NOW + 200 * HOUR


def test_what_the_cap_has_pushed_out_is_lost() -> None:
    clock = kept(an_hour(300), cap=200, rate=1 / 3600)

    assert clock.count == 200
    assert clock.lost_at(NOW - 201 * HOUR) == NOW
    assert clock.lost_at(NOW - 200 * HOUR) > NOW


def test_a_cap_that_nothing_fills_takes_nothing() -> None:
    assert kept(an_hour(200), cap=200, rate=0.0).lost_at(NOW - 200 * HOUR) == NOW - 200 * HOUR + LIFETIME


@given(
    hours=st.lists(st.integers(1, 120 * 24), min_size=1, max_size=60, unique=True),
    cap=st.integers(1, 40),
    daily=st.integers(0, 144),
    ahead=st.integers(0, 200),
)
def test_what_began_before_is_what_is_lost_by_then(hours: list[int], cap: int, daily: int, ahead: int) -> None:
    rate = daily / DAY.total_seconds()
    clock = kept([NOW - hour * HOUR for hour in hours], cap=cap, rate=rate)
    moment = NOW + ahead * HOUR

    limit = clock.begun_before(moment)

    slack = timedelta(seconds=1 / rate) if rate else timedelta()  # one recording more or less has come by then
    for hour in hours:
        began = NOW - hour * HOUR
        lost_at = clock.lost_at(began)
        assert (lost_at <= moment + slack) if began < limit else (lost_at >= moment - slack)


@given(
    losses=st.lists(st.tuples(st.integers(1, 72), st.integers(1, 30)), max_size=20),
    downloads=st.integers(0, 40),
)
def test_what_is_expected_to_be_lost_is_what_the_best_order_loses(
    losses: list[tuple[int, int]], downloads: int
) -> None:
    """The best order, tried hour by hour: what is lost earliest goes first, what is lost already is left out."""
    waiting = [Waiting("automatic", NOW + hours * HOUR - LIFETIME, number) for hours, number in losses]

    reading = read_clock([kept()], waiting, NOW, downloads / 3600)

    left = sorted(hours for hours, number in losses for _ in range(number))
    saved = 0
    for hour in range(1, 73):
        for _ in range(downloads):
            left = [one for one in left if one >= hour]
            saved += bool(left)
            left = left[1:]
    assert reading.expected_losses == sum(number for _, number in losses) - saved
    assert reading.waiting == sum(number for _, number in losses)
    assert reading.is_near == bool(losses and (reading.expected_losses or min(losses)[0] < 48))


def test_what_is_lost_already_is_not_waited_for() -> None:
    waiting = [Waiting("automatic", NOW - 91 * DAY, 5), Waiting("automatic", NOW - 80 * DAY, 3)]

    reading = read_clock([kept()], waiting, NOW, 1.0)

    assert (reading.waiting, reading.too_late, reading.expected_losses) == (3, 5, 0)
    assert reading.first_loss == {"automatic": NOW + 10 * DAY}
    assert not reading.is_near


def test_each_type_has_its_own_first_loss_and_its_own_span() -> None:
    on_demand = kept(an_hour(300), cap=200, rate=1 / 3600, of="on_demand")
    waiting = [Waiting("automatic", NOW - 80 * DAY, 1), Waiting("on_demand", NOW - 150 * HOUR, 1)]

    reading = read_clock([kept(an_hour(300)), on_demand], waiting, NOW, 1.0)

    assert reading.first_loss == {"automatic": NOW + 10 * DAY, "on_demand": NOW + 51 * HOUR}
    automatic, demand = reading.spans
    assert (automatic.lost_before, automatic.urgent_before) == (after(NOW - LIFETIME), after(NOW - LIFETIME + SOON))
    assert demand.lost_before < NOW - 200 * HOUR < demand.urgent_before < NOW - 150 * HOUR
    assert automatic.after(HOUR).urgent_before == automatic.urgent_before + HOUR


@pytest.mark.parametrize(("number", "horizon"), [(70, SOON), (80, 10 * DAY + BUCKET)])
def test_what_live_work_would_leave_no_time_for_is_urgent_however_far_away(number: int, horizon: timedelta) -> None:
    """Ten days until the loss, ten downloads a day, three of them for what comes in: seven are left for a backlog."""
    arrivals = kept(rate=3 / DAY.total_seconds())

    reading = read_clock([arrivals], [Waiting("automatic", NOW - 80 * DAY, number)], NOW, 10 / DAY.total_seconds())

    assert reading.horizon == horizon
    assert reading.expected_losses == 0


def test_more_calls_than_the_budget_allows_are_never_caught_up_with() -> None:
    waiting = [Waiting("automatic", NOW - DAY, 100)]

    assert read_clock([kept(rate=2.0)], waiting, NOW, 1.0).caught_up_in is None
    assert read_clock([kept(rate=1.0)], waiting, NOW, 2.0).caught_up_in == timedelta(seconds=100)
