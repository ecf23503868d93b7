"""Whatever the order and the number of what arrives, there is one row, and always the same."""

import asyncio
from functools import partial
from typing import Any

import httpx

from demo.pipeline import Pipeline, Servers
from tests.end_to_end.conftest import TEMPLATE
from tests.end_to_end.facts import BOOKKEEPING, Rows, open_rows, until
from tests.end_to_end.sender import HEADERS, insights_event

NOTES = {"CallNotes": [{"value": "Asked about a delivery."}]}
INSIGHTS = {
    "Transcript": [{"speakerId": "1", "text": "Hello.", "start": 0.1, "end": 0.9}],
    "Summary": [{"value": "A delivery moves."}],
    "HighLights": [{"value": "Next week."}],
    "AIScore": [{"value": "7"}],
    "SomethingNew": {"unknown": ["kept"]},
}
KINDS = {"CallNotes", "Transcript", "Summary", "Highlights", "AIScore", "SomethingNew"}


async def test_five_copies_of_each_ai_notes_event_in_either_order_give_one_row_holding_every_kind(
    pipeline: Pipeline, rows: Rows
) -> None:
    pipeline.start_all("webhook", "insights")
    notes = partial(insights_event, insights=NOTES, modified="2026-02-03T10:05:00.000Z", sourceSessionId="s-one")
    insights = partial(insights_event, insights=INSIGHTS, modified="2026-02-03T10:20:00.000Z", sourceSessionId="s-one")

    await _hear_five_times(pipeline, notes("1001"), insights("1001"))
    await _hear_five_times(pipeline, insights("1002"), notes("1002"))

    notes_first, insights_first = await rows.recording("1001"), await rows.recording("1002")
    assert set(notes_first["insights"]) == KINDS
    assert notes_first["insights"]["Highlights"] == INSIGHTS["HighLights"]
    assert notes_first["insights_state"] == "present"
    assert _story(notes_first) == _story(insights_first)
    assert await rows.ask("SELECT count(*) FROM recordings") == 2
    assert len(await rows.events()) == 4


async def test_call_log_first_and_event_first_give_the_same_row(pipeline: Pipeline, servers: Servers) -> None:
    """Given one call, copied by two installations, each with a database of its own."""
    pipeline.start("webhook")
    pipeline.start_simulator(recordings=0)
    order = {"seconds": 90, "insights_after": None, "appears_after": 0, "audio_after": 0}
    (call,) = pipeline.ask_simulator("/simulator/calls", order)["calls"]
    (recording_id,) = call["recordings"]
    event = insights_event(recording_id, INSIGHTS, sourceSessionId=call["telephony_session_id"])

    async def tell() -> None:
        async with httpx.AsyncClient(timeout=30) as http:
            assert (await http.post(pipeline.webhook_url, content=event, headers=HEADERS)).status_code == 200

    async def call_log_first(rows: Rows) -> None:
        pipeline.start_all("insights", "poller", "downloader")
        await rows.until_recording(recording_id, audio_state="stored", insights_state="absent")
        await tell()

    async def event_first(rows: Rows) -> None:
        pipeline.start("insights")
        await tell()
        await rows.until_recording(recording_id, audio_state="unknown", insights_state="present")
        pipeline.start_all("poller", "downloader")

    found = []
    for name, story in (("call_log_first", call_log_first), ("event_first", event_first)):
        pipeline.postgres.create_database(name, template=TEMPLATE)
        pipeline.settings["DATABASE_URL"] = servers.database_url(name)
        async with open_rows(pipeline) as rows:
            await story(rows)
            row = await rows.until_recording(recording_id, audio_state="stored", insights_state="present")
            found.append({column: value for column, value in row.items() if column not in BOOKKEEPING})
        pipeline.kill("insights", "poller", "downloader")
        pipeline.postgres.drop_database(name)

    assert found[0] == found[1]
    assert found[0]["call_log_id"] == call["id"]
    assert found[0]["title"] == "A call about a delivery"
    assert found[0]["extension_id"] == call["extension_id"]  # the event said another: call log over insights.


def _story(row: dict[str, Any]) -> dict[str, Any]:
    """What a row tells, apart from whose it is and when it was written."""
    return {column: value for column, value in row.items() if column not in BOOKKEEPING | {"source_record_id"}}


async def _hear_five_times(pipeline: Pipeline, *events: bytes) -> None:
    """Post five copies of each event at once, and the next event's when all of them are handled."""
    async with httpx.AsyncClient(timeout=30) as http:
        for event in events:
            five_more = partial(_are_handled, pipeline, _handled(pipeline) + 5)
            posts = (http.post(pipeline.webhook_url, content=event, headers=HEADERS) for _ in range(5))
            assert {answer.status_code for answer in await asyncio.gather(*posts)} == {200}
            await until(five_more, what="five copies handled")


def _handled(pipeline: Pipeline) -> int:
    return sum(line["events"] for line in pipeline.told("insights", "events_journaled"))


async def _are_handled(pipeline: Pipeline, count: int) -> bool:
    return _handled(pipeline) >= count
