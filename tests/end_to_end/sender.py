"""RingCentral as the receiver sees it, with events written by the test."""

import json
import time
from dataclasses import dataclass
from typing import Any

import httpx

from demo.pipeline import TOKEN
from tests.end_to_end.facts import ACCOUNT

#: What an event's request carries beside its body.
HEADERS = {"Content-Type": "application/json; charset=UTF-8", "Verification-Token": TOKEN}


def insights_event(
    recording_id: str,
    insights: dict[str, Any],
    *,
    modified: str = "2026-02-03T10:20:30.400Z",
    account_id: str = ACCOUNT,
    **body: object,
) -> bytes:
    """An event about one recording; `body` adds to what it says or replaces that."""
    said = {
        "title": "A call about a delivery",
        "domain": "pbx",
        "sourceRecordId": recording_id,
        "sourceSessionId": f"s-of-{recording_id}",
        "callDirection": "Inbound",
        "ownerExtensionId": "4004",
        "recordingDurationMs": 61_500,
        "recordingStartTime": "2026-02-03T10:00:00.000Z",
        "creationTime": "2026-02-03T10:20:00.000Z",
        "lastModifiedTime": modified,
        "speakerInfo": [
            {"speakerId": "1", "name": "Ours", "extensionId": "4004", "phoneNumber": "+15550104004"},
            {"speakerId": "2", "name": "Theirs", "extensionId": None, "phoneNumber": "+15550109999"},
        ],
        "insights": insights,
    }
    envelope = {
        "uuid": f"{recording_id}-{'-'.join(sorted(insights))}",
        "event": f"/ai/ringsense/v1/public/accounts/{account_id}/domains/pbx/insights",
        "timestamp": modified,
        "subscriptionId": "a-subscription",
        "ownerId": "4004",
        "body": said | body,
    }
    return json.dumps(envelope).encode()


@dataclass(frozen=True, slots=True)
class Answered:
    """How a request ended: no status when the connection broke."""

    recording_id: str
    status: int | None
    seconds: float


async def send(http: httpx.AsyncClient, url: str, recording_id: str) -> Answered:
    """Send an ordinary event and take the time."""
    raw = insights_event(recording_id, {"Summary": [{"value": "They agreed."}]})
    began = time.monotonic()
    try:
        status = (await http.post(url, content=raw, headers=HEADERS)).status_code
    except httpx.TransportError:
        status = None
    return Answered(recording_id, status, time.monotonic() - began)
