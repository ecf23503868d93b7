"""Each kind of request gets its documented answer and has its documented effect, on the wire and in the journal."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio

from demo.pipeline import Pipeline, Servers
from tests.end_to_end.conftest import isolated
from tests.end_to_end.facts import ACCOUNT, Rows, open_rows, until
from tests.end_to_end.sender import HEADERS, insights_event

#: Bytes that the handshake's answer may have, headers included (facts 2.1).
HANDSHAKE_BYTES = 1024

SUMMARY = {"Summary": [{"value": "They agreed."}]}
GENUINE = insights_event("7001", SUMMARY)
TOMORROW = f"/ai/ringsense/v2/public/accounts/{ACCOUNT}/domains/pbx/insights/"
FOREIGN = insights_event("7001", SUMMARY, account_id="9")
JSON = {"Content-Type": HEADERS["Content-Type"]}
TEXT = {"Content-Type": "text/plain"}
GUESSED = {"Verification-Token": "guessed"}


@dataclass(frozen=True, slots=True)
class Receiving:
    """A receiver and an insights process at work, and the tables that they fill."""

    pipeline: Pipeline
    rows: Rows
    http: httpx.AsyncClient

    async def post(self, content: bytes, headers: Mapping[str, str] = HEADERS) -> httpx.Response:
        return await self.http.post(self.pipeline.webhook_url, content=content, headers=headers)

    async def counted(self, outcome: str) -> float:
        """How many requests the receiver has counted with this outcome."""
        (opened,) = self.pipeline.told("webhook", "admin_port_opened")
        metrics = (await self.http.get(f"http://127.0.0.1:{opened['port']}/metrics")).text
        sample = f'ringvault_webhook_requests_total{{outcome="{outcome}"}} '
        return next((float(line.split()[-1]) for line in metrics.splitlines() if line.startswith(sample)), 0.0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def receiving(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Receiving]:
    async with (
        isolated(servers, tmp_path_factory.mktemp("receiving")) as pipeline,
        open_rows(pipeline) as rows,
        httpx.AsyncClient(timeout=30) as http,
    ):
        pipeline.start_all("webhook", "insights")
        yield Receiving(pipeline, rows, http)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("content", "headers", "status", "outcome", "reason"),
    [
        pytest.param(FOREIGN, HEADERS, 403, "wrong_account", "another account", id="a wrong account"),
        pytest.param(GENUINE, {**HEADERS, **GUESSED}, 403, "token_wrong", "not ours", id="a wrong token"),
        pytest.param(GENUINE, JSON, 401, "token_missing", "Verification-Token", id="no token"),
        pytest.param(b" " * 20_000_000, HEADERS, 413, "too_large", "8388608", id="a 20 MB body"),
        pytest.param(GENUINE[:-1], HEADERS, 400, "malformed", "not JSON", id="broken JSON"),
        pytest.param(b"", HEADERS, 400, "malformed", "not JSON", id="an empty body"),
        pytest.param(b"{}", HEADERS, 400, "malformed", "envelope", id="no envelope"),
        pytest.param(GENUINE, {**HEADERS, **TEXT}, 415, "wrong_media_type", "media type", id="a wrong media type"),
    ],
)
async def test_what_is_not_genuine_is_refused_with_its_status_and_a_reason_counted_and_leaves_nothing(
    receiving: Receiving, content: bytes, headers: Mapping[str, str], status: int, outcome: str, reason: str
) -> None:
    before = await receiving.counted(outcome)

    refused = await receiving.post(content, headers)

    assert refused.status_code == status
    assert reason in refused.json()["error"]
    assert await receiving.counted(outcome) == before + 1
    await _nothing_reaches_the_journal(receiving, content)
    assert "They agreed." not in receiving.pipeline.services["webhook"].log.read_text()


async def test_a_wrong_method_is_refused_with_405(receiving: Receiving) -> None:
    refused = await receiving.http.get(receiving.pipeline.webhook_url)

    assert (refused.status_code, refused.headers["Allow"]) == (405, "POST")


async def test_an_event_holding_nul_is_answered_200_journaled_byte_for_byte_and_merged_with_a_replacement(
    receiving: Receiving,
) -> None:
    raw = insights_event("7002", {"Summary": [{"value": "A\u0000B"}], "Transcript": [{"text": "half \ud83d"}]})
    assert b"\\u0000" in raw

    answer = await receiving.post(raw)

    assert answer.status_code == 200
    row = await receiving.rows.until_recording("7002")
    assert row["insights"] == {"Summary": [{"value": "A\ufffdB"}], "Transcript": [{"text": "half \ufffd"}]}
    (event,) = await receiving.rows.events("7002")
    assert (event["raw"], event["body"]) == (raw, None)
    assert "U+0000" in event["error"]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        pytest.param({"uuid": "7003", "body": {"something": "else"}}, "sourceRecordId", id="another body"),
        pytest.param({"uuid": "7005", "event": TOMORROW}, "not an event about insights", id="a version of tomorrow"),
    ],
)
async def test_an_event_that_nobody_understands_is_answered_200_and_kept_in_the_journal_with_its_error(
    receiving: Receiving, fields: Mapping[str, object], error: str
) -> None:
    raw = json.dumps({**json.loads(GENUINE), **fields}).encode()

    answer = await receiving.post(raw)

    assert answer.status_code == 200
    event = (await until(lambda: receiving.rows.all(JOURNALED, raw), what="the event in the journal"))[0]
    assert error in event["error"]
    assert event["applied_at"] is None
    assert event["body"] == json.loads(raw)


@pytest.mark.parametrize("token", ["b0c2ff0a-9d7e-4f53-8d7c-0f3d4c3f1f10", "x" * 512], ids=["a UUID", "the longest"])
async def test_the_handshake_is_answered_with_its_token_in_at_most_1024_bytes_on_the_wire(
    receiving: Receiving, token: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", receiving.pipeline.webhook_port)
    try:
        head = ("POST /api/rc/webhook HTTP/1.1", "Host: portal", f"Validation-Token: {token}", "Content-Length: 0")
        writer.write("\r\n".join((*head, "Connection: close", "", "")).encode())
        answer = (await asyncio.wait_for(reader.read(), 60)).decode()
    finally:
        writer.close()
        await writer.wait_closed()

    status, *lines = answer.split("\r\n")
    assert status == "HTTP/1.1 200 OK"
    assert {f"Validation-Token: {token}", "Content-Type: application/json"} <= set(lines)
    assert len(answer) <= HANDSHAKE_BYTES


async def test_an_event_with_the_token_in_the_handshakes_header_is_echoed_and_treated_as_any_event(
    receiving: Receiving,
) -> None:
    token = HEADERS["Verification-Token"]

    answer = await receiving.post(insights_event("7004", SUMMARY), {**JSON, "Validation-Token": token})

    assert (answer.status_code, answer.headers["Validation-Token"]) == (200, token)
    await receiving.rows.until_recording("7004", insights_state="present")


JOURNALED = "SELECT * FROM insight_events WHERE raw = $1"


async def _nothing_reaches_the_journal(receiving: Receiving, content: bytes) -> None:
    """What might have been queued goes before a later event, for whose row we wait."""
    count = await receiving.rows.ask("SELECT count(*) FROM insight_events")
    later = insights_event(f"later-{count}", SUMMARY)
    assert (await receiving.post(later)).status_code == 200
    await receiving.rows.until_recording(f"later-{count}")
    assert await receiving.rows.all(JOURNALED, content) == []
    assert await receiving.rows.ask("SELECT count(*) FROM recordings WHERE account_id <> $1", ACCOUNT) == 0
