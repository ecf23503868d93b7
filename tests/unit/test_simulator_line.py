"""A line has one pace, however many send over it."""

import pytest

from simulator.line import Line


def test_what_is_sent_together_takes_as_long_as_all_of_it() -> None:
    line = Line()
    line.through_at(100.0, 1.0)

    ends = [line.through_at(100.5, 2.0) for _ in range(3)]

    assert ends == pytest.approx([102.95, 104.95, 106.95])


def test_a_short_delay_is_made_up_for_and_a_long_pause_is_not() -> None:
    line = Line()
    first = line.through_at(100.0, 1.0)

    assert line.through_at(first + 0.03, 1.0) == pytest.approx(first + 1.0)
    assert line.through_at(first + 61.0, 1.0) == pytest.approx(first + 61.95)
