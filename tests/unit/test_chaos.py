"""The kill matrix's own judgement: what it must not overlook, and what it must not count."""

import io
from typing import Any

import pytest
from rich.console import Console

from chaos.__main__ import SHORT, cell_of
from chaos.faults import FAULTS, NOT_THERE, TARGETS, Cell
from chaos.judge import Findings, findings_of, part_of
from chaos.matrix import Result
from chaos.soak import Sample, is_flat, quarters, show_watch
from chaos.table import show_table
from demo.check import Verdict


def truth(**changed: Any) -> dict[str, Any]:
    """Two recordings with an event each; the second event got no 200."""
    events = [
        {"record_id": "1", "delivered": True, "tries": 1, "bodies": ["aa"]},
        {"record_id": "2", "delivered": False, "tries": 1, "bodies": []},
        {"record_id": "2", "delivered": False, "tries": 0, "bodies": []},
    ]
    insights = [{"record_id": "1"}, {"record_id": "2"}]
    return {
        "finished": True,
        "recordings": [{"id": "1"}, {"id": "2"}],
        "insights": insights,
        "events": events,
    } | changed


def test_only_what_was_not_judged_yet_is_judged_and_of_the_events_what_was_answered() -> None:
    part = part_of(truth(), {"1"})
    assert (part["recordings"], part["insights"], part["events"]) == ([{"id": "2"}], [{"record_id": "2"}], [])
    assert [event["bodies"] for event in part_of(truth(), set())["events"]] == [["aa"]]


def test_an_event_that_was_sent_and_got_no_200_is_unanswered_and_not_lost() -> None:
    found = findings_of(truth(), part_of(truth(), set()), Verdict(recordings=2), [])
    assert found.right
    assert (found.unanswered, found.recordings, found.events) == (1, 2, 1)


def test_what_the_check_misses_is_lost_and_what_changed_twice_is_doubled() -> None:
    found = findings_of(truth(), part_of(truth(), set()), Verdict(faults=["recording 1: no row"]), ["stored 2"])
    assert (found.lost, found.doubled, found.right) == (["recording 1: no row"], ["stored 2"], False)


def test_nothing_is_right_before_ringcentral_has_finished() -> None:
    unfinished = truth(finished=False)
    assert not findings_of(unfinished, part_of(unfinished, set()), Verdict(), []).right


@pytest.mark.parametrize(
    "result",
    [
        Result(Cell("s3", "cut"), Findings(lost=["one"]), 1.0),
        Result(Cell("s3", "cut"), Findings(doubled=["one"]), 1.0),
        Result(Cell("s3", "cut"), Findings(), None),
        Result(Cell("s3", "cut"), Findings(), 1.0, died=["poller-1-5"]),
    ],
)
def test_a_cell_with_anything_lost_doubled_never_recovered_or_given_up_is_not_good(result: Result) -> None:
    assert not result.good


def test_every_target_meets_every_fault_or_there_is_a_reason() -> None:
    cells = [Cell(target, fault) for target in TARGETS for fault in FAULTS]
    assert len(cells) == 48
    assert set(NOT_THERE) <= {(cell.target, cell.fault) for cell in cells}
    assert all(NOT_THERE.values())
    table = io.StringIO()
    results = [Result(cell, not_run=NOT_THERE.get((cell.target, cell.fault), "")) for cell in cells]
    show_table(Console(file=table, width=200), results)
    assert table.getvalue().count("0 / 0, never") == len(cells) - len(NOT_THERE)
    assert all(reason in table.getvalue() for reason in NOT_THERE.values())


def test_cells_are_named_as_they_are_shown() -> None:
    assert [str(cell_of(name)) for name in SHORT] == list(SHORT)
    assert cell_of("rabbitmq:sigkill") == Cell("rabbitmq", "SIGKILL")


def held(*pss: float, files: int = 20) -> list[Sample]:
    """One sample in each quarter, and one at the end."""
    return [Sample(0.25 * number, size, size, files + number * (files > 20)) for number, size in enumerate(pss)]


def test_a_process_that_grows_is_not_flat_and_one_that_warms_up_is() -> None:
    warming, growing = held(40, 80, 81, 80, 80), held(80, 80, 90, 100, 110)
    assert [[one.pss for one in part] for part in quarters(warming)] == [[40], [80], [81], [80]]
    assert show_watch(Console(quiet=True), {"poller-1-1": warming})
    assert not show_watch(Console(quiet=True), {"poller-1-1": warming, "poller-2-2": growing})


def test_descriptors_that_are_never_closed_are_not_flat() -> None:
    assert is_flat([80, 80, 80, 80], [20, 20, 22, 24])
    assert not is_flat([80, 80, 80, 80], [20, 20, 40, 60])
