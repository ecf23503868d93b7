"""A downloader that ends in the middle of a file, by force or politely, leaves nothing half done."""

import signal
from typing import Any

import pytest

from demo.pipeline import Pipeline
from tests.end_to_end.facts import Rows, exit_code, sha256_of, storage_of, truth_of, until, until_told

#: Bytes of a recording that S3 gets in three parts.
THREE_PARTS = 12_000_000
#: Bytes after which the transfer stands still: the first part is stored by then, the second is not.
IN_THE_MIDDLE = 8_000_000


@pytest.mark.parametrize("pipeline", ["s3"], indirect=True)
async def test_a_downloader_killed_in_the_middle_of_a_file_leaves_a_whole_object_and_no_open_upload_once_another_did_it(
    pipeline: Pipeline, rows: Rows
) -> None:
    recording_id = await _begun(pipeline, rows, {"kind": "stall", "after_bytes": IN_THE_MIDDLE, "seconds": 600})
    async with storage_of(pipeline) as storage:

        async def one_is_open() -> bool:
            return len(await storage.open_uploads()) == 1

        await until(one_is_open, what="an upload under way")

        pipeline.kill("downloader")
        assert await one_is_open()
        pipeline.start("downloader", "another downloader")
        await until_told(pipeline, "another downloader", "download_skipped")  # the dead one's claim lives on.
        await rows.ask(  # its minute passes.
            "UPDATE recordings SET audio_claimed_until = clock_timestamp(), audio_due_at = clock_timestamp()"
        )
        row = await rows.until_recording(recording_id, audio_state="stored")

        assert await storage.open_uploads() == []
        _is_whole(pipeline, row)
        assert await sha256_of(storage, row["audio_object"]) == row["audio_sha256"]


async def test_a_downloader_stopped_in_the_middle_of_a_file_finishes_it_when_its_grace_suffices(
    pipeline: Pipeline, rows: Rows
) -> None:
    recording_id = await _begun(pipeline, rows, {"kind": "slow", "bytes_per_second": 6_000_000})

    pipeline.services["downloader"].send(signal.SIGTERM)

    assert exit_code(pipeline.services["downloader"]) == 0
    row = await rows.recording(recording_id)
    assert row["audio_state"] == "stored"
    _is_whole(pipeline, row)


async def test_a_downloader_stopped_in_the_middle_of_a_file_hands_it_back_uncounted_when_its_grace_is_over(
    pipeline: Pipeline, rows: Rows
) -> None:
    fault = {"kind": "stall", "after_bytes": IN_THE_MIDDLE, "seconds": 600}
    recording_id = await _begun(pipeline, rows, fault, GRACE_PERIOD="0.5")
    pipeline.kill("poller")  # so that nobody announces it again before we have looked.

    pipeline.services["downloader"].send(signal.SIGTERM)

    assert exit_code(pipeline.services["downloader"]) == 0
    row = await rows.recording(recording_id)
    assert (row["audio_state"], row["audio_attempts"], row["audio_claim"]) == ("pending", 0, None)
    assert await rows.ask("SELECT audio_due_at <= clock_timestamp() FROM recordings")
    async with storage_of(pipeline) as storage:
        assert await storage.open_uploads() == []

    pipeline.start("downloader", "another downloader")
    row = await rows.until_recording(recording_id, audio_state="stored")
    assert row["audio_attempts"] == 1
    _is_whole(pipeline, row)


@pytest.mark.parametrize("servers", ["direct"], indirect=True)  # it takes a while, and says nothing of the database.
async def test_a_connection_to_the_broker_that_is_lost_in_the_middle_of_a_file_neither_stops_nor_doubles_the_download(
    pipeline: Pipeline, rows: Rows
) -> None:
    recording_id = await _begun(pipeline, rows, {"kind": "stall", "after_bytes": IN_THE_MIDDLE, "seconds": 20})

    pipeline.rabbitmq.ctl("close_all_connections", "for a test")
    await until_told(pipeline, "downloader", "download_skipped")  # the broker hands the job out again meanwhile.
    row = await rows.until_recording(recording_id, audio_state="stored")

    assert row["audio_attempts"] == 1
    assert pipeline.ask_simulator("/simulator/counts")["requests"]["recording.content"] == 1
    _is_whole(pipeline, row)


@pytest.mark.parametrize("pipeline", ["s3"], indirect=True)
@pytest.mark.parametrize(("ranges", "reply"), [("yes", "goes on"), ("ignored", "anew")])
async def test_a_connection_lost_in_the_middle_of_an_upload_costs_no_attempt_and_leaves_no_upload(
    pipeline: Pipeline, rows: Rows, ranges: str, reply: str
) -> None:
    pipeline.start_simulator(recordings=0, audio_etag="strong", audio_ranges=ranges)
    fault = {"kind": "cut", "after_bytes": IN_THE_MIDDLE}
    pipeline.ask_simulator("/simulator/faults", {"endpoint": "recording.content", **fault})
    (call,) = pipeline.ask_simulator("/simulator/recordings", {"bytes": THREE_PARTS})["calls"]

    pipeline.start_all("poller", "downloader")
    row = await rows.until_recording(call["recordings"][0], audio_state="stored")

    assert row["audio_attempts"] == 1
    assert [line["reply"] for line in pipeline.told("downloader", "download_resumed")] == [reply]
    _is_whole(pipeline, row)
    async with storage_of(pipeline) as storage:
        assert await storage.open_uploads() == []
        assert await sha256_of(storage, row["audio_object"]) == row["audio_sha256"]


async def test_a_job_that_comes_before_its_recording_is_due_is_announced_again_when_it_is(
    pipeline: Pipeline, rows: Rows
) -> None:
    """As when the downloader's clock goes behind the poller's: for it, what was announced is due later."""
    pipeline.start_simulator(recordings=0)
    (call,) = pipeline.ask_simulator("/simulator/recordings", {"bytes": 100_000})["calls"]
    pipeline.start("poller")
    await until_told(pipeline, "poller", "recordings_announced")
    await rows.ask("UPDATE recordings SET audio_due_at = clock_timestamp() + interval '1 hour'")

    pipeline.start("downloader")
    await until_told(pipeline, "downloader", "download_skipped")
    await rows.ask("UPDATE recordings SET audio_due_at = clock_timestamp()")

    await rows.until_recording(call["recordings"][0], audio_state="stored")


async def _begun(pipeline: Pipeline, rows: Rows, fault: dict[str, Any], **settings: str) -> str:
    """A recording that a downloader is in the middle of."""
    pipeline.start_simulator(recordings=0)
    pipeline.ask_simulator("/simulator/faults", {"endpoint": "recording.content", **fault})
    (call,) = pipeline.ask_simulator("/simulator/recordings", {"bytes": THREE_PARTS})["calls"]
    pipeline.launch("poller")
    pipeline.start("downloader", **settings)

    await until(lambda: rows.ask("SELECT audio_upload_id FROM recordings"), what="a download under way")
    recording_id: str = call["recordings"][0]
    return recording_id


def _is_whole(pipeline: Pipeline, row: dict[str, Any]) -> None:
    truth = truth_of(pipeline, row["source_record_id"])
    assert (row["audio_bytes"], row["audio_sha256"]) == (truth["bytes"], truth["sha256"])
