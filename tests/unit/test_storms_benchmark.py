"""The storms benchmark's own judgement: what was planned and never happened is no success."""

from typing import Any

from benchmarks.storm_end import faults_at_the_end
from benchmarks.storm_report import Report, reasons_for, report_of
from benchmarks.storms import FAULTS, windows_of
from simulator.fault_names import NAMES, chosen_faults


def row(name: str, place: str, planned: int, happened: int) -> dict[str, Any]:
    return {"name": name, "place": place, "planned": planned, "happened": happened, "left": planned - happened}


def counts(*rows: dict[str, Any], asked: tuple[str, ...] = ("call_log.list",)) -> dict[str, Any]:
    return {"by_seed": list(rows), "requests": dict.fromkeys(asked, 1)}


def test_a_kind_that_never_happened_in_any_seed_is_a_fault() -> None:
    report = Report(frozenset({"call-log:shift", "http:503"}))
    first = counts(row("call-log:shift", "call_log.list", 2, 0), row("http:503", "call_log.list", 2, 1))
    assert list(report.add(first, begun=1, ended=1))[1] == "left: call-log:shift 2, http:503 1"
    assert list(report.faults()) == ["call-log:shift was chosen and never happened"]
    # One other seed in which it happens is enough.
    second = counts(row("call-log:shift", "call_log.list", 2, 2))
    assert list(report.add(second, begun=0, ended=0))[1] == "left: nothing"
    assert list(report.faults()) == []


def test_a_kind_that_nobody_planned_is_a_fault_too() -> None:
    report = Report(frozenset({"http:503"}), windows_ended=1)
    assert list(report.faults()) == ["http:503 was chosen and never happened"]


def test_never_coming_back_from_windows_is_a_fault() -> None:
    report = Report(frozenset())
    list(report.add(counts(), begun=2, ended=0))
    assert len(list(report.faults())) == 1
    list(report.add(counts(), begun=1, ended=1))
    assert list(report.faults()) == []


def test_what_was_planned_where_nothing_is_asked_does_not_count_and_is_told() -> None:
    report = report_of("storm")
    rows = [row("http:503", "call_log.get", 2, 0), row("http:503", "call_log.list", 3, 1)]
    list(report.add(counts(*rows), begun=1, ended=1))
    lines = list(report.lines())
    assert ["http:503", "3", "1", "2"] in [line.split() for line in lines]
    assert "planned where nothing was asked, and not counted: call_log.get 2" in lines


def test_every_kind_is_either_tried_or_left_out_for_a_reason() -> None:
    chosen = chosen_faults(FAULTS)
    reasons = reasons_for(chosen)
    assert chosen | set(reasons) == NAMES
    assert all(reasons.values())
    lines = list(Report(chosen).lines())
    assert all(any(name in line and reason in line for line in lines) for name, reason in reasons.items())


def test_ways_to_read_the_call_log_are_counted_by_their_changes() -> None:
    assert windows_of([]) == (0, 0)
    assert windows_of([False, True, True, False, False, True]) == (2, 1)
    assert windows_of([True, False]) == (1, 1)


def told(*, listed: bool = True, delivered: bool = False, **kinds: bool) -> dict[str, Any]:
    """The truth of one recording whose insights RingCentral gives, or does not."""
    fates = {name: {"fetchable": value, "delivered": delivered} for name, value in kinds.items()}
    insights = [{"domain": "pbx", "record_id": "1", "kinds": fates}]
    return {"recordings": [{"id": "1", "listed": listed}], "insights": insights}


def held(state: str, reason: str | None = None, due_at: str | None = None, **insights: Any) -> list[dict[str, Any]]:
    row = {"domain": "pbx", "source_record_id": "1", "audio_state": state, "audio_reason": reason}
    return [{**row, "audio_due_at": due_at, "insights": insights}]


def test_what_is_not_stored_must_be_at_an_end_with_its_reason() -> None:
    assert list(faults_at_the_end(told(), held("unavailable", "deleted"))) == []
    assert list(faults_at_the_end(told(), held("unknown", "the call log never showed it"))) == []
    assert list(faults_at_the_end(told(), held("stored"))) == []
    for row in (held("pending", "not yet", "tomorrow"), held("failed"), held("unknown"), []):
        assert len(list(faults_at_the_end(told(), row))) == 1


def test_only_what_nobody_was_told_of_may_have_no_row() -> None:
    assert list(faults_at_the_end(told(listed=False, Summary=True), [])) == []
    assert len(list(faults_at_the_end(told(listed=True), []))) == 1
    assert len(list(faults_at_the_end(told(listed=False, delivered=True, Summary=True), []))) == 1


def test_what_ringcentral_gives_when_asked_must_be_merged() -> None:
    given = told(Summary=True, CallNotes=True, AIScore=False)
    assert list(faults_at_the_end(given, held("stored", Summary=[], CallNotes=[]))) == []
    assert "CallNotes" in next(faults_at_the_end(given, held("stored", Summary=[])))
