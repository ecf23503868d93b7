"""The benchmark's own figure: what part of a budget steady work used."""

import pytest

from benchmarks.budget import LIMIT, QUICK, REAL, USUAL, faults_of, used_of


def test_ten_requests_at_once_each_window_use_all_of_it() -> None:
    assert used_of([6.0 * number for number in range(8) for _ in range(10)], 10, 6.0) == pytest.approx(1.0)


def test_a_round_that_takes_longer_than_its_window_costs_as_much() -> None:
    assert used_of([7.5 * number for number in range(8) for _ in range(10)], 10, 6.0) == pytest.approx(0.8)


def test_a_last_round_that_was_cut_off_does_not_count() -> None:
    times = [6.0 * number for number in range(8) for _ in range(10)]
    assert used_of(times[:-7], 10, 6.0) == pytest.approx(1.0)


def test_a_single_round_tells_nothing() -> None:
    assert used_of([0.0] * 10, 10, 6.0) == 0


def told(*, most: int = LIMIT, refused: int = 0, used: float = 1.0, users: int = 1, window: float = 6.0) -> str:
    return " ".join(faults_of(most=most, refused=refused, used=used, users=users, window=window))


def test_it_passes_only_with_what_is_promised() -> None:
    assert told() == ""
    assert "held 11 requests" in told(most=11)
    assert "1 requests were refused" in told(refused=1)


@pytest.mark.parametrize(
    ("users", "window", "enough", "too_little"),
    [(1, 6.0, 0.92, 0.919), (1, 60.0, 0.97, 0.969), (3, 6.0, 2.8 / 3, 2.79 / 3), (3, 60.0, 0.97, 0.969)],
)
def test_one_user_uses_92_percent_97_in_real_windows_and_three_are_worth_2_8(
    users: int, window: float, enough: float, too_little: float
) -> None:
    assert told(used=enough, users=users, window=window) == ""
    assert "are promised" in told(used=too_little, users=users, window=window)


def test_every_course_has_windows_for_which_something_is_promised() -> None:
    assert (USUAL.windows, USUAL.seconds) == (50, 6.0)
    assert (REAL.windows, REAL.seconds) == (3, 60.0)
    for course in (USUAL, QUICK, REAL):
        assert told(window=course.seconds) == ""
