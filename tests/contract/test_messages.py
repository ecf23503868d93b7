"""Every version of every message that was ever sent stays readable, and what is sent now stays what it was.

A file here is what one version put on the wire. A new version gets a new file; none is ever edited.
"""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.messages import DownloadRecording, InsightsReceived, Message, Wire

FOLDER = Path(__file__).parent / "messages"

GOLDEN: dict[str, Message] = {
    "insights.received.1": InsightsReceived(
        raw=(
            b'  {"event": "/ai/ringsense/v1/public/accounts/400133137008/domains/pbx/insights",'
            b' "body": {"title": "\\u0000 \\ud800"}}\n'
        ),
        account_id="400133137008",
        received_at=datetime(2026, 3, 1, 12, 34, 56, 789012, tzinfo=UTC),
    ),
    "recordings.download.1": DownloadRecording(account_id="400133137008", domain="pbx", source_record_id="12345"),
}


def golden(name: str) -> Wire:
    file = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return Wire(file["headers"], base64.b64decode(file["body_base64"], validate=True))


@pytest.mark.parametrize("name", GOLDEN)
def test_what_was_sent_once_is_still_read(name: str) -> None:
    assert type(GOLDEN[name]).from_wire(golden(name)) == GOLDEN[name]


@pytest.mark.parametrize("name", GOLDEN)
def test_what_is_sent_now_is_what_older_readers_expect(name: str) -> None:
    assert GOLDEN[name].to_wire() == golden(name)


def test_every_file_belongs_to_a_message() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(GOLDEN)
