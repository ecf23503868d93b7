"""What a backfill comes to."""

import math
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.ringcentral.call_log import Window
from services.poller.backfill import (
    EXACT,
    LEAST_READ,
    MOST_REQUESTS,
    WEEK,
    Day,
    Here,
    Pace,
    error_of,
    is_enough,
    plan_of,
    reading_order,
)
from services.poller.history import windows_between

NOW = datetime(2026, 3, 31, tzinfo=UTC)
A_DAY = timedelta(days=1)
#: Ten heavy requests a minute, of which polls have two, and no live work.
PACE = Pace(rate=10 / 60, live=0.0, bytes_per_second=4000.0, retention=timedelta(days=90))
NOTHING = Here()
#: Nothing is lost, however long it takes.
WITHOUT_END = Pace(rate=1e9, live=0.0, bytes_per_second=4000.0, retention=timedelta(days=9999))


def days_before(count: int, now: datetime = NOW) -> list[Window]:
    return list(windows_between(now - count * A_DAY, now))


def alike(windows: list[Window], recordings: float, calls: float = 1000, seconds: float = 0) -> list[Day]:
    return [Day(window, calls, recordings, seconds, max(1, math.ceil(calls / 1000))) for window in windows]


def test_windows_cover_a_span_without_gap_and_overlap() -> None:
    windows = list(windows_between(NOW, NOW + 2.5 * A_DAY))

    assert [window.begin for window in windows] == [NOW, NOW + A_DAY, NOW + 2 * A_DAY]
    assert [window.end for window in windows] == [NOW + A_DAY, NOW + 2 * A_DAY, NOW + 2.5 * A_DAY]


@given(st.integers(1, 400))
def test_every_day_has_its_turn_once(count: int) -> None:
    windows = days_before(count)

    assert sorted(reading_order(windows), key=lambda window: window.begin) == windows


