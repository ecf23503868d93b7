"""Stored objects are read back on a real Postgres and a folder, and what the rows say after that."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.verification import NoneThereError, Pace, Result, Selection, Verification
from common.database.pool import Pool
from common.settings import RetentionSettings
from common.storage.interface import Storage
from common.storage.open import open_storage
from tests.clocks import StandingClock

ACCOUNT = "4711"
NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
STORED = "INSERT INTO recordings (account_id, domain, source_record_id, audio_content_uri, audio_state, audio_object, \
audio_bytes, audio_sha256, audio_stored_at, started_at, audio_attempts, first_seen_at, updated_at) \
VALUES ($1, 'pbx', $2, $3, 'stored', $4, $5, $6, $7, $8, 3, $7, $7)"

Row = dict[str, Any]


class Archive:
    """Stored recordings, a storage, and what a verification makes of them."""

    def __init__(self, pool: Pool, storage: Storage, folder: Path) -> None:
        self.pool, self.storage, self.folder = pool, storage, folder
        self.clock = StandingClock(NOW)
        self.looked_at: list[int] = []

    async def store(
        self,
        recording: str,
        *,
        age: timedelta = timedelta(days=1),
        stored: timedelta | None = None,
        uri: str | None = "https://media/1",
    ) -> None:
        body = recording.encode() * 1000
        path = self.folder / f"{recording}.mp3"
        path.write_bytes(body)
        digest = hashlib.sha256(body).hexdigest()
        times = NOW - (stored or age), NOW - age
        await self.pool.execute(STORED, ACCOUNT, recording, uri, path.name, len(body), digest, *times)

    def flip(self, recording: str) -> None:
        path = self.folder / f"{recording}.mp3"
        body = bytearray(path.read_bytes())
        body[17] ^= 1
        path.write_bytes(body)

    def cut(self, recording: str) -> None:
        path = self.folder / f"{recording}.mp3"
        path.write_bytes(path.read_bytes()[:-1])

    def lose(self, recording: str) -> None:
        (self.folder / f"{recording}.mp3").unlink()

    def verification(self, *, sample: int | None = None, **selection: datetime) -> Verification:
        chosen = Selection(ACCOUNT, selection.pop("looked_at_before", self.clock.now()), sample=sample, **selection)
        return Verification(self.pool, self.storage, self.clock, chosen, Pace(None), self._tell)

    async def verify(self, **selection: Any) -> Result:
        return await self.verification(**selection).run()

    def _tell(self, result: Result) -> None:
        self.looked_at.append(result.looked_at)

    async def row(self, recording: str) -> Row:
        found = await self.pool.fetchrow("SELECT * FROM recordings WHERE source_record_id = $1", recording)
        assert found
        return dict(found)

    async def verified(self) -> list[str]:
        rows = await self.pool.fetch("SELECT source_record_id FROM recordings WHERE audio_verified_at IS NOT NULL")
        return sorted(row["source_record_id"] for row in rows)


@pytest.fixture
async def archive(pool: Pool, tmp_path: Path) -> AsyncIterator[Archive]:
    async with open_storage(tmp_path.as_uri()) as storage:
        yield Archive(pool, storage, tmp_path)


async def test_what_is_intact_stays_and_is_noted_as_verified(archive: Archive) -> None:
    for recording in ("one", "two"):
        await archive.store(recording)

    result = await archive.verify()

    assert (result.selected, result.intact, result.differences, result.finished) == (2, 2, [], True)
    assert result.read_bytes == 6000
    assert archive.looked_at == [1, 2]
    row = await archive.row("one")
    assert (row["audio_state"], row["audio_verified_at"], row["audio_attempts"]) == ("stored", NOW, 3)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (Archive.flip, "the object in the storage has other bytes than were stored"),
        (Archive.cut, "the object in the storage has 2999 bytes of 3000"),
        (Archive.lose, "the object is not in the storage any more"),
    ],
)
async def test_what_differs_is_due_at_once_with_its_reason_and_the_whole_schedule(
    archive: Archive, harm: Callable[[Archive, str], None], reason: str
) -> None:
    await archive.store("one")
    await archive.store("two")
    harm(archive, "one")

    result = await archive.verify()

    assert [(one.source_record_id, one.audio_state) for one in result.differences] == [("one", "pending")]
    row = await archive.row("one")
    assert row["audio_reason"] == f"{reason}; it is fetched again"
    assert (row["audio_state"], row["audio_due_at"], row["audio_attempts"]) == ("pending", NOW, 0)
    assert (await archive.row("two"))["audio_state"] == "stored"


@pytest.mark.parametrize(("harm", "state"), [(Archive.flip, "quarantined"), (Archive.lose, "unavailable")])
@pytest.mark.parametrize("beyond", [{"age": timedelta(days=91)}, {"uri": None}], ids=["too old", "address unknown"])
async def test_what_differs_and_cannot_be_had_again_says_so_for_good(
    archive: Archive, harm: Callable[[Archive, str], None], state: str, beyond: dict[str, Any]
) -> None:
    await archive.store("one", **beyond)
    harm(archive, "one")

    await archive.verify()

    row = await archive.row("one")
    assert (row["audio_state"], row["audio_due_at"]) == (state, None)
    assert row["audio_reason"].endswith("fetched again") is False


async def test_where_another_plan_keeps_recordings_longer_they_are_fetched_again(archive: Archive) -> None:
    await archive.store("one", age=timedelta(days=91))
    archive.lose("one")
    verification = archive.verification()
    verification.retention = RetentionSettings.model_validate({"RETENTION_AUTOMATIC_DAYS": "365"})

    await verification.run()

    assert (await archive.row("one"))["audio_state"] == "pending"


async def test_a_broken_off_run_goes_on_where_it_was(archive: Archive) -> None:
    recordings = [f"{number:03}" for number in range(30)]
    for recording in recordings:
        await archive.store(recording)
    verification = archive.verification()
    running = asyncio.create_task(verification.run())

    def break_off(result: Result) -> None:
        if result.looked_at == 10:
            running.cancel()

    verification.tell = break_off

    first = await running
    before = await archive.verified()
    archive.clock.time += timedelta(minutes=1)
    second = await archive.verify(looked_at_before=NOW)

    assert not first.finished
    assert 10 <= first.looked_at < len(recordings)
    assert second.finished
    assert second.selected == len(recordings) - len(before)
    assert await archive.verified() == recordings


async def test_what_nobody_has_looked_at_for_longest_comes_first(archive: Archive) -> None:
    for number, days in enumerate((3, 9, 1, 5)):
        await archive.store(str(number), stored=timedelta(days=days))
    verification = archive.verification()

    order = [row["source_record_id"] async for row in verification._rows()]

    assert order == ["1", "3", "0", "2"]


async def test_objects_are_chosen_by_age_or_by_chance(archive: Archive) -> None:
    for number, days in enumerate((1, 10, 20, 30)):
        await archive.store(str(number), stored=timedelta(days=days))

    assert (await archive.verify(looked_at_before=NOW - timedelta(days=15))).looked_at == 2
    assert await archive.verified() == ["2", "3"]
    assert (await archive.verify(stored_since=NOW - timedelta(days=15))).looked_at == 2
    archive.clock.time += timedelta(minutes=1)
    sampled = await archive.verify(sample=3)
    assert (sampled.selected, sampled.looked_at) == (3, 3)


async def test_a_recording_that_was_stored_anew_meanwhile_is_left_alone(archive: Archive) -> None:
    await archive.store("one")
    archive.lose("one")
    verification = archive.verification()
    (row,) = [row async for row in verification._rows()]
    await archive.pool.execute("UPDATE recordings SET audio_stored_at = $1", NOW)

    await verification._verify(row, Result(1))

    assert (await archive.row("one"))["audio_state"] == "stored"


async def test_a_dry_run_changes_no_row(archive: Archive) -> None:
    await archive.store("one")
    await archive.store("two")
    archive.lose("one")
    before = await archive.row("one"), await archive.row("two")
    verification = archive.verification()
    verification.dry = True

    result = await verification.run()

    assert (result.intact, len(result.differences)) == (1, 1)
    assert (await archive.row("one"), await archive.row("two")) == before


async def test_a_storage_without_any_of_the_objects_is_not_believed(archive: Archive) -> None:
    await archive.verification().check_that_some_are_there()  # nothing is stored, so nothing is missed.
    for recording in ("one", "two"):
        await archive.store(recording)
        archive.lose(recording)
    with pytest.raises(NoneThereError):
        await archive.verification().check_that_some_are_there()

    await archive.store("three")
    await archive.verification().check_that_some_are_there()


async def test_a_storage_that_fails_again_and_again_ends_the_run_and_blames_no_object(archive: Archive) -> None:
    for number in range(20):
        await archive.store(str(number))
        archive.lose(str(number))
        (archive.folder / f"{number}.mp3").mkdir()  # a folder in place of a file cannot be read.

    result = await archive.verify()

    assert not result.finished
    assert 5 <= result.unread < 20
    assert (result.differences, result.intact) == ([], 0)
    assert result.unread_reason
    assert await archive.pool.fetchval("SELECT count(*) FROM recordings WHERE audio_state = 'stored'") == 20


async def test_the_pace_is_kept_over_all_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("cli.verification.asyncio.sleep", sleep)
    monkeypatch.setattr("cli.verification.time.monotonic", lambda: 100.0)
    pace = Pace(1000)

    for _ in range(3):
        await pace.spend(500)

    assert slept == pytest.approx([0.5, 1.0, 1.5])
    await Pace(None).spend(10**12)
    assert len(slept) == 3


async def test_a_storage_that_goes_away_meanwhile_has_not_lost_its_objects(archive: Archive) -> None:
    for number in range(20):
        await archive.store(str(number), age=timedelta(days=200))
    verification = archive.verification()

    def unmount(_result: Result) -> None:
        for path in archive.folder.iterdir():
            path.unlink()

    verification.tell = unmount
    result = await verification.run()

    assert (result.differences, result.finished) == ([], False)
    assert result.unread_reason == "The storage has lost what was just there: is it still the same, and mounted?"
    assert await archive.pool.fetchval("SELECT count(*) FROM recordings WHERE audio_state = 'stored'") == 20
