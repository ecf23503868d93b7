"""The fuzzer repeats itself when told to, draws every kind, and says what must not be."""

import pytest

from benchmarks.fuzz import GROWTH, Report, faults_of
from benchmarks.fuzz_requests import _KINDS, shot


def test_a_seed_and_a_number_give_the_same_bytes_again() -> None:
    assert [shot(7, number) for number in range(100)] == [shot(7, number) for number in range(100)]
    assert shot(7, 1) != shot(8, 1)


def test_every_kind_is_drawn() -> None:
    assert {shot(4, number).kind for number in range(2_500)} == set(_KINDS)


@pytest.mark.parametrize(
    ("bad", "wanted", "growth", "errors", "told"),
    [
        ([], 2, 0, [], []),
        ([17], 2, 0, [], ["5xx or no answer at all: --only 17"]),
        ([], 3, 0, [], ["only 2 of 3 were sent in time"]),
        ([], 2, GROWTH + 1, [], ["memory grew by 20.0 MB, more than 20"]),
        ([], 2, 0, ["receiving_failed"], ["errors in the receiver's log: receiving_failed"]),
    ],
)
def test_what_must_not_be_is_told(bad: list[int], wanted: int, growth: int, errors: list[str], told: list[str]) -> None:
    report = Report(bad=bad)
    report.answers["genuine", "200"] = 2

    assert faults_of(report, wanted, growth=growth, errors=errors) == told
