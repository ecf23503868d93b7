"""What the insights benchmark calls a fault."""

from collections import Counter

from benchmarks.insights import LIMIT, End, faults_of

#: Two recordings that were asked for once, in two minutes, beside the guardian.
MINUTES = [Counter({"insights.record": 1, "subscription.get": 1})] * 2
ENDS = [End("unavailable: no_licence", 1, 2)]


def test_each_asked_for_once_with_the_reason_is_good() -> None:
    assert list(faults_of(MINUTES, ENDS, 2)) == []


def test_a_minute_above_the_limit_is_a_fault_whatever_it_was_for() -> None:
    busy = Counter({"subscription.get": LIMIT + 1})

    assert list(faults_of([*MINUTES, busy], ENDS, 2)) == [f"FAULT: a minute took {LIMIT + 1} light requests"]


def test_one_that_was_asked_for_twice_or_never_is_a_fault() -> None:
    assert list(faults_of([*MINUTES, MINUTES[0]], ENDS, 2)) == ["FAULT: 3 requests for the insights of 2 recordings"]
    twice = [End("unavailable: no_licence", 1, 1), End("unavailable: no_licence", 2, 1)]
    for ends in (twice, [End("absent", 1, 2)], []):
        (fault,) = faults_of(MINUTES, ends, 2)
        assert "not each recording" in fault
