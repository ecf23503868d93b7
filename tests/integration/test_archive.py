"""The journal and the files beside recordings in storage: they rebuild the rows of a database that is lost."""

import gzip
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from common.database.migrate import migrate
from common.database.pool import Pool, open_pool
from common.database.recordings import Said, merge_sayings
from common.merge import Saying
from common.messages import InsightsReceived
from common.storage.file_system import FileStorage
from common.storage.interface import StorageError
from common.telemetry.health import Work
from private_servers.postgres import Postgres
from services.downloader.journal_archive import archive_piece, forget_day
from services.downloader.sidecars import write_sidecars
from services.insights.handle import handle
from services.insights.rebuild import Rebuilt, rebuild
from services.insights.replay import Replayed, Selection, count, replay
from tests.clocks import StandingClock
from tests.end_to_end.sender import insights_event

ACCOUNT = "700100200"
MORNING = datetime(2026, 3, 9, 8, 0, tzinfo=UTC)
NEXT_DAY = MORNING + timedelta(days=1)
AUDIO = b"audio"
Row = dict[str, Any]


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock(MORNING)


@pytest.fixture
def storage(tmp_path: Path) -> FileStorage:
    return FileStorage(tmp_path)


@pytest.fixture
async def another_pool(postgres_server: Postgres) -> AsyncIterator[Pool]:
    """An empty database, as after a loss."""
    url = postgres_server.create_database("another")
    await migrate(url)
    async with open_pool(url, "test") as opened:
        yield opened
    postgres_server.drop_database("another")


async def receive(pool: Pool, clock: StandingClock, recording_id: str, at: datetime = MORNING, **body: Any) -> None:
    raw = insights_event(recording_id, {"Summary": [{"value": f"About {recording_id}."}]}, **body)
    await handle(pool, clock, [InsightsReceived(raw, ACCOUNT, at)], Work())


async def store(pool: Pool, storage: FileStorage, recording_id: str) -> None:
    """As the downloader leaves a recording that the call log told of."""
    facts = {"audio_content_uri": "https://media.example/1", "from_name": "Somebody", "call_log_id": "c-1"}
    async with pool.transaction() as connection:
        await merge_sayings(connection, ACCOUNT, [Said(("pbx", recording_id), Saying("call_log", "1", facts))], MORNING)
    name = f"{ACCOUNT}/pbx/2026/03/09/{recording_id}.mp3"

    async def audio() -> AsyncIterator[bytes]:
        yield AUDIO

    stored = await storage.put(name, audio(), content_type="audio/mpeg")
    await pool.execute(
        "UPDATE recordings SET audio_state = 'stored', audio_object = $2, audio_bytes = $3, audio_sha256 = $4,"
        " audio_content_type = 'audio/mpeg', audio_stored_at = $5, audio_duration_ms = 1234, audio_due_at = NULL,"
        " updated_at = $5"
        " WHERE source_record_id = $1",
        recording_id,
        name,
        stored.size,
        stored.sha256,
        MORNING,
    )


async def archive_all(pool: Pool, storage: FileStorage, clock: StandingClock) -> int:
    """How many pieces were written."""
    pieces = 0
    while await archive_piece(pool, storage, clock):
        pieces += 1
    return pieces


async def rows(pool: Pool) -> list[Row]:
    """What the rows say, without when it was written and what the services note for themselves."""
    own = {"first_seen_at", "updated_at", "audio_attempts", "audio_sidecar_of", "audio_due_at"}
    found = await pool.fetch("SELECT * FROM recordings ORDER BY source_record_id")
    return [{name: value for name, value in row.items() if name not in own} for row in found]


async def rebuilt(pool: Pool, storage: FileStorage, clock: StandingClock, *unread: str) -> Rebuilt:
    """What came of all objects, of which `unread` could not be read."""
    total, told = Rebuilt(), list[str]()
    async for one in rebuild(pool, storage, clock, ACCOUNT, told.append):
        total += one
    assert told == list(unread)
    return total


async def replayed(pool: Pool, clock: StandingClock, domain: str | None = None) -> Replayed:
    pages = replay(pool, clock, Selection(MORNING, NEXT_DAY, domain), lambda _: None)
    return sum([page async for page in pages], Replayed())


async def test_a_closed_day_is_written_once_and_a_late_event_makes_a_further_piece(
    pool: Pool, storage: FileStorage, clock: StandingClock, tmp_path: Path
) -> None:
    for recording_id in ("1", "2"):
        await receive(pool, clock, recording_id)
    assert await archive_all(pool, storage, clock) == 0  # the day is not over

    clock.time = NEXT_DAY
    assert await archive_all(pool, storage, clock) == 1
    assert await archive_all(pool, storage, clock) == 0
    await receive(pool, clock, "3")
    assert await archive_all(pool, storage, clock) == 1

    files = sorted((tmp_path / ACCOUNT / "journal/2026/03").iterdir())
    lines = [[json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()] for file in files]
    assert [len(of_piece) for of_piece in lines] == [2, 1]
    assert [file.name[:7] for file in files] == ["09-0001", "09-0002"]
    assert lines[1][0]["raw"].encode() == insights_event("3", {"Summary": [{"value": "About 3."}]})
    assert await pool.fetchval("SELECT sum(events) FROM journal_archives") == 3


