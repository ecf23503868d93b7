"""What a downloader makes of answers that look like audio: proven, kept aside, or not written at all."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.downloader.schedule import STEPS
from tests.integration.download_bench import DownloadBench

#: Bytes of a recording's begin that end with a frame, at each bit rate that the simulator draws.
WHOLE_FRAMES = 50 * 2160


@pytest.mark.parametrize("shape", [{}, {"wav": True}, {"vbr": True}])
async def test_an_ordinary_recording_costs_one_request_and_its_length_is_on_the_row(
    bench: DownloadBench, shape: dict[str, Any]
) -> None:
    recording_id = await bench.order(**shape)

    row = await bench.take(recording_id)

    assert row["audio_state"] == "stored"
    assert row["audio_duration_ms"] == pytest.approx(58_000, abs=40)
    assert (bench.asked(), bench.asked("recording.get")) == (1, 0)


@pytest.mark.parametrize("verify", [True, False])
async def test_what_is_read_back_at_once_is_noted_as_verified(bench: DownloadBench, verify: bool) -> None:
    recording_id = await bench.order()
    bench.downloads = replace(bench.downloads, verify_after_store=verify)

    row = await bench.take(recording_id)

    assert row["audio_state"] == "stored"
    assert row["audio_verified_at"] == (row["audio_stored_at"] if verify else None)


@pytest.mark.parametrize("shape", [{}, {"wav": True}, {"vbr": True}])
async def test_a_part_of_a_call_is_cleared_by_the_metadata_for_one_more_request(
    bench: DownloadBench, shape: dict[str, Any]
) -> None:
    recording_id = await bench.order(seconds=600, recording_seconds=31, **shape)

    row = await bench.take(recording_id)

    assert (row["audio_state"], row["audio_attempts"], row["audio_reason"]) == ("stored", 1, None)
    assert (bench.asked(), bench.asked("recording.get")) == (1, 1)


async def test_insights_that_tell_the_length_save_that_request(bench: DownloadBench) -> None:
    recording_id = await bench.order(seconds=600, recording_seconds=31, insights_ms=30_950)

    row = await bench.take(recording_id)

    assert row["audio_state"] == "stored"
    assert bench.asked("recording.get") == 0


@pytest.mark.parametrize(
    ("kind", "parameters", "reason"),
    [
        ("truncated", {}, "its last frame is cut"),
        ("truncated", {"bytes": -6000}, "its last frame is cut"),
        ("truncated", {"bytes": WHOLE_FRAMES}, "the call took 60.0 s; RingCentral tells 58.0 s"),
        ("truncated", {"bytes": 59}, "has no frame of one"),
        ("other_audio", {"seconds": 5}, "it plays 5.0 s"),
        ("other_audio", {"seconds": 90}, "it plays 90.0 s"),
        ("noise", {}, "it is no audio that can be read"),
        ("noise", {"byte": 0}, "it is no audio that can be read"),
        ("damaged", {}, "are no sound; RingCentral tells 58.0 s"),
        ("wrong_type", {"content_type": "audio/wav"}, "it is mp3, and was sent as audio/wav"),
    ],
)
@pytest.mark.parametrize("length", [True, False])
async def test_what_is_whole_and_implausible_is_kept_aside_with_the_reason_and_made_good_by_the_next_attempt(
    bench: DownloadBench, kind: str, parameters: dict[str, Any], reason: str, length: bool
) -> None:
    recording_id = await bench.order()
    bench.fault(kind, length=length, **parameters)

    row = await bench.take(recording_id)

    assert (row["audio_state"], row["audio_attempts"], row["audio_claim"]) == ("quarantined", 1, None)
    assert reason in row["audio_reason"]
    assert timedelta(minutes=4) < row["audio_due_at"] - datetime.now(UTC) <= timedelta(minutes=5)
    assert bench.files() == {row["audio_object"]: row["audio_bytes"]}

    row = await bench.take_again(recording_id)

    assert (row["audio_state"], row["audio_attempts"], row["audio_reason"]) == ("stored", 2, None)
    assert row["audio_sha256"] == await bench.true_sha256(recording_id)


@pytest.mark.parametrize(
    ("kind", "parameters", "reason"),
    [
        ("body", {"json": {"errorCode": "CMN-203"}, "content_type": "audio/mpeg"}, "an error's text"),
        ("body", {"text": "\n <html>no</html>", "content_type": "audio/mpeg"}, "an error's text"),
        ("body", {"text": "", "content_type": "audio/mpeg"}, "empty|0 bytes"),
        ("json200", {}, "the answer is not audio"),
        ("partial", {}, "a part of the audio came"),
        ("cut", {"after_bytes": "random"}, "the audio broke off after"),
    ],
)
@pytest.mark.parametrize("length", [True, False])
async def test_what_is_not_whole_or_no_audio_is_not_written(
    bench: DownloadBench, kind: str, parameters: dict[str, Any], reason: str, length: bool
) -> None:
    recording_id = await bench.order()
    bench.fault(kind, length=length, **parameters)

    row = await bench.take(recording_id)

    assert (row["audio_state"], row["audio_attempts"]) == ("pending", 1)
    assert any(one in row["audio_reason"] for one in reason.split("|"))
    assert bench.files() == {}


@pytest.mark.parametrize(
    ("before_end", "shape", "insights_ms", "reason"),
    [
        (100, {}, None, "its last frame is cut"),
        (100, {}, 58_000, "its last frame is cut"),
        (100, {"wav": True}, None, "its header tells"),
        (100, {"wav": True}, 58_000, "its header tells"),
        (10 * 2160, {}, None, "and ended with the connection; RingCentral tells 58.0 s"),
    ],
)
async def test_what_ends_a_little_early_with_its_connection_is_kept_aside(
    bench: DownloadBench, before_end: int, shape: dict[str, Any], insights_ms: int | None, reason: str
) -> None:
    recording_id = await bench.order(insights_ms=insights_ms, **shape)
    bench.fault("cut_unframed", after_bytes=-before_end)

    row = await bench.take(recording_id)

    assert row["audio_state"] == "quarantined"
    assert reason in row["audio_reason"]


async def test_what_ends_with_its_connection_is_stored_once_the_metadata_tells_its_length(bench: DownloadBench) -> None:
    recording_id = await bench.order()
    bench.fault("cut_unframed", after_bytes=10**9)

    row = await bench.take(recording_id)

    assert row["audio_state"] == "stored"
    assert row["audio_sha256"] == await bench.true_sha256(recording_id)
    assert bench.asked("recording.get") == 1


async def test_what_stays_implausible_is_still_kept_when_its_schedule_is_used_up(bench: DownloadBench) -> None:
    recording_id = await bench.order()
    bench.fault("truncated", times=2)
    await bench.take(recording_id)

    row = await bench.take_again(recording_id, {"implausible": len(STEPS["implausible"])})

    assert (row["audio_state"], row["audio_due_at"]) == ("quarantined", None)
    assert "RingCentral tells 58.0 s" in row["audio_reason"]
    assert bench.files() == {row["audio_object"]: row["audio_bytes"]}


async def test_a_failure_after_a_quarantine_takes_neither_the_file_nor_its_reason_away(bench: DownloadBench) -> None:
    recording_id = await bench.order()
    bench.fault("truncated")
    first = await bench.take(recording_id)
    bench.fault("cut")

    second = await bench.take_again(recording_id)
    bench.fault("drop")
    last = await bench.take_again(recording_id, {"source_failed": len(STEPS["source_failed"])})

    assert (second["audio_state"], second["audio_reason"]) == ("quarantined", first["audio_reason"])
    assert second["audio_due_at"] is not None
    assert (last["audio_state"], last["audio_reason"], last["audio_due_at"]) == (
        "quarantined",
        first["audio_reason"],
        None,
    )
    assert bench.files() == {first["audio_object"]: first["audio_bytes"]}


async def test_what_is_handed_back_from_quarantine_keeps_its_reason(bench: DownloadBench) -> None:
    recording_id = await bench.order()
    bench.fault("truncated")
    bench.fault("429")

    first = await bench.take(recording_id)
    throttled = await bench.take_again(recording_id)

    assert (throttled["audio_state"], throttled["audio_attempts"]) == ("quarantined", 1)
    assert throttled["audio_reason"] == first["audio_reason"]


async def test_a_suspicion_that_is_throttled_writes_nothing_and_counts_because_the_audio_was_received(
    bench: DownloadBench,
) -> None:
    recording_id = await bench.order(seconds=600, recording_seconds=31)
    bench.fault("429", endpoint="recording.get", retry_after=90)

    row = await bench.take(recording_id)

    assert (row["audio_state"], row["audio_attempts"]) == ("pending", 1)
    assert "its length could not be asked: RingCentral throttles" in row["audio_reason"]
    assert row["audio_due_at"] - datetime.now(UTC) > timedelta(seconds=60)
    assert bench.files() == {}


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [(403, "CMN-408", "RingCentral forbids it (CMN-408)"), (500, "CMN-201", "RingCentral answered 500 (CMN-201)")],
)
async def test_a_suspicion_that_nobody_answers_is_kept_aside_with_both_reasons(
    bench: DownloadBench, status: int, code: str, reason: str
) -> None:
    recording_id = await bench.order(seconds=600, recording_seconds=31)
    bench.fault("status", endpoint="recording.get", status=status, code=code)

    row = await bench.take(recording_id)

    assert (row["audio_state"], row["audio_attempts"]) == ("quarantined", 1)
    assert f"the call took 600.0 s; its length could not be asked: {reason}" in row["audio_reason"]
    assert bench.files() == {row["audio_object"]: row["audio_bytes"]}
