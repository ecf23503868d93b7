"""When the call log is read again, and how far back."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.poller.history import Found
from services.poller.readings import Kind, Reading
from services.poller.reconcile import ALL_EVERY, RECENT, SETTLED_AFTER, Schedule, pause_between_windows

NOW = datetime(2026, 3, 31, tzinfo=UTC)
SCHEDULE = Schedule(recent_every=timedelta(days=1), retention=timedelta(days=90))


def begun(ago: timedelta, kind: Kind = "recent") -> Reading:
    at = NOW - ago
    return Reading(1, kind, at - RECENT, at, at, at, at, Found())


def test_a_reading_goes_back_days_or_all_of_retention() -> None:
    long_ago = timedelta(days=60)
    assert SCHEDULE.due("recent", begun(long_ago), NOW) == (NOW - RECENT, NOW - SETTLED_AFTER)
    assert SCHEDULE.due("all", begun(long_ago, "all"), NOW) == (NOW - timedelta(days=90), NOW - SETTLED_AFTER)


@given(st.timedeltas(timedelta(), timedelta(days=60)))
def test_the_next_is_due_when_its_time_has_come(ago: timedelta) -> None:
    assert (SCHEDULE.due("recent", begun(ago), NOW) is None) == (ago < timedelta(days=1))
    assert (SCHEDULE.due("all", begun(ago, "all"), NOW) is None) == (ago < ALL_EVERY)


def test_readings_overlap_so_that_no_call_falls_between() -> None:
    last = begun(timedelta(days=1))
    span = SCHEDULE.due("recent", last, NOW)

    assert span is not None
    assert span[0] < last.started_at - SETTLED_AFTER


def test_readings_leave_half_of_the_budget() -> None:
    assert pause_between_windows(10 / 60) == 12
