"""When insights are asked for: early enough, never too often, and with an end."""

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.poller.insights_schedule import EXPECTED, NEAREST, NOT_EXPECTED, ON_ITS_WAY, first_ask, next_ask

ENDED = datetime(2026, 3, 1, 12, tzinfo=UTC)
AGES = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=400))
LATE = st.timedeltas(min_value=timedelta(0), max_value=timedelta(hours=12))


def all_asks(seen_after: timedelta, late: timedelta, *, expected: bool) -> list[datetime]:
    """Every time that a recording is asked for in vain, by somebody who always comes so late."""
    asks = []
    due: datetime | None = first_ask(ENDED, ENDED + seen_after, expected=expected)
    while due is not None:
        asks.append(due + late)
        due = next_ask(ENDED, asks[-1], expected=expected)
    return asks


def test_a_call_whose_event_was_lost_is_asked_for_six_times_in_a_week() -> None:
    asks = all_asks(timedelta(minutes=1), timedelta(0), expected=True)

    assert [ask - ENDED for ask in asks] == list(EXPECTED)


def test_where_none_are_expected_it_is_asked_once() -> None:
    assert [ask - ENDED for ask in all_asks(timedelta(0), timedelta(0), expected=False)] == list(NOT_EXPECTED)


def test_the_steps_grow() -> None:
    assert list(EXPECTED) == sorted(EXPECTED)
    assert all(later - earlier >= NEAREST for earlier, later in itertools.pairwise(EXPECTED))


@given(seen=AGES, late=LATE, expected=st.booleans())
def test_however_late_it_ends_after_one_to_six_times(seen: timedelta, late: timedelta, *, expected: bool) -> None:
    asks = all_asks(seen, late, expected=expected)

    assert 1 <= len(asks) <= (len(EXPECTED) if expected else len(NOT_EXPECTED))
    assert all(later - earlier >= NEAREST for earlier, later in itertools.pairwise(asks))


@given(seen=AGES, expected=st.booleans())
def test_nothing_is_asked_for_while_its_event_may_be_on_its_way(seen: timedelta, *, expected: bool) -> None:
    (first, *_) = all_asks(seen, timedelta(0), expected=expected)

    assert first >= ENDED + seen + ON_ITS_WAY
    assert first >= ENDED + timedelta(minutes=45)


@given(AGES)
def test_an_old_recording_is_asked_for_as_soon_as_it_is_known(seen: timedelta) -> None:
    (first, *_) = all_asks(seen + timedelta(days=8), timedelta(0), expected=True)

    assert first == ENDED + seen + timedelta(days=8) + ON_ITS_WAY


@given(age=AGES, expected=st.booleans())
def test_the_next_time_is_always_ahead(age: timedelta, *, expected: bool) -> None:
    now = ENDED + age
    due = next_ask(ENDED, now, expected=expected)

    assert due is None or due >= now + NEAREST
