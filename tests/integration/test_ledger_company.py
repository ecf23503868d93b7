"""A simulated company, read, downloaded and merged by the real parts: the ledger is what the simulator knows."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from common.clock import SystemClock
from common.database.ledger import AUDIO, set_time_zone
from common.database.pool import Pool
from common.messages import DownloadRecording, InsightsReceived
from common.ringcentral.client import RingCentral, open_ringcentral
from common.storage.open import open_storage
from common.telemetry.health import Work
from demo.simulated_account import settings_for
from services.downloader.attempt import Downloads
from services.downloader.handle import handle as download
from services.downloader.storage_gate import StorageGate
from services.insights.handle import handle as merge_events
from services.poller.leadership import Leadership
from services.poller.poll import poll
from simulator import Simulator, SimulatorOptions

#: Nearly a day of calls, all in the past: as far back as the first poll reads.
COMPANY = SimulatorOptions(recordings=40, span=80_000, history=85_000, elapsed=85_000, speed=300, seed=11)
Line = tuple[date, str | None]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(COMPANY) as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator, pool: Pool) -> AsyncIterator[RingCentral]:
    async with open_ringcentral(settings_for(simulator), pool, SystemClock()) as opened:
        yield opened


async def test_the_ledger_of_a_company_is_the_simulators_truth(
    simulator: Simulator,
    http: httpx.AsyncClient,
    client: RingCentral,
    pool: Pool,
    leadership: Leadership,
    tmp_path: Path,
) -> None:
    # Given calls that are deleted after they were read, audio that has gone, and meetings, which have none
    await poll(client, pool, SystemClock(), leadership)
    for call in [call for call in simulator.world.company.calls if not call.recordings()][:2]:
        await http.post("/simulator/calls/delete", json={"id": call.id})
    for recording_id in sorted(simulator.world.company.recordings)[:5]:
        await http.post("/simulator/recordings/expire", json={"recording_id": recording_id})
    await http.post("/simulator/conversations", json={"domain": "rcv", "count": 3})

    # When all is read, downloaded and merged
    await poll(client, pool, SystemClock(), leadership)
    await download_everything(client, pool, tmp_path)
    delivered = await fetch_insights(simulator, http)
    await merge_events(pool, SystemClock(), delivered, Work())

    # Then each line of the ledger is what the simulator knows of that day and extension
    zone = zone_of_midnight()
    assert await set_time_zone(pool, COMPANY.account_id, zone)
    rows = await pool.fetch("SELECT * FROM ledger")
    lines = {(row["day"], row["extension_id"]): dict(row) for row in rows}
    truth = truth_of(simulator, {event_key(event) for event in delivered}, ZoneInfo(zone))
    assert len({day for day, _ in lines}) > 1
    for name, known in truth.items():
        assert Counter({line: row[name] for line, row in lines.items() if row[name]}) == known, name
    assert all(sum(row[f"audio_{cell}"] for cell in AUDIO) == row["recordings"] for row in rows)
    told = await simulator.truth()
    assert truth["calls"].total() == told["visible_calls"] < told["calls"]
    assert truth["audio_stored"].total() == len(told["recordings"]) - 5


async def download_everything(client: RingCentral, pool: Pool, folder: Path) -> None:
    due = await pool.fetch("SELECT domain, source_record_id FROM recordings WHERE audio_state = 'pending'")
    async with open_storage(folder.as_uri()) as storage:
        downloads = Downloads(pool, client, storage, SystemClock(), StorageGate(storage))
        for row in due:
            job = DownloadRecording(client.account_id, row["domain"], row["source_record_id"])
            await download(downloads, [job], Work())


async def fetch_insights(simulator: Simulator, http: httpx.AsyncClient) -> list[InsightsReceived]:
    """What RingCentral has for every second recording, and for all meetings, as the events that would have come."""
    told = (await simulator.truth())["insights"]
    events = []
    for one in [*told[::2], *(one for one in told[1::2] if one["domain"] != "pbx")]:
        path = f"/ai/ringsense/v1/public/accounts/~/domains/{one['domain']}/records/{one['record_id']}/insights"
        body = (await http.get(path)).raise_for_status().json()
        event = f"/ai/ringsense/v1/public/accounts/{COMPANY.account_id}/domains/{one['domain']}/insights"
        raw = json.dumps({"uuid": one["record_id"], "event": event, "body": body}).encode()
        events.append(InsightsReceived(raw, COMPANY.account_id, datetime.now(UTC)))
    return events


def event_key(event: InsightsReceived) -> tuple[str, str]:
    body = json.loads(event.raw)["body"]
    return body["domain"], body["sourceRecordId"]


def truth_of(simulator: Simulator, delivered: set[tuple[str, str]], zone: ZoneInfo) -> dict[str, Counter[Line]]:
    """Some columns of the ledger as the simulator knows them, by day and extension."""
    world = simulator.world
    now = world.clock.now()
    columns: dict[str, Counter[Line]] = {name: Counter() for name in COLUMNS}
    for call in world.company.calls:
        shown = call.revision(now)
        columns["calls"][line_of(call, zone)] += bool(shown and not shown.deleted)
    for recording in world.company.recordings.values():
        line = line_of(world.company.calls_by_recording[recording.id][0], zone)
        columns["recordings"][line] += 1
        columns["audio_stored"][line] += not recording.is_gone(now)
        columns["audio_verified"][line] += 0
        kinds = {kind for event in world.company.events_by_recording.get(recording.id, []) for kind in event.kinds}
        here = ("pbx", recording.id) in delivered
        columns["insights_present"][line] += here and kinds != {"CallNotes"}
        columns["insights_partial"][line] += here and kinds == {"CallNotes"}
        columns["insights_absent"][line] += not here
    for meeting in world.company.conversations.values():
        day, _ = line_of(world.company.events_by_recording[meeting.id][0].call, zone)
        line = (day, None)  # RingCentral does not tell whose a meeting is (facts 1.3)
        for name in ("recordings", "audio_unavailable", "insights_present"):
            columns[name][line] += 1
    return {name: +column for name, column in columns.items()}


COLUMNS = (
    "calls",
    "recordings",
    "audio_stored",
    "audio_verified",
    "audio_unavailable",
    "insights_present",
    "insights_partial",
    "insights_absent",
)


def zone_of_midnight() -> str:
    """Where it is neither late nor early now: midnight then lies well within the calls."""
    return next(zone for zone in ("Asia/Kathmandu", "America/St_Johns") if 4 <= datetime.now(ZoneInfo(zone)).hour < 20)


def line_of(call: Any, zone: ZoneInfo) -> Line:
    started_at = datetime.fromtimestamp(call.started_at, zone)
    return started_at.date(), str(call.extension.id)
