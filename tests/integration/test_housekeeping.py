"""What one downloader does beside downloads: it ends uploads that nobody would, and goes on whatever happens."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from common.clock import SystemClock
from common.database.pool import Pool
from common.database.recordings import Said, merge_sayings
from common.merge import Saying
from common.storage.file_system import FileStorage
from common.storage.interface import Storage, StorageError
from common.tasks import end
from services.downloader import housekeeping
from services.downloader.housekeeping import keep_house
from services.downloader.left_uploads import abort_left_pieces, abort_left_uploads
from services.downloader.sidecars import AT_ONCE, write_sidecars

ACCOUNT = "700100200"
CLOCK = SystemClock()
Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


@pytest.fixture
def storage(tmp_path: Path) -> FileStorage:
    return FileStorage(tmp_path)


async def left_open(pool: Pool, storage: FileStorage, state: str) -> None:
    """A recording in this state, with an upload that was killed."""
    name = f"{ACCOUNT}/pbx/2026/03/09/{state}.mp3"
    facts = {"audio_content_uri": "https://media.example/1"}
    async with pool.transaction() as connection:
        await merge_sayings(connection, ACCOUNT, [Said(("pbx", state), Saying("call_log", "1", facts))], CLOCK.now())

    async def noted(upload_id: str) -> None:
        (folder,) = {path.parent for path in storage._folder.rglob(f".{state}.mp3.*")}
        await pool.execute(
            "UPDATE recordings SET audio_state = $1, audio_object = $2, audio_upload_id = $3, audio_reason = 'why',"
            " audio_due_at = CASE WHEN $1 = 'pending' THEN audio_due_at END WHERE source_record_id = $1",
            state,
            name,
            upload_id,
        )
        (folder / f".{state}.mp3.{'0' * 32}.partial").touch()  # this one is not taken away with the writer.

    async def audio() -> AsyncIterator[bytes]:
        yield b"audio"
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await storage.put(name, audio(), content_type="audio/mpeg", note_upload=noted)


async def left(pool: Pool) -> list[str]:
    rows = await pool.fetch("SELECT source_record_id FROM recordings WHERE audio_upload_id IS NOT NULL")
    return sorted(row["source_record_id"] for row in rows)


async def test_uploads_of_what_is_not_tried_again_are_aborted_and_no_others(pool: Pool, storage: FileStorage) -> None:
    for state in ("failed", "unavailable", "pending"):
        await left_open(pool, storage, state)
    await left_open(pool, storage, "erased")
    await pool.execute(
        "UPDATE recordings SET audio_claim = gen_random_uuid(),"
        " audio_claimed_until = clock_timestamp() + interval '1 min' WHERE audio_state = 'erased'"
    )

    assert await abort_left_uploads(pool, storage, ACCOUNT) == 2
    assert await abort_left_uploads(pool, storage, ACCOUNT) == 0

    assert await left(pool) == ["erased", "pending"]
    assert sorted(Path(name).stem for name, _ in await storage.open_uploads()) == ["erased", "pending"]


async def test_an_upload_that_cannot_be_aborted_keeps_no_other_for_ever_and_is_found_again(
    pool: Pool, storage: FileStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    abort_left = FileStorage.abort_left

    async def refuses_one(storage: FileStorage, name: str, noted: str | None) -> None:
        if Path(name).stem == "failed":
            raise StorageError("The storage refuses.")
        await abort_left(storage, name, noted)

    for state in ("failed", "unavailable", "erased"):
        await left_open(pool, storage, state)
    with monkeypatch.context() as patched:
        patched.setattr(FileStorage, "abort_left", refuses_one)
        while await left(pool) != ["failed"]:
            with pytest.raises(StorageError):
                await abort_left_uploads(pool, storage, ACCOUNT)

    assert await abort_left_uploads(pool, storage, ACCOUNT) == 1
    assert await storage.open_uploads() == []


async def test_uploads_of_the_journal_that_were_left_open_are_aborted_and_no_others(
    pool: Pool, storage: FileStorage, eventually: Eventually
) -> None:
    await left_open(pool, storage, "pending")
    left_piece(storage)

    async def swept() -> bool:
        return len(await storage.open_uploads()) < 2

    task = asyncio.create_task(keep_house(pool, storage, CLOCK, ACCOUNT, None, asyncio.Event()))
    await eventually(swept)
    await end(task)

    assert [Path(name).stem for name, _ in await storage.open_uploads()] == ["pending"]


async def test_housekeeping_goes_on_after_an_error_that_nobody_expects_and_tells_it(
    pool: Pool, storage: FileStorage, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    async def fails_once(pool: Pool, storage: Storage) -> int:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise KeyError("secret of a call")
        return await write_sidecars(pool, storage)

    monkeypatch.setattr(housekeeping, "write_sidecars", fails_once)
    monkeypatch.setattr(housekeeping, "LOOK_EVERY", 0.01)
    await left_open(pool, storage, "failed")

    async def swept() -> bool:
        return await left(pool) == []

    with capture_logs() as logs:
        task = asyncio.create_task(keep_house(pool, storage, CLOCK, ACCOUNT, timedelta(days=400), asyncio.Event()))
        await eventually(swept)
        await end(task)

    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["housekeeping_failed"]


async def fail(*_: object) -> bool:
    raise StorageError("The storage has lost something.")


class OneLook(SystemClock):
    """A clock whose first pause is the last."""

    async def pause(self, seconds: float, stop: asyncio.Event) -> bool:  # noqa: ARG002 - as there
        stop.set()
        return False


def left_piece(storage: FileStorage, number: str = "0001") -> None:
    """An upload of a piece of the journal, whose writer was killed."""
    folder = storage._folder / ACCOUNT / "journal/2026/03"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f".09-{number}-0123abcd.ndjson.gz.{'0' * 32}.partial").touch()


async def test_one_thing_that_always_fails_holds_up_no_other(
    pool: Pool, storage: FileStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "forget_day", fail)
    await left_open(pool, storage, "failed")

    await keep_house(pool, storage, OneLook(), ACCOUNT, timedelta(days=400), asyncio.Event())

    assert await left(pool) == []


async def test_an_upload_that_can_never_be_aborted_keeps_nothing_else_from_being_swept(
    pool: Pool, storage: FileStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "abort_left_uploads", fail)
    left_piece(storage)
    trial = storage._folder / f"check/1000000000-{'0' * 32}-A_2f.bin"
    trial.parent.mkdir()
    trial.touch()

    await keep_house(pool, storage, OneLook(), ACCOUNT, None, asyncio.Event())

    assert await storage.open_uploads() == []
    assert not trial.exists()


async def test_what_fails_has_a_pause_also_while_there_is_more_of_something_else(
    pool: Pool, storage: FileStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, looks = asyncio.Event(), 0

    async def endless(_pool: Pool, _storage: Storage) -> int:
        nonlocal looks
        looks += 1
        if looks == 3:
            stop.set()
        return AT_ONCE

    monkeypatch.setattr(housekeeping, "write_sidecars", endless)
    monkeypatch.setattr(housekeeping, "archive_piece", fail)

    await keep_house(pool, storage, OneLook(), ACCOUNT, None, stop)

    assert looks == 1


async def test_whoever_has_lost_the_lease_meanwhile_aborts_no_piece_of_the_next(
    pool: Pool, storage: FileStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def outlasts_the_lease(*_: object) -> int:
        await pool.execute("UPDATE leases SET holder = gen_random_uuid()")
        return 0

    monkeypatch.setattr(housekeeping, "abort_left_uploads", outlasts_the_lease)
    left_piece(storage)

    await keep_house(pool, storage, OneLook(), ACCOUNT, None, asyncio.Event())

    assert len(await storage.open_uploads()) == 1


async def test_a_left_piece_that_cannot_be_aborted_is_told_and_keeps_no_other(
    storage: FileStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    abort = FileStorage.abort
    refused: list[str] = []

    async def fails_once(storage: FileStorage, name: str, upload_id: str) -> None:
        if not refused:
            refused.append(name)
            raise StorageError("The storage refuses.")
        await abort(storage, name, upload_id)

    monkeypatch.setattr(FileStorage, "abort", fails_once)
    left_piece(storage, "0001")
    left_piece(storage, "0002")

    with capture_logs() as logs:
        await abort_left_pieces(storage, ACCOUNT)

    assert [name for name, _ in await storage.open_uploads()] == refused
    assert [line["event"] for line in logs] == ["pieces_left", "left_pieces_aborted"]
