"""One download job at a time: the simulator's answers, a real Postgres, a folder as storage, and what the row says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from common.clock import SystemClock
from common.database.pool import DatabaseAway, Pool
from common.database.recordings import Said, merge_sayings
from common.merge import Saying
from common.messages import DownloadRecording
from common.ringcentral.client import open_ringcentral
from common.storage.file_system import FileStorage
from common.storage.interface import ObjectFacts
from common.storage.open import open_storage
from common.telemetry.health import Work
from demo.simulated_account import settings_for
from services.downloader.attempt import Downloads
from services.downloader.claim import Claim
from services.downloader.handle import handle
from services.downloader.storage_gate import StorageGate
from simulator import Simulator, SimulatorOptions

COMPANY = SimulatorOptions(recordings=3, span=60, history=6000, elapsed=6000, speed=300, seed=5)
Row = dict[str, Any]
Download = Callable[[], Awaitable[Row]]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(COMPANY) as running:
        yield running


@pytest.fixture
async def recording(simulator: Simulator, pool: Pool) -> dict[str, Any]:
    """A recording that the simulator has, as the call log tells of it."""
    found: dict[str, Any] = (await simulator.truth())["recordings"][0]
    await tell_of(pool, f"{simulator.url}/restapi/v1.0/account/700100200/recording/{found['id']}/content", found["id"])
    return found


async def tell_of(pool: Pool, uri: str, recording_id: str, modified: str = "1") -> None:
    saying = Saying("call_log", modified, {"audio_content_uri": uri})
    async with pool.transaction() as connection:
        said = [Said(("pbx", recording_id), saying)]
        await merge_sayings(connection, "700100200", said, datetime.now(UTC) - timedelta(seconds=1))


@pytest.fixture
async def download(
    simulator: Simulator, pool: Pool, recording: dict[str, Any], tmp_path: Path
) -> AsyncIterator[Download]:
    """Handle one job for the recording, and say what its row tells then."""
    async with (
        open_storage(tmp_path.as_uri()) as storage,
        open_ringcentral(settings_for(simulator), pool, SystemClock()) as client,
    ):
        downloads = Downloads(pool, client, storage, SystemClock(), StorageGate(storage))

        async def once() -> Row:
            await handle(downloads, [DownloadRecording("700100200", "pbx", recording["id"])], Work())
            return dict(await pool.fetchrow("SELECT * FROM recordings") or {})

        yield once


def fault(simulator: Simulator, kind: str, **parameters: Any) -> None:
    simulator.world.faults.add({"endpoint": "recording.content", "kind": kind, "times": 1, **parameters})


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_recording_is_stored_byte_for_byte(
    recording: dict[str, Any], download: Download, tmp_path: Path
) -> None:
    row = await download()

    (file,) = files(tmp_path)
    assert (row["audio_state"], row["audio_attempts"], row["audio_reason"]) == ("stored", 1, None)
    assert (row["audio_sha256"], row["audio_bytes"]) == (recording["sha256"], recording["bytes"])
    assert (file.relative_to(tmp_path).as_posix(), file.stat().st_size) == (row["audio_object"], recording["bytes"])
    assert row["audio_content_type"] == recording["content_type"]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("json200", "the answer is not audio"),
        ("wrong_type", "the answer is not audio"),
        ("empty", "empty"),
        ("cut", "broke off"),
        ("drop", "gave no answer"),
    ],
)
async def test_what_is_not_the_recording_is_not_stored_but_tried_again(
    simulator: Simulator, download: Download, tmp_path: Path, kind: str, reason: str
) -> None:
    fault(simulator, kind)

    row = await download()

    assert (row["audio_state"], row["audio_attempts"]) == ("pending", 1)
    assert reason in row["audio_reason"]
    assert timedelta(seconds=5) < row["audio_due_at"] - datetime.now(UTC) <= timedelta(seconds=10)
    assert (row["audio_claim"], row["audio_announced_at"]) == (None, None)
    assert files(tmp_path) == []


async def test_audio_that_is_not_ready_yet_is_tried_on_its_own_schedule(
    simulator: Simulator, download: Download
) -> None:
    fault(simulator, "status", status=404)

    row = await download()

    assert (row["audio_state"], row["audio_attempts"]) == ("pending", 1)
    assert timedelta(seconds=20) < row["audio_due_at"] - datetime.now(UTC) <= timedelta(seconds=30)


async def test_a_throttled_attempt_does_not_count(simulator: Simulator, download: Download) -> None:
    fault(simulator, "429", retry_after=90)

    row = await download()

    assert (row["audio_state"], row["audio_attempts"], row["audio_claim"]) == ("pending", 0, None)
    assert row["audio_due_at"] > datetime.now(UTC) + timedelta(seconds=60)


async def test_a_failed_attempt_is_made_good_by_the_next(
    simulator: Simulator, pool: Pool, recording: dict[str, Any], download: Download
) -> None:
    fault(simulator, "cut")
    await download()
    await pool.execute("UPDATE recordings SET audio_due_at = now() - interval '1 second'")

    row = await download()

    assert (row["audio_state"], row["audio_attempts"], row["audio_sha256"]) == ("stored", 2, recording["sha256"])


async def test_a_job_for_what_is_stored_changes_nothing(download: Download) -> None:
    first = await download()

    assert await download() == first


async def test_a_foreign_host_is_refused_on_the_row_and_healed_by_a_better_uri(
    simulator: Simulator, pool: Pool, recording: dict[str, Any], download: Download
) -> None:
    good = await pool.fetchval("SELECT audio_content_uri FROM recordings")
    await tell_of(pool, "https://elsewhere.example/audio", recording["id"], modified="2")

    refused = await download()
    await tell_of(pool, good, recording["id"], modified="3")
    await pool.execute("UPDATE recordings SET audio_due_at = now() - interval '1 second'")
    healed = await download()

    assert (refused["audio_state"], refused["audio_attempts"]) == ("pending", 0)
    assert "elsewhere.example is not in RC_MEDIA_HOSTS" in refused["audio_reason"]
    assert simulator.world.requests["recording.content"] == 1
    assert healed["audio_state"] == "stored"


async def test_an_object_that_is_gone_right_after_its_write_is_a_fault_of_the_storage(
    download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(_storage: FileStorage, _name: str) -> ObjectFacts:
        raise FileNotFoundError

    monkeypatch.setattr(FileStorage, "head", gone)

    row = await download()

    assert (row["audio_state"], row["audio_attempts"]) == ("pending", 1)
    assert row["audio_reason"] == "the object is not there right after it was written"


async def test_a_defect_of_ours_counts_as_an_attempt_with_its_type_as_the_reason_and_is_raised(
    download: Download, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def defect(_storage: FileStorage, _name: str) -> ObjectFacts:
        raise KeyError("secret of a call")

    monkeypatch.setattr(FileStorage, "head", defect)

    with pytest.raises(KeyError):
        await download()

    row = await pool.fetchrow("SELECT * FROM recordings")
    assert row is not None
    assert (row["audio_state"], row["audio_attempts"], row["audio_reason"]) == ("pending", 1, "unexpected KeyError")
    assert row["audio_due_at"] > datetime.now(UTC)


async def test_a_database_that_is_slow_meanwhile_is_no_failed_attempt(
    pool: Pool, download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(_claim: Claim, _name: str) -> str:
        raise DatabaseAway("TimeoutError")

    monkeypatch.setattr(Claim, "fix_object", slow)

    with pytest.raises(DatabaseAway):
        await download()

    assert await pool.fetchval("SELECT audio_attempts FROM recordings") == 0


async def test_a_database_that_is_full_at_the_end_costs_no_attempt_and_makes_no_second_object(
    pool: Pool, download: Download, tmp_path: Path
) -> None:
    await pool.execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE '53100'; END $$"
    )
    await pool.execute(
        "CREATE TRIGGER fails BEFORE UPDATE ON recordings FOR EACH ROW"
        " WHEN (NEW.audio_state = 'stored') EXECUTE FUNCTION fail()"
    )
    with pytest.raises(DatabaseAway, match="DiskFullError"):
        await download()
    assert (await download())["audio_attempts"] == 0  # again at once, as the loop does: its own claim lives.

    await pool.execute("DROP FUNCTION fail CASCADE")
    await pool.execute("UPDATE recordings SET audio_claimed_until = clock_timestamp(), audio_due_at = now()")
    row = await download()

    assert (row["audio_state"], row["audio_attempts"]) == ("stored", 1)
    assert len(files(tmp_path)) == 1


async def test_a_stop_while_the_database_is_away_ends_all_the_same(
    simulator: Simulator, pool: Pool, download: Download, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_claim: Claim, _due_at: datetime, _reason: str | None) -> None:
        raise DatabaseAway("ConnectionRefusedError")

    monkeypatch.setattr(Claim, "hand_back", away)
    fault(simulator, "stall", seconds=60)
    task = asyncio.ensure_future(download())

    async def claimed() -> bool:
        return bool(await pool.fetchval("SELECT audio_claim IS NOT NULL FROM recordings"))

    await eventually(claimed)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_source_that_asks_for_time_is_given_it(simulator: Simulator, download: Download) -> None:
    fault(simulator, "status", status=503, retry_after=120)

    row = await download()

    assert timedelta(seconds=100) < row["audio_due_at"] - datetime.now(UTC) <= timedelta(seconds=120)
