"""The benchmark's own figure: what part of a budget steady work used."""

import pytest

from benchmarks.budget import used_of


def test_ten_requests_at_once_each_window_use_all_of_it() -> None:
    assert used_of([6.0 * number for number in range(8) for _ in range(10)], 10, 6.0) == pytest.approx(1.0)


def test_a_round_that_takes_longer_than_its_window_costs_as_much() -> None:
    assert used_of([7.5 * number for number in range(8) for _ in range(10)], 10, 6.0) == pytest.approx(0.8)


def test_a_last_round_that_was_cut_off_does_not_count() -> None:
    times = [6.0 * number for number in range(8) for _ in range(10)]
    assert used_of(times[:-7], 10, 6.0) == pytest.approx(1.0)


def test_a_single_round_tells_nothing() -> None:
    assert used_of([0.0] * 10, 10, 6.0) == 0
