"""Reading call-log records, which are foreign, rewritten and incomplete."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.ringcentral.call_log import read_call, read_changes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ["id", "from", "to", "legs", "recording", "startTime", "duration", "extension", "lastModifiedTime"]


def record(**fields: Any) -> dict[str, Any]:
    return {
        "id": "call-1",
        "sessionId": "11",
        "telephonySessionId": "s-1",
        "startTime": "2026-03-01T10:00:00.000Z",
        "duration": 55,
        "direction": "Inbound",
        "from": {"phoneNumber": "+15550100", "name": "A"},
        "to": {"extensionNumber": "101", "name": "B"},
        "extension": {"id": 777},
        "lastModifiedTime": "2026-03-01T10:02:00.123Z",
        **fields,
    }


def recording(recording_id: str) -> dict[str, str]:
    return {"id": recording_id, "type": "Automatic", "contentUri": f"https://media.example/{recording_id}"}


def test_a_record_without_a_recording_is_a_call_all_the_same() -> None:
    call = read_call(record())

    assert call is not None
    assert call.recordings == {}
    assert (call.extension_id, call.duration_ms) == ("777", 55_000)
    assert call.started_at == datetime(2026, 3, 1, 10, tzinfo=UTC)


def test_the_same_recording_on_a_record_and_its_legs_is_one_with_the_records_facts() -> None:
    leg = {"recording": recording("r1"), "duration": 20, "direction": "Outbound"}

    call = read_call(record(recording=recording("r1"), legs=[leg, leg]))

    assert call is not None
    assert list(call.recordings) == ["r1"]
    assert call.recordings["r1"].facts["duration_ms"] == 55_000
    assert call.recordings["r1"].facts["direction"] == "Inbound"


def test_a_recording_that_only_a_leg_has_gets_the_legs_facts_and_for_the_rest_the_records() -> None:
    call = read_call(record(durationMs=55_500, legs=[{"recording": recording("r2"), "duration": 20}]))

    assert call is not None
    facts = call.recordings["r2"].facts
    assert facts["duration_ms"] == 20_000
    assert facts["from_number"] == "+15550100"
    assert facts["to_number"] == "101"
    assert facts["audio_content_uri"] == "https://media.example/r2"


def test_a_record_without_an_id_is_counted_and_left_out() -> None:
    page = read_changes({"records": [record(), {"startTime": "x"}, None, 7], "syncInfo": {"syncToken": "t"}})

    assert (len(page.calls), page.unreadable, page.sync_token, page.more) == (1, 3, "t", False)


def test_what_postgres_cannot_hold_is_replaced() -> None:
    call = read_call(record(**{"from": {"name": "A\x00\ud800B"}}, recording=recording("r1")))

    assert call is not None
    assert call.recordings["r1"].facts["from_name"] == "A\ufffd\ufffdB"


def test_a_record_that_is_nested_too_deeply_is_counted_and_left_out() -> None:
    page = read_changes({"records": [record(legs=json.loads("[" * 300 + "]" * 300)), record(id="2")]})

    assert ([call.call_log_id for call in page.calls], page.unreadable) == (["2"], 1)


@pytest.mark.parametrize("token", ["t\x00", "t\ud800", "", None, [], True])
def test_a_sync_token_that_could_not_be_kept_counts_as_none(token: object) -> None:
    assert read_changes({"syncInfo": {"syncToken": token}}).sync_token is None


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "9999-12-31T00:00:00Z", "soon"])
def test_a_time_with_which_none_could_be_reckoned_counts_as_not_told(time: str) -> None:
    assert read_changes({"syncInfo": {"syncTime": time}}).as_of is None


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_no_record_can_break_the_reading(fields: dict[str, Any]) -> None:
    call = read_call(record(**fields))

    assert call is None or call.call_log_id


@given(JSON)
def test_no_answer_can_break_the_reading(body: Any) -> None:
    page = read_changes(body if isinstance(body, dict) else {"records": body, "syncInfo": body})

    assert page.unreadable >= 0
