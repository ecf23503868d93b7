"""The truth about insights: the newest value that was delivered, kind by kind, and the bytes of each delivery."""

import hashlib
import json
from typing import Any

from simulator.company import Company, InsightEvent
from simulator.drawing import draw_company
from simulator.insights import accepted, event_body
from simulator.options import SimulatorOptions
from simulator.truth import kinds_told

OLD, NEW = "2026-03-01T12:00:00.000Z", "2026-03-01T12:00:00.001Z"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def body(modified: str, **insights: Any) -> dict[str, Any]:
    return {"lastModifiedTime": modified, "insights": insights}


def drawn() -> tuple[Company, InsightEvent]:
    company = draw_company(SimulatorOptions(recordings=20), 0.0)[0]
    return company, next(one for one in company.events if one.old_spelling and "Highlights" in one.kinds)


def newest(*bodies: dict[str, Any]) -> str | None:
    """What the truth says of the kind Summary after these were delivered."""
    _, event = drawn()
    event.accepted += [accepted(b"", one) for one in bodies]
    told: str | None = kinds_told([event], event.at)["Summary"]["sha256"]
    return told


def test_the_digest_is_that_of_canonical_json() -> None:
    value = [{"b": "größer", "a": 0.5}]
    canonical = b'[{"a":0.5,"b":"gr\\u00f6\\u00dfer"}]'
    taken = accepted(b"the bytes", body(OLD, Summary=value))
    assert taken.versions == {"Summary": (OLD, sha256(canonical))}
    assert taken.sha256 == sha256(b"the bytes")


def test_the_value_modified_last_wins_whatever_came_last() -> None:
    old, new = body(OLD, Summary=["old"]), body(NEW, Summary=["new"])
    assert newest(old, new) == newest(new, old) == newest(new) != newest(old)


def test_of_two_values_of_one_moment_the_greater_digest_wins() -> None:
    one, two = newest(body(OLD, Summary=["one"])), newest(body(OLD, Summary=["two"]))
    assert one is not None
    assert two is not None
    assert newest(body(OLD, Summary=["one"]), body(OLD, Summary=["two"])) == max(one, two)


def test_a_null_is_no_value_and_no_time_is_the_oldest() -> None:
    told = body(OLD, Summary=["told"])
    assert newest(body(NEW, Summary=None)) is None
    assert newest(told, body(NEW, Summary=None)) == newest(told)
    assert newest({"lastModifiedTime": None, "insights": {"Summary": ["untimed"]}}, told) == newest(told)


def test_both_spellings_of_a_kind_are_one() -> None:
    company, event = drawn()
    sent = event_body(company, event)
    assert "HighLights" in sent["insights"]
    event.accepted.append(accepted(json.dumps(sent).encode(), sent))
    told = kinds_told([event], event.at)
    assert "HighLights" not in told
    assert all(fate["delivered"] and fate["sha256"] for fate in told.values())


def test_what_was_not_delivered_has_no_digest_and_can_be_fetched_once_it_is_due() -> None:
    _, event = drawn()
    nothing = {"delivered": False, "fetchable": False, "sha256": None}
    assert kinds_told([event], event.at - 1)["Summary"] == nothing
    assert kinds_told([event], event.at)["Summary"] == {**nothing, "fetchable": True}
