"""What storage holds of the journal and of rows can be read back whatever it says, and is refused when it is broken."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.archive.journal_lines import NotAnArchive, Squeezed, event_of, line_of, lines_in
from common.archive.sidecar import read_sidecar, write_sidecar
from common.merge import Known
from common.messages import InsightsReceived

TIMES = st.datetimes(timezones=st.just(UTC))
EVENTS = st.builds(
    InsightsReceived,
    raw=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))),
    account_id=st.text("0123456789", min_size=1, max_size=12),
    received_at=TIMES,
)
NOON = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
STORED: dict[str, Any] = {
    "account_id": "7",
    "domain": "pbx",
    "source_record_id": "5501",
    "first_seen_at": NOON,
    "call_log_facts": {"title": [["2026", "d"], "A call"]},
    "insights_facts": {},
    "insights": {"Summary": [{"value": "They agreed."}]},
    "insights_versions": {"Summary": ["2026", "d"]},
    "audio_object": "7/pbx/2026/03/09/5501.mp3",
    "audio_bytes": 3,
    "audio_content_type": "audio/mpeg",
    "audio_sha256": "0" * 64,
    "audio_stored_at": NOON,
    "audio_duration_ms": 1234,
    "entry": {"id": "c-1"},
}


async def pieces(data: bytes, length: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), length):
        yield data[start : start + length]


async def read(data: bytes, length: int = 1000) -> list[InsightsReceived]:
    return [event_of(line) async for line in lines_in(pieces(data, length))]


@given(EVENTS)
def test_any_event_is_one_line_that_can_be_read_back(event: InsightsReceived) -> None:
    line = line_of(event)

    assert line.endswith(b"\n")
    assert b"\n" not in line[:-1]
    assert event_of(line) == event


@given(st.lists(EVENTS, max_size=8), st.integers(1, 300))
async def test_events_come_back_in_order_however_they_are_cut(events: list[InsightsReceived], length: int) -> None:
    squeezed = Squeezed()
    data = squeezed.add(line_of(event) for event in events) + squeezed.end()

    assert await read(data, length) == events


@given(st.data())
async def test_what_is_cut_or_no_archive_is_refused(data: st.DataObject) -> None:
    squeezed = Squeezed()
    whole = squeezed.add([line_of(InsightsReceived(b"{}", "7", NOON))]) + squeezed.end()
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]

    for broken in (cut, b"no gzip", data.draw(st.binary(max_size=50))):
        with pytest.raises(NotAnArchive):
            await read(broken)


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"{}", b"1", b'{"account_id": "7", "received_at": "2026-01-01", "raw": ""}']
)
def test_a_line_that_is_no_event_is_refused(line: bytes) -> None:
    with pytest.raises(NotAnArchive):
        event_of(line)


def test_a_row_comes_back_from_the_file_beside_its_audio() -> None:
    found = read_sidecar(write_sidecar(STORED))

    assert (found.account_id, found.domain, found.source_record_id) == ("7", "pbx", "5501")
    assert found.known == Known("pbx", STORED["call_log_facts"], {}, STORED["insights"], STORED["insights_versions"])
    assert found.audio == {name: STORED[name] for name in found.audio}
    assert (found.first_seen_at, found.call) == (NOON, {"id": "c-1"})


def test_a_file_from_before_lengths_were_counted_can_still_be_read() -> None:
    said = json.loads(write_sidecar(STORED))
    del said["audio_duration_ms"]

    assert read_sidecar(json.dumps(said).encode()).audio["audio_duration_ms"] is None


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(list(STORED)), inner),
    )
)
def test_another_file_of_that_name_is_refused(said: Any) -> None:
    with pytest.raises(NotAnArchive):
        read_sidecar(json.dumps(said).encode())
