"""Due times and windows, which people must be able to read."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from common.ringcentral.budget import DEFAULT_RATE
from services.downloader.schedule import (
    STEPS,
    Kind,
    counted,
    next_step,
    next_step_when_missing,
    next_step_when_refused,
    why_unavailable,
)
from services.poller.announce import AHEAD, LEAST, MOST, grows_old_after, window_size
from services.poller.missed_calls import STEPS as LOOKS
from services.poller.missed_calls import next_look
from services.poller.pace import SHARE, next_pause, shortest_pause

KEPT = timedelta(days=90)


def test_the_schedule_begins_in_seconds_and_goes_on_for_days() -> None:
    for kind, steps in STEPS.items():
        if kind == "too_large":
            continue
        assert steps[0] <= (300 if kind == "implausible" else 30)
        assert timedelta(hours=46) < timedelta(seconds=sum(steps)) < timedelta(hours=73)


def test_what_is_too_large_is_tried_once_a_day() -> None:
    assert {next_step("too_large", attempts) for attempts in range(1, 11)} == {timedelta(days=1)}
    assert next_step("too_large", 11) is None


@given(st.lists(st.tuples(st.sampled_from(list(STEPS)), st.booleans()), max_size=200))
def test_no_kind_of_failure_ends_before_each_of_its_own_steps_was_waited_for(met: list[tuple[Kind, bool]]) -> None:
    failures: dict[str, int] = {}
    waited: dict[str, list[float]] = {kind: [] for kind in STEPS}
    for kind, ahead in met:
        failures = counted(failures, kind, ahead=ahead)
        step = next_step(kind, failures[kind])
        if step is None:
            assert {*waited[kind]} == {*STEPS[kind]}
            assert len(waited[kind]) >= len(STEPS[kind])
            return
        waited[kind].append(step.total_seconds())
    for kind in STEPS:  # and it does end: only what was brought forward takes no step.
        assert sum(not ahead for name, ahead in met if name == kind) <= len(STEPS[kind])


def test_no_step_is_shorter_than_the_one_before() -> None:
    for steps in STEPS.values():
        assert list(steps) == sorted(steps)


def test_the_schedule_ends() -> None:
    assert next_step("source_failed", 1) == timedelta(seconds=10)
    assert next_step("source_failed", len(STEPS["source_failed"])) is not None
    assert next_step("source_failed", len(STEPS["source_failed"]) + 1) is None


def test_what_is_not_ready_soon_after_the_call_is_asked_for_on_its_schedule() -> None:
    young = timedelta(minutes=10)

    assert next_step_when_missing(1, young, KEPT, before_as_well=False) == timedelta(seconds=30)
    assert next_step_when_missing(2, young, KEPT, before_as_well=True) == timedelta(minutes=1)
    assert next_step_when_missing(11, young, KEPT, before_as_well=True) is None


def test_what_is_missing_long_after_the_call_costs_two_requests() -> None:
    old = timedelta(days=3)

    assert next_step_when_missing(1, old, KEPT, before_as_well=False) == timedelta(hours=6)
    assert next_step_when_missing(2, old, KEPT, before_as_well=True) is None
    assert (
        why_unavailable(old, KEPT, "nothing there")
        == "nothing there, 3 d 0 h after the call: it was deleted, or never made"
    )


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=400)), st.booleans())
def test_what_is_refused_is_asked_for_hourly_then_daily_for_as_long_as_it_is_kept(
    age: timedelta, before_as_well: bool
) -> None:
    step = next_step_when_refused(age, KEPT, before_as_well=before_as_well)

    if age > KEPT + timedelta(days=1):
        assert step is None
    elif age <= timedelta(days=1) or not before_as_well:
        assert step == timedelta(hours=1)
    else:
        assert step == timedelta(days=1)


def test_what_is_missing_although_other_things_went_wrong_before_is_asked_for_once_more() -> None:
    assert next_step_when_missing(9, timedelta(days=3), KEPT, before_as_well=False) == timedelta(hours=6)


def test_what_is_missing_long_after_the_call_is_given_up_when_all_was_tried_whatever_came_between() -> None:
    assert next_step_when_missing(11, timedelta(days=3), KEPT, before_as_well=False) is None


def test_what_is_missing_after_all_retention_costs_one_request() -> None:
    ancient = timedelta(days=120)

    assert next_step_when_missing(1, ancient, KEPT, before_as_well=False) is None
    assert "90 days" in why_unavailable(ancient, KEPT, "nothing there")


def test_another_plan_keeps_recordings_for_another_time() -> None:
    age, kept = timedelta(days=40), timedelta(days=30)

    assert next_step_when_missing(1, age, kept, before_as_well=False) is None
    assert "older than the 30 days" in why_unavailable(age, kept, "nothing there")


@given(st.floats(min_value=0.001, max_value=1000))
def test_the_window_is_never_more_than_ten_minutes_of_budget_ahead_nor_empty(rate: float) -> None:
    window = window_size(rate)

    assert LEAST <= window <= MOST
    assert window == LEAST or window <= rate * AHEAD


@given(st.floats(min_value=0.001, max_value=1000))
def test_an_announcement_grows_old_only_after_a_full_window_had_its_turn(rate: float) -> None:
    assert grows_old_after(window_size(rate), rate) > window_size(rate) / rate


def test_one_user_has_a_window_of_a_hundred_jobs() -> None:
    assert window_size(DEFAULT_RATE) == 100


def test_a_poll_in_thirty_seconds_while_calls_come_in() -> None:
    assert next_pause(read=1, last=300, rate=DEFAULT_RATE, longest=300) == 30


def test_the_pause_doubles_while_nothing_happens_up_to_the_setting() -> None:
    pauses, last = [], 30.0
    for _ in range(5):
        last = next_pause(read=0, last=last, rate=DEFAULT_RATE, longest=300)
        pauses.append(last)

    assert pauses == [60, 120, 240, 300, 300]


def test_no_budget_is_so_large_that_polls_become_a_storm() -> None:
    assert next_pause(read=9, last=0, rate=1_000, longest=300) == 0.5


def test_the_setting_is_the_longest_pause_even_when_calls_come_in() -> None:
    assert next_pause(read=9, last=0, rate=DEFAULT_RATE, longest=5) == 5


@given(st.integers(min_value=0, max_value=20_000), st.floats(min_value=0.01, max_value=50))
def test_polls_of_many_pages_stay_within_their_share_of_the_budget(read: int, rate: float) -> None:
    pages = max(1, -(-read // 250))

    assert pages / shortest_pause(read=read, rate=rate) <= SHARE * rate * 1.001


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=90)))
def test_a_call_that_polls_missed_is_asked_for_a_few_times_and_never_again(age: timedelta) -> None:
    seen = datetime(2026, 3, 1, tzinfo=UTC)
    asks, due = 0, next_look(seen, seen + age)
    while due is not None:
        assert due > seen + age
        asks, due = asks + 1, next_look(seen, due)

    assert asks <= len(LOOKS)
