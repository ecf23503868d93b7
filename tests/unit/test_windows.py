"""Windows miss no call, whatever happens; and what a full sync goes back to when there is a sync endpoint again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from common.ringcentral.call_log import Window
from services.poller.pages import LONGEST_LOOK_BACK, SYNC_OVERLAP, Cursor, full_sync_since
from services.poller.windows import (
    DEEP_EVERY,
    DEEP_OVERLAP,
    SHALLOW_OVERLAP,
    WINDOWS_FOR,
    Windows,
    after_window,
    begin_windows,
    next_window,
)

#: When windows are begun: until then the sync endpoint has told all.
BEGUN = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Poll:
    """A poll at a time of RingCentral, by a poller whose own clock differs; it may break off between two pages."""

    at: datetime
    clock_ahead: timedelta
    finished: bool


@dataclass(frozen=True)
class Call:
    started_at: datetime
    appeared_at: datetime


@st.composite
def polls_of_a_week(draw: st.DrawFn, clocks: timedelta = timedelta(hours=1)) -> list[Poll]:
    """Pauses from half a minute to an outage of days; the last poll is finished, and later than all that may wait."""
    pauses = st.one_of(
        st.timedeltas(timedelta(seconds=30), timedelta(minutes=5)), st.timedeltas(timedelta(0), timedelta(days=3))
    )
    at, polls = BEGUN, []
    for pause, clock_ahead, finished in draw(
        st.lists(st.tuples(pauses, st.timedeltas(-clocks, clocks), st.booleans()), max_size=30)
    ):
        at += pause
        polls.append(Poll(at, clock_ahead, finished))
    return [*polls, Poll(at + 7 * DAY, timedelta(0), finished=True)]


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """A call of up to a day whose record appears within an hour after its end, and after the last sync."""
    length, late = draw(st.timedeltas(timedelta(0), DAY)), draw(st.timedeltas(timedelta(0), timedelta(hours=1)))
    appeared_at = BEGUN + draw(st.timedeltas(timedelta(microseconds=1), 7 * DAY))
    return Call(appeared_at - late - length, appeared_at)


def windows_read(polls: Sequence[Poll]) -> list[tuple[Poll, Window]]:
    """The windows that were read to their end, as `pages` goes from one to the next."""
    windows, polled_until = begin_windows(None, BEGUN, BEGUN), BEGUN
    read = []
    for poll in polls:
        now = poll.at + poll.clock_ahead
        if poll.finished:
            read.append((poll, next_window(windows, polled_until, now)))
            windows, polled_until = after_window(windows, now), now
    return read


def poll_after(hours: float, clock_ahead: float = 0) -> Poll:
    return Poll(BEGUN + timedelta(hours=hours), timedelta(hours=clock_ahead), finished=True)


#: A deep window by a clock that goes an hour ahead, then a long call's end, then polls until the next deep window.
AHEAD_AND_BACK = [poll_after(2, 1), poll_after(3), poll_after(3.5, 0.49), poll_after(4), poll_after(5)]
JUST_AFTER = timedelta(hours=2, seconds=1)


@example(AHEAD_AND_BACK, [Call(BEGUN + JUST_AFTER - DAY - timedelta(hours=1), BEGUN + JUST_AFTER)])
@given(polls_of_a_week(), st.lists(calls(), min_size=1, max_size=20))
def test_each_record_is_in_a_window_that_is_read_after_it_appeared(polls: list[Poll], made: list[Call]) -> None:
    read = windows_read(polls)

    for call in made:
        assert any(
            call.appeared_at <= poll.at and window.begin <= call.started_at <= window.end for poll, window in read
        )


@given(polls_of_a_week(clocks=3 * DAY))
def test_no_window_ends_before_it_begins(polls: list[Poll]) -> None:
    assert all(window.begin < window.end for _, window in windows_read(polls))


def test_a_day_of_polls_costs_a_deep_window_an_hour() -> None:
    polls = [Poll(BEGUN + timedelta(seconds=30) * number, timedelta(0), finished=True) for number in range(24 * 120)]

    lengths = [window.end - window.begin for _, window in windows_read(polls)]

    deep = [length for length in lengths if length >= DEEP_OVERLAP]
    assert len(deep) == 23
    assert max(length for length in lengths if length < DEEP_OVERLAP) <= SHALLOW_OVERLAP + timedelta(seconds=30)


@given(st.timedeltas(timedelta(0), 27 * DAY), st.timedeltas(timedelta(0), DAY))
def test_a_full_sync_begins_where_windows_began(lasted: timedelta, polled_ago: timedelta) -> None:
    now = BEGUN + lasted
    polled_until = max(BEGUN, now - polled_ago)
    windows = Windows(BEGUN, now, polled_until)

    assert full_sync_since(Cursor("one", None, polled_until, windows), now) == BEGUN - SYNC_OVERLAP


def test_windows_that_are_tried_again_and_again_keep_their_beginning() -> None:
    windows = begin_windows(None, BEGUN, BEGUN + DEEP_EVERY)
    later = begin_windows(after_window(windows, BEGUN + DAY), BEGUN + 2 * DAY, BEGUN + 2 * DAY)

    assert later == Windows(since=BEGUN, until=BEGUN + 2 * DAY + WINDOWS_FOR, deep_until=BEGUN + DAY)


def test_a_full_sync_asks_for_less_than_thirty_days_of_late_rewriting_but_for_all_that_nobody_has_read() -> None:
    now = BEGUN + 90 * DAY
    read_by_windows = Cursor("one", None, now - DAY, Windows(BEGUN, now, now - DAY))
    away = Cursor("one", None, now - 40 * DAY, Windows(BEGUN, now, now - 40 * DAY))
    without_windows = Cursor("one", None, now - 40 * DAY)

    assert full_sync_since(read_by_windows, now) == now - LONGEST_LOOK_BACK - SYNC_OVERLAP
    assert now - full_sync_since(read_by_windows, now) < 30 * DAY
    assert full_sync_since(away, now) == full_sync_since(without_windows, now) == now - 40 * DAY - SYNC_OVERLAP
