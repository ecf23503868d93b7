"""What travels, there and back; and what is not decodable says why without repeating it."""

import contextlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.messages import DownloadRecording, InsightsReceived, Message, NotDecodable, Wire

EVENT = {"kind": "insights.received", "version": "1", "account_id": "1", "received_at": "2026-03-01T00:00:00+00:00"}
JOB = {"kind": "recordings.download", "version": "1"}
KEY = {"account_id": "1", "domain": "pbx", "source_record_id": "2"}

#: Text as AMQP and JSON may hold it.
TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=8) | st.sampled_from([*EVENT.values(), "9999"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEY]) | TEXT, inner, max_size=4),
    max_leaves=6,
)

words = st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable())


@given(st.binary(max_size=200), words, st.datetimes(timezones=st.just(UTC)))
def test_an_event_comes_back_byte_for_byte(raw: bytes, account_id: str, received_at: datetime) -> None:
    event = InsightsReceived(raw, account_id, received_at)

    assert InsightsReceived.from_wire(event.to_wire()) == event


@given(words, words, words)
def test_a_job_comes_back(account_id: str, domain: str, source_record_id: str) -> None:
    job = DownloadRecording(account_id, domain, source_record_id)

    assert DownloadRecording.from_wire(job.to_wire()) == job


def test_headers_and_keys_of_later_versions_are_ignored() -> None:
    wire = Wire({**JOB, "traceparent": "00-1"}, json.dumps({**KEY, "priority": 3}).encode())

    assert DownloadRecording.from_wire(wire) == DownloadRecording(**KEY)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {**EVENT, "kind": "recordings.download"},
        {**EVENT, "version": "2"},
        {key: value for key, value in EVENT.items() if key != "account_id"},
        {key: value for key, value in EVENT.items() if key != "received_at"},
        {**EVENT, "account_id": ""},
        {**EVENT, "received_at": "Jane's birthday"},
        {**EVENT, "received_at": "2026-03-01T00:00:00"},
    ],
)
def test_an_event_with_wrong_headers_is_not_decodable(headers: Mapping[str, str]) -> None:
    with pytest.raises(NotDecodable) as caught:
        InsightsReceived.from_wire(Wire(headers, b"{}"))

    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b'"Jane"',
        b"null",
        b"[" * 100_000,
        b"{}",
        json.dumps({**KEY, "domain": None}).encode(),
        json.dumps({**KEY, "domain": ""}).encode(),
        json.dumps({**KEY, "source_record_id": 7}).encode(),
    ],
)
def test_a_job_with_a_wrong_body_is_not_decodable(body: bytes) -> None:
    with pytest.raises(NotDecodable) as caught:
        DownloadRecording.from_wire(Wire(JOB, body))

    assert "Jane" not in str(caught.value)


@given(
    st.dictionaries(st.sampled_from([*EVENT, "x"]), TEXT, max_size=5),
    st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()),
    st.sampled_from([InsightsReceived, DownloadRecording]),
)
def test_any_message_is_read_or_refused_in_words(headers: dict[str, str], body: bytes, kind: type[Message]) -> None:
    wire = Wire(EVENT | {"kind": kind.QUEUE} | headers, body)
    with contextlib.suppress(NotDecodable):  # anything else that is raised fails here
        message = kind.from_wire(wire)

        assert kind.from_wire(message.to_wire()) == message


@pytest.mark.parametrize("part", ["\x00", "a\x00b", "\ud800"])
def test_a_job_whose_key_no_row_can_have_is_not_decodable(part: str) -> None:
    body = json.dumps({"account_id": "1", "domain": "pbx", "source_record_id": part}).encode()

    with pytest.raises(NotDecodable, match="no row"):
        DownloadRecording.from_wire(Wire({"kind": DownloadRecording.QUEUE, "version": "1"}, body))
