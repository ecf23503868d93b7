"""What a backfill comes to."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.ringcentral.call_log import Window
from services.poller.backfill import SAMPLES, Day, Pace, plan_of, sample_of
from services.poller.history import windows_between

NOW = datetime(2026, 3, 31, tzinfo=UTC)
A_DAY = timedelta(days=1)
#: Ten heavy requests a minute, of which polls have two, and no live work.
PACE = Pace(rate=10 / 60, live=0.0, bytes_per_second=4000.0, retention=timedelta(days=90))


def days_before(count: int, now: datetime = NOW) -> list[Window]:
    return list(windows_between(now - count * A_DAY, now))


def alike(windows: list[Window], recordings: float, calls: float = 1000, seconds: float = 0) -> list[Day]:
    return [Day(window.begin, calls, recordings, seconds) for window in windows]


def test_windows_cover_a_span_without_gap_and_overlap() -> None:
    windows = list(windows_between(NOW, NOW + 2.5 * A_DAY))

    assert [window.begin for window in windows] == [NOW, NOW + A_DAY, NOW + 2 * A_DAY]
    assert [window.end for window in windows] == [NOW + A_DAY, NOW + 2 * A_DAY, NOW + 2.5 * A_DAY]


@given(st.integers(1, 400))
def test_some_days_are_read_of_a_long_span_and_all_of_a_short_one(count: int) -> None:
    windows = days_before(count)

    chosen = sample_of(windows)

    assert len(chosen) == len(set(chosen)) == min(count, SAMPLES) or count > SAMPLES
    assert set(chosen) <= set(windows)
    if count <= SAMPLES:
        assert chosen == windows


@pytest.mark.parametrize("weeks", [4, 7, 14])
def test_a_span_of_whole_weeks_is_not_judged_by_its_mondays(weeks: int) -> None:
    assert len({window.begin.weekday() for window in sample_of(days_before(7 * weeks))}) >= 5


def test_what_is_read_in_full_is_counted() -> None:
    windows = days_before(3)
    read = alike(windows, recordings=80, calls=2000, seconds=3600)

    plan = plan_of(windows, read, stored=0, pace=PACE, now=NOW)

    assert (plan.days, plan.sampled, plan.calls, plan.recordings) == (3, 3, 6000, 240)
    assert plan.bytes == pytest.approx(3 * 3600 * 4000)
    assert plan.requests == 3 * 2 + 240
    assert plan.seconds == pytest.approx(246 / (8 / 60))
    assert plan.expire == 0


def test_days_that_were_not_read_count_as_the_mean_of_those_that_were() -> None:
    windows = days_before(70)

    plan = plan_of(windows, alike(windows[::10], recordings=10), stored=350, pace=PACE, now=NOW)

    assert (plan.sampled, plan.recordings) == (7, 350)  # half of 700 are here


def test_what_is_older_than_retention_comes_too_late() -> None:
    windows = list(windows_between(NOW - 100 * A_DAY, NOW - 80 * A_DAY))

    plan = plan_of(windows, alike(windows, recordings=1), stored=0, pace=PACE, now=NOW)

    assert plan.expire == 10 + 1  # the day of which a part is lost counts with those that are


def test_what_is_dropped_before_its_turn_comes_too_late() -> None:
    """11,520 requests a day are spare; two days of 10,000 recordings each, the first of which is lost in a day."""
    windows = list(windows_between(NOW - 89 * A_DAY, NOW - 87 * A_DAY))

    plan = plan_of(windows, alike(windows, recordings=10_000), stored=0, pace=PACE, now=NOW)

    assert plan.expire == 0
    slow = Pace(PACE.rate / 2, 0.0, 4000.0, PACE.retention)
    assert plan_of(windows, alike(windows, recordings=10_000), stored=0, pace=slow, now=NOW).expire == pytest.approx(
        2 * 10_000 - 2 * 5760, abs=5
    )


def test_live_work_that_takes_all_leaves_no_time_for_a_backfill() -> None:
    windows = days_before(2)
    busy = Pace(PACE.rate, PACE.rate, 4000.0, PACE.retention)

    plan = plan_of(windows, alike(windows, recordings=5), stored=0, pace=busy, now=NOW)

    assert (plan.seconds, plan.expire) == (None, 10)


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 500)), min_size=1, max_size=30), st.integers(0, 20_000))
def test_a_plan_never_promises_more_than_there_is(numbers: list[tuple[int, int]], stored: int) -> None:
    windows = days_before(len(numbers))
    read = [Day(window.begin, *counts, 0.0) for window, counts in zip(windows, numbers, strict=True)]

    plan = plan_of(windows, read, stored, PACE, NOW)

    assert 0 <= plan.expire <= plan.recordings + 1
    assert plan.recordings == max(0, sum(recordings for _, recordings in numbers) - stored)
    assert plan.requests >= len(numbers)