@pytest.mark.parametrize("weeks", [4, 7, 13, 14, 52])
def test_each_day_of_the_week_and_each_part_of_the_span_is_read_early(weeks: int) -> None:
    windows = days_before(WEEK * weeks)

    first = reading_order(windows)[:LEAST_READ]

    weekdays = [window.begin.weekday() for window in first]
    assert [weekdays.count(weekday) for weekday in range(WEEK)] == [2] * WEEK
    quarters = {4 * windows.index(window) // len(windows) for window in first}
    assert quarters == {0, 1, 2, 3}


def company(windows: list[Window], chance: Random, a_day: float) -> list[Day]:
    """Five days of the week with so many recordings each, busier and quieter by chance, ever more, and two with few."""
    days = []
    for place, window in enumerate(windows):
        mean = a_day * (1 + place / len(windows) / 5) * (0.1 if place % WEEK > 4 else 1)
        recordings = max(0, round(chance.gauss(mean, math.hypot(math.sqrt(mean), mean / 10))))
        calls = round(1.5 * recordings)
        days.append(Day(window, calls, recordings, 0.0, max(1, math.ceil(calls / 1000))))
    return days


@pytest.mark.parametrize(
    ("a_day", "count", "most"), [(3, 21, 21), (3, 90, 86), (40, 21, 21), (40, 59, 54), (40, 120, 95), (13_000, 59, 40)]
)
def test_a_plan_is_within_five_percent_of_the_truth_and_says_so(a_day: float, count: int, most: int) -> None:
    """Twenty companies of each size; `most` days are read to know it."""
    windows = days_before(count)
    off, read = [], []
    for seed in range(20):
        truth = {day.window: day for day in company(windows, Random(seed), a_day)}
        known: list[Day] = []
        for window in reading_order(windows):
            if is_enough(windows, known):
                break
            known.append(truth[window])
        plan = plan_of(windows, known, NOTHING, WITHOUT_END, NOW)
        off.append(abs(plan.requests / sum(day.requests for day in truth.values()) - 1))
        read.append(len(known))
        assert plan.error <= EXACT or sum(day.pages for day in known) >= MOST_REQUESTS

    print(f"{a_day} a day, {count} days: off by {max(off):.1%} at most, {min(read)} to {max(read)} days read")  # noqa: T201 - pytest shows it when the test fails.
    assert max(off) <= 0.05
    assert max(read) <= most


def test_reading_ends_when_it_would_take_longer_than_an_hour() -> None:
    windows = days_before(365)
    chance = Random(1)
    uneven = [Day(window, 40_000, chance.randrange(20_000), 0.0, 40) for window in reading_order(windows)]

    assert not is_enough(windows, uneven[:14])
    assert is_enough(windows, uneven[:15])
    assert error_of(windows, uneven[:15]) > 0.05


def test_an_error_is_none_when_all_is_read_and_unknown_while_no_weekday_was_read_twice() -> None:
    windows = days_before(28)
    read = alike(reading_order(windows), recordings=10)

    assert error_of(windows, read) == 0
    assert error_of(windows, read[:WEEK]) == math.inf
    assert error_of(windows, read[:LEAST_READ]) == 0


def test_a_part_of_a_day_at_the_end_counts_as_a_part() -> None:
    windows = list(windows_between(NOW - 28.5 * A_DAY, NOW))
    read = alike([window for window in reading_order(windows) if window != windows[-1]], recordings=10)

    assert plan_of(windows, read, NOTHING, PACE, NOW).recordings == 285


def test_what_is_read_in_full_is_counted() -> None:
    windows = days_before(3)
    read = alike(windows, recordings=80, calls=2000, seconds=3600)

    plan = plan_of(windows, read, NOTHING, PACE, NOW)

    assert (plan.days, plan.read, plan.calls, plan.recordings, plan.insights) == (3, 3, 6000, 240, 240)
    assert plan.bytes == pytest.approx(3 * 3600 * 4000)
    assert plan.requests == 3 * 2 + 240
    assert plan.seconds == pytest.approx(246 / (8 / 60))
    assert plan.expire == 0


def test_days_that_were_not_read_count_as_the_mean_of_those_that_were() -> None:
    windows = days_before(70)

    read = alike(windows[::10], recordings=10)

    plan = plan_of(windows, read, Here(audio=350, insights=600), PACE, NOW)

    assert (plan.read, plan.recordings, plan.insights) == (7, 350, 100)  # half of 700 are here


def test_what_is_older_than_retention_comes_too_late() -> None:
    windows = list(windows_between(NOW - 100 * A_DAY, NOW - 80 * A_DAY))

    plan = plan_of(windows, alike(windows, recordings=1), NOTHING, PACE, NOW)

    assert plan.expire == 10 + 1  # the day of which a part is lost counts with those that are


def test_what_is_dropped_before_its_turn_comes_too_late() -> None:
    """11,520 requests a day are spare; two days of 10,000 recordings each, the first of which is lost in a day."""
    windows = list(windows_between(NOW - 89 * A_DAY, NOW - 87 * A_DAY))

    plan = plan_of(windows, alike(windows, recordings=10_000), NOTHING, PACE, NOW)

    assert plan.expire == 0
    slow = Pace(PACE.rate / 2, 0.0, 4000.0, PACE.retention)
    assert plan_of(windows, alike(windows, recordings=10_000), NOTHING, slow, NOW).expire == pytest.approx(
        2 * 10_000 - 2 * 5760, abs=5
    )


def test_live_work_that_takes_all_leaves_no_time_for_a_backfill() -> None:
    windows = days_before(2)
    busy = Pace(PACE.rate, PACE.rate, 4000.0, PACE.retention)

    plan = plan_of(windows, alike(windows, recordings=5), NOTHING, busy, NOW)

    assert (plan.seconds, plan.expire) == (None, 10)


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 500)), min_size=1, max_size=30), st.integers(0, 20_000))
def test_a_plan_never_promises_more_than_there_is(numbers: list[tuple[int, int]], stored: int) -> None:
    windows = days_before(len(numbers))
    read = [Day(window, *counts, 0.0, 1) for window, counts in zip(windows, numbers, strict=True)]

    plan = plan_of(windows, read, Here(audio=stored), PACE, NOW)

    assert 0 <= plan.expire <= plan.recordings + 1
    assert plan.recordings == max(0, sum(recordings for _, recordings in numbers) - stored)
    assert plan.requests >= len(numbers)
