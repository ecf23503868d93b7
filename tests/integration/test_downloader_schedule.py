"""When a recording is tried again, and when not any more."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from common.database.pool import Pool
from common.storage.file_system import FileStorage
from common.storage.interface import ObjectTooLarge, StoredObject
from services.downloader import attempt
from services.downloader.schedule import STEPS
from tests.integration.download_bench import DownloadBench

#: Seconds of an attempt that never ends: most of them are spent on what hangs, also where a process is held up before.
DEADLINE = 8.0


async def test_what_is_gone_long_after_the_call_is_unavailable_after_a_second_look(bench: DownloadBench) -> None:
    recording_id = await bench.order(began=timedelta(days=5))
    bench.fault("not_ready", times=2)

    first = await bench.take(recording_id)
    second = await bench.take_again(recording_id)

    assert (first["audio_state"], first["audio_reason"]) == ("pending", "RingCentral has nothing there (CMN-102)")
    assert first["audio_due_at"] - datetime.now(UTC) > timedelta(hours=5)
    assert (second["audio_state"], second["audio_due_at"]) == ("unavailable", None)
    assert "CMN-102), 4 d 23 h after the call: it was deleted, or never made" in second["audio_reason"]


async def test_what_is_gone_while_a_bad_file_of_it_is_kept_is_not_asked_for_again(bench: DownloadBench) -> None:
    recording_id = await bench.order(began=timedelta(days=5))
    bench.fault("truncated")
    bench.fault("not_ready")

    first = await bench.take(recording_id)
    second = await bench.take_again(recording_id)

    assert (first["audio_state"], second["audio_state"]) == ("quarantined", "quarantined")
    assert (second["audio_reason"], second["audio_due_at"]) == (first["audio_reason"], None)
    assert bench.files() == {first["audio_object"]: first["audio_bytes"]}


async def test_what_is_older_than_all_retention_is_unavailable_at_once(bench: DownloadBench) -> None:
    recording_id = await bench.order(began=timedelta(days=100))
    bench.fault("not_ready")

    row = await bench.take(recording_id)

    assert row["audio_state"] == "unavailable"
    assert "90 days" in row["audio_reason"]


async def test_a_source_that_fails_to_the_end_of_the_schedule_has_failed(bench: DownloadBench) -> None:
    recording_id = await bench.order()
    bench.fault("status", status=500, times=2)

    before = await bench.take(recording_id)
    row = await bench.take_again(recording_id, {"source_failed": len(STEPS["source_failed"])})

    assert before["audio_state"] == "pending"
    assert (row["audio_state"], row["audio_due_at"]) == ("failed", None)
    assert row["audio_reason"] == "RingCentral answered 500 (CMN-201)"


async def test_each_kind_of_failure_has_its_whole_schedule_whatever_else_went_wrong(bench: DownloadBench) -> None:
    recording_id = await bench.order()
    bench.fault("not_ready")
    bench.fault("status", status=500)
    await bench.take(recording_id)

    row = await bench.take_again(recording_id, {"not_ready": 10, "storage_failed": 10})

    assert (row["audio_state"], row["audio_attempts"]) == ("pending", 21)
    assert row["audio_failures"] == {"not_ready": 10, "storage_failed": 10, "source_failed": 1}
    assert row["audio_due_at"] - datetime.now(UTC) <= timedelta(seconds=10)


async def test_an_attempt_that_insights_brought_forward_uses_up_no_step(bench: DownloadBench) -> None:
    recording_id = await bench.order()
    bench.fault("status", status=500, times=4)
    steps = [(await bench.take(recording_id))["audio_failures"]]

    for _ in range(2):
        await bench.bring_forward(recording_id)
        steps.append((await bench.take(recording_id))["audio_failures"])
    row = await bench.take_again(recording_id)

    assert steps == [{"source_failed": 1}] * 3
    assert (row["audio_failures"], row["audio_attempts"]) == ({"source_failed": 2}, 4)


async def test_what_insights_brought_forward_and_is_not_there_is_asked_for_once_more(bench: DownloadBench) -> None:
    """Six hours are for a hitch of theirs to pass; an event that comes in between makes them no shorter."""
    recording_id = await bench.order(began=timedelta(days=1, hours=2))
    bench.fault("not_ready", times=3)
    await bench.take(recording_id)
    await bench.bring_forward(recording_id)

    ahead = await bench.take(recording_id)
    last = await bench.take_again(recording_id)

    assert ahead["audio_state"] == "pending"
    assert ahead["audio_due_at"] - datetime.now(UTC) > timedelta(hours=5)
    assert (last["audio_state"], last["audio_failures"]) == ("unavailable", {"not_ready": 2})


async def test_whoever_sets_the_attempts_to_none_begins_the_schedule_anew(bench: DownloadBench, pool: Pool) -> None:
    recording_id = await bench.order()
    bench.fault("status", status=500, times=3)
    await bench.take(recording_id)
    await bench.take_again(recording_id, {"source_failed": 9})

    await pool.execute("UPDATE recordings SET audio_attempts = 0")
    row = await bench.take_again(recording_id)

    assert (row["audio_state"], row["audio_attempts"], row["audio_failures"]) == ("pending", 1, {"source_failed": 1})


async def test_what_the_storage_finds_too_large_holds_up_no_other_and_is_tried_the_next_day(
    bench: DownloadBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, other = await bench.order(), await bench.order()

    async def refuse(*_arguments: object, **_named: object) -> StoredObject:
        raise ObjectTooLarge("It takes no object of more than 50 MB.")

    with monkeypatch.context() as patched:
        patched.setattr(FileStorage, "put", refuse)
        patched.setattr(FileStorage, "check", refuse)  # nobody probes a storage that works.
        row = await bench.take(large)
        await bench.downloads.gate.pass_through()

    assert (row["audio_state"], row["audio_attempts"]) == ("pending", 1)
    assert row["audio_reason"] == "It takes no object of more than 50 MB."
    assert timedelta(hours=23) < row["audio_due_at"] - datetime.now(UTC) <= timedelta(hours=24)
    assert (await bench.take(other))["audio_state"] == "stored"


async def test_an_attempt_that_the_storage_made_too_long_is_a_failure_of_the_storage(
    bench: DownloadBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording_id = await bench.order()
    monkeypatch.setattr(attempt, "ATTEMPT_DEADLINE", DEADLINE)
    monkeypatch.setattr(FileStorage, "put", hang)

    row = await bench.take(recording_id)

    assert f"the attempt was not done in {DEADLINE:g} s: it waited" in row["audio_reason"]
    assert row["audio_failures"] == {"storage_failed": 1}
    assert timedelta(seconds=10) < row["audio_due_at"] - datetime.now(UTC) <= timedelta(seconds=30)


async def test_an_attempt_that_the_source_made_too_long_is_a_failure_of_the_source(
    bench: DownloadBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording_id = await bench.order()
    monkeypatch.setattr(attempt, "ATTEMPT_DEADLINE", DEADLINE)
    bench.fault("stall", seconds=60, after_bytes=1000)

    row = await bench.take(recording_id)

    assert "s for RingCentral's audio, " in row["audio_reason"]
    assert row["audio_failures"] == {"source_failed": 1}


async def hang(*_arguments: object, **_named: object) -> StoredObject:
    await asyncio.Event().wait()
    raise AssertionError


async def test_while_our_storage_is_away_nothing_is_asked_of_ringcentral(bench: DownloadBench) -> None:
    ids = [await bench.order() for _ in range(5)]
    bench.folder.write_text("a file stands where the folder should be")

    first = await bench.take(ids[0])
    others = await asyncio.gather(*map(bench.take, ids[1:]))

    assert (first["audio_state"], first["audio_attempts"]) == ("pending", 1)
    assert "a file stands where a folder should be" in first["audio_reason"]
    for row in others:
        assert (row["audio_state"], row["audio_attempts"]) == ("pending", 0)
        assert "a file stands where a folder should be" in row["audio_reason"]
        assert timedelta(seconds=30) < row["audio_due_at"] - datetime.now(UTC) <= timedelta(minutes=1)
    assert bench.asked() == 1