async def test_old_days_leave_postgres_only_when_storage_has_them_and_they_can_be_listed_again(
    pool: Pool, storage: FileStorage, clock: StandingClock, tmp_path: Path
) -> None:
    await receive(pool, clock, "1")
    await receive(pool, clock, "p-v-1", domain="rcx")
    keep = timedelta(days=30)
    clock.time = MORNING + timedelta(days=40)

    assert not await forget_day(pool, storage, clock, keep)  # nothing is in storage yet
    await archive_all(pool, storage, clock)
    (piece,) = (tmp_path / ACCOUNT / "journal/2026/03").iterdir()
    whole = piece.read_bytes()
    piece.write_bytes(whole[:-1])
    with pytest.raises(StorageError, match="a piece of the journal"):
        await forget_day(pool, storage, clock, keep)
    assert await pool.fetchval("SELECT count(*) FROM insight_events") == 2

    piece.write_bytes(whole)
    assert await forget_day(pool, storage, clock, keep)
    assert not await forget_day(pool, storage, clock, keep)
    assert [row["domain"] for row in await pool.fetch("SELECT domain FROM insight_events")] == ["rcx"]
    await receive(pool, clock, "1")  # a late copy is known
    assert await pool.fetchval("SELECT count(*) FROM insight_events") == 1


async def test_the_file_beside_a_recording_follows_its_row(
    pool: Pool, storage: FileStorage, clock: StandingClock, tmp_path: Path
) -> None:
    await store(pool, storage, "1")
    assert await write_sidecars(pool, storage) == 1
    assert await write_sidecars(pool, storage) == 0

    clock.time += timedelta(minutes=5)
    await receive(pool, clock, "1")
    assert await write_sidecars(pool, storage) == 1

    said = json.loads((tmp_path / ACCOUNT / "pbx/2026/03/09/1.json").read_text())
    assert said["insights"] == {"Summary": [{"value": "About 1."}]}
    assert said["audio_sha256"] == (await rows(pool))[0]["audio_sha256"]


async def test_storage_alone_rebuilds_the_rows(
    pool: Pool, another_pool: Pool, storage: FileStorage, clock: StandingClock
) -> None:
    await store(pool, storage, "1")
    await receive(pool, clock, "1")
    await write_sidecars(pool, storage)
    await receive(pool, clock, "1", modified="2026-02-04T00:00:00.000Z", title="Another title")
    await receive(pool, clock, "2")
    clock.time = NEXT_DAY
    await archive_all(pool, storage, clock)

    assert await rebuilt(another_pool, storage, clock) == Rebuilt(recordings=1, events=3)

    assert await rows(another_pool) == await rows(pool)
    events = "SELECT digest, raw, body, domain, source_record_id, received_at FROM insight_events ORDER BY digest"
    assert await another_pool.fetch(events) == await pool.fetch(events)
    before = await rows(another_pool)
    await rebuilt(another_pool, storage, clock)  # twice is once
    assert await rows(another_pool) == before


async def test_audio_that_is_gone_is_not_called_stored_and_what_is_unreadable_stops_nothing(
    pool: Pool, another_pool: Pool, storage: FileStorage, clock: StandingClock, tmp_path: Path
) -> None:
    for recording_id in ("1", "2"):
        await store(pool, storage, recording_id)
    await write_sidecars(pool, storage)
    await storage.delete(f"{ACCOUNT}/pbx/2026/03/09/1.mp3")
    (tmp_path / ACCOUNT / "pbx/2026/03/09/0.json").write_text("{}")

    unread = f"{ACCOUNT}/pbx/2026/03/09/0.json: it is no file that stands beside a recording"
    expected = Rebuilt(recordings=2, without_audio=1, unreadable=1)
    assert await rebuilt(another_pool, storage, clock, unread) == expected

    assert [row["audio_state"] for row in await rows(another_pool)] == ["pending", "stored"]


async def test_replay_rebuilds_rows_and_changes_nothing_that_is_as_it_should_be(
    pool: Pool, clock: StandingClock
) -> None:
    for recording_id in ("1", "2"):
        await receive(pool, clock, recording_id)
    await receive(pool, clock, "p-v-1", domain="rcx")
    before = await rows(pool)
    assert await replayed(pool, clock) == Replayed(events=3, changed=0, not_applied=0)

    await pool.execute("DELETE FROM recordings")
    assert await count(pool, Selection(MORNING, NEXT_DAY, "pbx")) == 2
    assert await replayed(pool, clock, "pbx") == Replayed(events=2, changed=2, not_applied=0)
    assert [row["domain"] for row in await rows(pool)] == ["pbx", "pbx"]

    assert await replayed(pool, clock) == Replayed(events=3, changed=1, not_applied=0)
    assert await rows(pool) == before


async def test_replay_applies_what_could_not_be_applied_when_it_came(pool: Pool, clock: StandingClock) -> None:
    refuse = "ALTER TABLE recordings ADD CONSTRAINT refuse CHECK (title <> 'Refuse me')"
    await pool.execute(refuse)
    await receive(pool, clock, "1", title="Refuse me")
    await receive(pool, clock, "2")
    assert await pool.fetchval("SELECT error FROM insight_events WHERE source_record_id IS NULL") is not None
    assert (await replayed(pool, clock)).not_applied == 1

    await pool.execute("ALTER TABLE recordings DROP CONSTRAINT refuse")
    assert await replayed(pool, clock) == Replayed(events=2, changed=1, not_applied=0)

    entry = await pool.fetchrow("SELECT * FROM insight_events WHERE source_record_id = '1'")
    assert entry is not None
    assert (entry["error"], entry["applied_at"], entry["body"]["body"]["title"]) == (None, MORNING, "Refuse me")
