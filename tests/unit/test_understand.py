"""Understanding events: what goes into the journal and what into the row."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from common.messages import InsightsReceived
from services.insights.understand import Understood, understand

JSON = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)
EVENT = "/ai/ringsense/v1/public/accounts/42/domains/pbx/insights"


def body(**fields: Any) -> dict[str, Any]:
    return {"sourceRecordId": "r1", "sourceSessionId": "s-1", "title": "Call", "insights": {"Summary": []}, **fields}


def understood(event: object, *, raw: bytes | None = None) -> Understood:
    raw = json.dumps(event).encode() if raw is None else raw
    return understand(InsightsReceived(raw, "42", datetime(2026, 1, 1, tzinfo=UTC)))


def envelope(**fields: Any) -> dict[str, Any]:
    return {"uuid": "u-1", "event": EVENT, "body": body(), **fields}


def test_an_event_is_journaled_as_it_is_and_understood() -> None:
    result = understood(envelope())

    assert result.entry.body == envelope()
    assert result.entry.digest == hashlib.sha256(result.entry.raw).digest()
    assert (result.entry.uuid, result.entry.domain, result.entry.source_record_id) == ("u-1", "pbx", "r1")
    assert result.entry.error is None
    assert result.insights is not None


def test_an_answer_that_was_journaled_in_place_of_an_event_is_told_from_one() -> None:
    modified = "2026-01-01T10:00:05.250Z"
    result = understood(envelope(source="fetched", body=body(lastModifiedTime=modified)))

    assert result.entry.source == "fetched"
    assert result.entry.made_at == datetime(2026, 1, 1, 10, 0, 5, 250_000, tzinfo=UTC)
    assert result.insights is not None
    assert (understood(envelope()).entry.source, understood(envelope()).entry.made_at) == ("event", None)


def test_what_is_not_json_is_kept_raw_with_its_error() -> None:
    result = understood(None, raw=b"\xff{")

    assert (result.entry.raw, result.entry.body, result.insights) == (b"\xff{", None, None)
    assert result.entry.error == "not read: it is not UTF-8"


def test_a_null_character_keeps_the_body_out_of_jsonb_but_not_out_of_the_row() -> None:
    result = understood(envelope(body=body(title="a\x00b")))

    assert result.entry.body is None
    assert result.entry.error is not None
    assert result.insights is not None
    assert result.insights.saying.facts["title"] == "a\ufffdb"


def test_an_event_without_a_recording_is_kept_with_its_error() -> None:
    result = understood(envelope(body={"insights": {}}))

    assert result.entry.body == envelope(body={"insights": {}})
    assert result.entry.error == "not understood: the body has no sourceRecordId"


def test_an_event_that_is_nested_too_deeply_is_kept_raw_with_its_error() -> None:
    raw = json.dumps(envelope()).replace("[]", "[" * 300 + "]" * 300).encode()

    result = understood(None, raw=raw)

    assert (result.entry.raw, result.entry.body, result.insights) == (raw, None, None)
    assert result.entry.error == "not read: it is nested too deeply"


def test_names_and_numbers_come_from_two_speakers() -> None:
    speakers = [
        {"speakerId": "1", "name": "Ours", "extensionId": "7", "accountId": "42"},
        {"speakerId": "2", "name": "Theirs", "extensionId": None, "accountId": None, "phoneNumber": "+15550101"},
    ]

    result = understood(envelope(body=body(ownerExtensionId="7", callDirection="Inbound", speakerInfo=speakers)))

    assert result.insights is not None
    facts = result.insights.saying.facts
    assert (facts["from_name"], facts["from_number"], facts["to_name"]) == ("Theirs", "+15550101", "Ours")


@given(st.binary(max_size=200))
def test_no_bytes_can_break_it(raw: bytes) -> None:
    assert understood(None, raw=raw).entry.raw == raw


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_no_body_can_break_it(value: Any) -> None:
    assert understood(envelope(body=value)).entry.raw
    assert understood(envelope(body=body(insights=value, speakerInfo=value, lastModifiedTime=value))).entry.raw
