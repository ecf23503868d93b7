"""The storm: which requests meet which fault is drawn from the seed, and it is bounded."""

from collections import Counter
from itertools import pairwise

import pytest

from simulator.fault_names import BY_NAME_ONLY, CATEGORIES, NAMES, chosen_faults
from simulator.storm import MOST_OF_ONE, STORM, Storm

SYNC = "/restapi/v1.0/account/1/call-log-extract-sync?syncToken=x"


def content(number: int) -> str:
    return f"/restapi/v1.0/account/1/recording/{number}/content"


def kinds_met(storm: Storm, requests: int, endpoint: str = "call_log.sync", path: str = SYNC) -> list[str | None]:
    found = [storm.next_for(endpoint, path) for _ in range(requests)]
    return [fault.kind if fault else None for fault in found]


def test_the_same_seed_brings_the_same_faults_to_the_same_requests() -> None:
    names = chosen_faults("storm")
    assert kinds_met(Storm(5, names), 200) == kinds_met(Storm(5, names), 200) != kinds_met(Storm(6, names), 200)


def test_each_kind_happens_at_an_endpoint_as_often_as_chosen_then_all_is_well_for_ever() -> None:
    names = chosen_faults("storm")
    storm = Storm(5, names, rate=1, times=3)
    met = Counter(kind for kind in kinds_met(storm, 1000) if kind)
    expected = Counter({one.kind: 0 for one in STORM})
    expected.update(one.kind for one in STORM if one.name in names and "call_log.sync" in one.endpoints for _ in "123")
    assert met == +expected
    assert kinds_met(storm, 1000) == [None] * 1000
    assert not [one for one in storm.left() if one["endpoint"] == "call_log.sync"]


def test_after_every_fault_a_request_goes_well() -> None:
    met = kinds_met(Storm(5, chosen_faults("http,token,budget"), rate=1), 200)
    assert all(before is None or after is None for before, after in pairwise(met))
    assert any(met)


def test_one_recording_meets_few_faults_and_the_others_get_the_rest() -> None:
    storm = Storm(5, chosen_faults("http"), rate=1)
    first = kinds_met(storm, 300, "recording.content", content(1))
    assert len([kind for kind in first if kind]) == MOST_OF_ONE
    others = [storm.next_for("recording.content", content(number)) for number in range(2, 300)]
    assert {"cut", "json200", "wrong_type", "not_ready"} <= {fault.kind for fault in others if fault}


def test_what_was_planned_and_what_happened_is_told_by_name_and_endpoint() -> None:
    storm = Storm(5, chosen_faults("http:500,http:503"), rate=1, times=2)
    while "status" not in kinds_met(storm, 1):
        continue
    rows = [one for one in storm.tally() if one.place == "call_log.sync"]
    assert sorted(one.name for one in rows) == ["http:500", "http:503"]
    assert (sum(one.planned for one in rows), sum(one.happened for one in rows)) == (4, 1)


def test_a_fault_that_a_request_did_not_live_to_meet_comes_again() -> None:
    storm = Storm(5, chosen_faults("http:cut"), rate=1, times=1)
    found = [fault for _ in range(50) if (fault := storm.next_for("call_log.sync", SYNC))]
    assert len(found) == 1
    storm.missed(found[0])
    assert [one.happened for one in storm.tally() if one.place == "call_log.sync"] == [0]
    assert kinds_met(storm, 50).count("cut") == 1


def test_a_fault_that_does_not_fit_a_request_waits_for_one_that_it_fits() -> None:
    storm = Storm(5, chosen_faults("call-log:token-rejected"), rate=1, times=1)
    assert not any(kinds_met(storm, 50, path="/restapi/v1.0/account/1/call-log-extract-sync"))
    assert kinds_met(storm, 50).count("sync_rejected") == 1


def test_nothing_chosen_means_no_faults() -> None:
    assert not any(kinds_met(Storm(5, chosen_faults("")), 100))


def test_faults_are_chosen_by_category_by_name_or_all_together() -> None:
    assert {"token", "budget", "call-log", "http", "events"} == CATEGORIES
    assert chosen_faults("storm") == NAMES - set(BY_NAME_ONLY)
    assert chosen_faults("token, http:503") == {name for name in NAMES if name.startswith("token:")} | {"http:503"}
    assert chosen_faults("budget:bare") == {"budget:bare"}
    with pytest.raises(ValueError, match=r"'weather' is none; choose storm, budget"):
        chosen_faults("http,weather")
