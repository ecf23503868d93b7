"""The benchmark's own judgement: what more downloaders must bring, and what must not be said or refused."""

import pytest

from benchmarks.replicas import (
    FASTER,
    FEW,
    FOUR,
    LIMIT,
    MANY,
    NO_DIFFERENCE,
    ONE,
    STREAMS,
    WINDOW,
    Course,
    Drain,
    faults_of,
)

SAID = ("group=heavy used=10 of=10",)


def drain(
    course: Course,
    replicas: int,
    *,
    seconds: float = 100.0,
    most: int = LIMIT,
    refused: int = 0,
    said: tuple[str, ...] | None = None,
) -> Drain:
    limits = course.reach * replicas > 1
    return Drain(course, replicas, seconds, 160, most, refused, (SAID if limits else ()) if said is None else said)


def told(few: Drain, many: Drain) -> str:
    return " ".join(faults_of(few, many))


def test_a_downloader_alone_can_use_a_quarter_of_four_users_and_four_times_what_one_has() -> None:
    assert (FOUR.users, ONE.users) == (4, 1)
    for course, part in ((FOUR, 1 / 4), (ONE, 4)):
        in_a_window = STREAMS * WINDOW / course.latency
        assert in_a_window == pytest.approx(part * LIMIT * course.users)


def test_four_downloaders_must_be_so_much_faster_while_there_is_budget() -> None:
    few = drain(FOUR, FEW)
    assert told(few, drain(FOUR, MANY, seconds=100 / FASTER)) == ""
    assert "3.4 are promised" in told(few, drain(FOUR, MANY, seconds=101 / FASTER))


@pytest.mark.parametrize("ratio", [1 - NO_DIFFERENCE - 0.01, 1 + NO_DIFFERENCE + 0.01])
def test_they_must_make_no_difference_where_the_budget_is_the_limit(ratio: float) -> None:
    few = drain(ONE, FEW)
    assert told(few, drain(ONE, MANY)) == ""
    assert "although the budget is the limit" in told(few, drain(ONE, MANY, seconds=100 / ratio))


def test_nothing_may_be_refused_and_no_window_be_too_full() -> None:
    good = drain(ONE, FEW)
    assert "1 requests were refused" in told(good, drain(ONE, MANY, refused=1))
    assert "held 11 requests" in told(good, drain(ONE, MANY, most=LIMIT + 1))


def test_the_log_must_name_the_limit_where_it_is_and_only_there() -> None:
    assert "no log says" in told(drain(ONE, FEW), drain(ONE, MANY, said=()))
    quick = drain(FOUR, MANY, seconds=25.0)
    assert "which it is not" in told(drain(FOUR, FEW, said=SAID), quick)
    assert (
        told(drain(FOUR, FEW), drain(FOUR, MANY, seconds=25.0, said=SAID)) == ""
    )  # right at the limit, either is true
