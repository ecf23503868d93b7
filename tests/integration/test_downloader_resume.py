"""Lost connections in the middle of an audio: the download goes on, begins anew, or is left to the schedule."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.ringcentral.budget import Budget, Grant, Group, Priority
from services.downloader import fetch
from services.downloader.throughput import Throughput
from tests.integration.download_bench import DownloadBench


@pytest.mark.parametrize("bench", [{"audio_etag": "strong"}], indirect=True)
@pytest.mark.parametrize("length", [True, False])
async def test_a_lost_connection_goes_on_behind_what_was_received(bench: DownloadBench, length: bool) -> None:
    recording_id = await bench.order(seconds=600)
    bench.fault("cut", after_bytes=1_000_000, length=length)
    bench.fault("cut", after_bytes=500_000, length=length)

    row = await bench.take(recording_id)

    assert (row["audio_state"], row["audio_attempts"]) == ("stored", 1)
    assert row["audio_sha256"] == await bench.true_sha256(recording_id)
    assert bench.asked() == 3


@pytest.mark.parametrize("bench", [{"audio_etag": "strong"}], indirect=True)
async def test_a_part_that_the_source_sends_on_its_own_is_completed(bench: DownloadBench) -> None:
    recording_id = await bench.order(seconds=600)
    bench.fault("partial", bytes=1_000_000)

    row = await bench.take(recording_id)

    assert row["audio_sha256"] == await bench.true_sha256(recording_id)
    assert bench.asked() == 2


@pytest.mark.parametrize("bench", [{"audio_etag": "strong"}], indirect=True)
async def test_a_rest_that_does_not_repeat_the_etag_may_be_of_other_audio(bench: DownloadBench) -> None:
    recording_id = await bench.order(seconds=600)
    bench.fault("cut", after_bytes=500_000)
    bench.fault("partial", bytes=500_000, etag=False)

    row = await bench.take(recording_id)

    assert (row["audio_state"], bench.asked(), bench.files()) == ("pending", 2, {})
    assert row["audio_reason"] == "a part was sent without its ETag, perhaps of other audio"


async def test_a_part_that_nobody_asked_for_and_without_an_etag_is_no_whole_and_the_row_says_so(
    bench: DownloadBench,
) -> None:
    recording_id = await bench.order(seconds=600)
    bench.fault("partial", bytes=500_000)

    row = await bench.take(recording_id)

    assert (row["audio_state"], bench.asked(), bench.files()) == ("pending", 1, {})
    assert row["audio_reason"] == "a part of the audio came, 500000 bytes, and no ETag by which to ask for the rest"


@pytest.mark.parametrize("bench", [{"audio_etag": "strong"}], indirect=True)
async def test_the_total_that_a_part_tells_is_held_against_what_comes(bench: DownloadBench) -> None:
    recording_id = await bench.order(seconds=600)
    bench.fault("cut", after_bytes=500_000, length=False)
    bench.fault("partial", bytes=500_000)

    row = await bench.take(recording_id)

    assert row["audio_sha256"] == await bench.true_sha256(recording_id)
    assert bench.asked() == 3


@pytest.mark.parametrize("bench", [{"audio_etag": "strong"}], indirect=True)
@pytest.mark.parametrize("cut_before", [True, False])
async def test_a_part_of_nobody_knows_how_much_is_never_the_whole(bench: DownloadBench, cut_before: bool) -> None:
    recording_id = await bench.order(seconds=600)
    if cut_before:
        bench.fault("cut", after_bytes=500_000, length=False)
    bench.fault("partial", bytes=500_000, total="*")

    row = await bench.take(recording_id)

    assert (row["audio_state"], bench.files()) == ("pending", {})
    assert row["audio_reason"] == "a part was sent without telling of how much"


@pytest.mark.parametrize("bench", [{"audio_etag": "strong", "audio_ranges": "ignored"}], indirect=True)
async def test_a_source_that_sends_the_whole_again_is_taken_from_the_begin(bench: DownloadBench) -> None:
    recording_id = await bench.order(seconds=600)
    bench.fault("cut", after_bytes=1_500_000)

    row = await bench.take(recording_id)

    assert (row["audio_state"], row["audio_attempts"]) == ("stored", 1)
    assert row["audio_sha256"] == await bench.true_sha256(recording_id)
    assert list(bench.files()) == [row["audio_object"]]
    assert bench.asked() == 2


@pytest.mark.parametrize(
    "bench",
    [{}, {"audio_etag": "weak"}, {"audio_etag": "strong", "audio_ranges": "no"}],
    ids=["no ETag", "a weak ETag", "no ranges"],
    indirect=True,
)
async def test_without_a_strong_validator_a_lost_connection_is_a_failed_attempt(bench: DownloadBench) -> None:
    recording_id = await bench.order()
    bench.fault("cut")

    row = await bench.take(recording_id)

    assert (row["audio_state"], row["audio_attempts"], bench.asked()) == ("pending", 1, 1)
    assert bench.files() == {}


@pytest.mark.parametrize("bench", [{"audio_etag": "strong"}], indirect=True)
@pytest.mark.parametrize("kind", ["range_as_200", "range_shifted"])
async def test_a_reply_to_a_range_that_may_be_anything_ends_the_attempt_and_the_next_is_whole(
    bench: DownloadBench, kind: str
) -> None:
    recording_id = await bench.order()
    bench.fault("cut")
    bench.fault(kind)

    row = await bench.take(recording_id)

    assert (row["audio_state"], row["audio_attempts"], bench.files()) == ("pending", 1, {})
    row = await bench.take_again(recording_id)
    assert row["audio_sha256"] == await bench.true_sha256(recording_id)


@pytest.mark.parametrize("bench", [{"audio_etag": "strong"}], indirect=True)
async def test_a_throttled_resume_is_obeyed_and_counts_because_bytes_were_received(bench: DownloadBench) -> None:
    recording_id = await bench.order()
    bench.fault("cut")
    bench.fault("429", retry_after=90)

    row = await bench.take(recording_id)

    assert (row["audio_state"], row["audio_attempts"], bench.files()) == ("pending", 1, {})
    assert "the rest could not be asked for: RingCentral throttles" in row["audio_reason"]
    assert row["audio_due_at"] - datetime.now(UTC) > timedelta(seconds=60)


@pytest.mark.parametrize("bench", [{"audio_etag": "strong"}], indirect=True)
@pytest.mark.parametrize("fault", [{"kind": "drop"}, {"kind": "status", "status": 503, "retry_after": 0}])
async def test_a_rest_that_gets_no_answer_at_first_is_asked_for_again(
    bench: DownloadBench, fault: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_PAUSE", 0.0)
    recording_id = await bench.order(seconds=600)
    bench.fault("cut", after_bytes=1_000_000)
    bench.fault(**fault)

    row = await bench.take(recording_id)

    assert (row["audio_state"], row["audio_attempts"], bench.asked()) == ("stored", 1, 3)
    assert row["audio_sha256"] == await bench.true_sha256(recording_id)


@pytest.mark.parametrize("bench", [{"audio_etag": "strong"}], indirect=True)
@pytest.mark.parametrize(("fault", "asked"), [({"times": 2}, 3), ({"retry_after": 90}, 2)])
async def test_a_source_in_longer_trouble_is_left_to_the_schedule(
    bench: DownloadBench, fault: dict[str, Any], asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_PAUSE", 0.0)
    recording_id = await bench.order()
    bench.fault("cut")
    bench.fault("status", status=503, **fault)

    row = await bench.take(recording_id)

    assert (row["audio_state"], row["audio_attempts"], bench.asked(), bench.files()) == ("pending", 1, asked, {})
    assert "the rest could not be asked for: RingCentral answered 503" in row["audio_reason"]
    assert round((row["audio_due_at"] - row["updated_at"]).total_seconds()) == fault.get("retry_after", 10)


@pytest.mark.parametrize("bench", [{"audio_etag": "strong"}], indirect=True)
async def test_a_resume_goes_before_all_others(bench: DownloadBench, monkeypatch: pytest.MonkeyPatch) -> None:
    recording_id = await bench.order(seconds=600, recording_seconds=31)
    bench.fault("cut")
    priorities: list[tuple[Group, Priority]] = []
    take = Budget.take

    async def noted(budget: Budget, owners: Sequence[str], group: Group, priority: Priority, **others: float) -> Grant:
        priorities.append((group, priority))
        return await take(budget, owners, group, priority, **others)

    monkeypatch.setattr(Budget, "take", noted)

    row = await bench.take(recording_id)

    assert row["audio_state"] == "stored"
    first, *others = [priority for group, priority in priorities if group is Group.HEAVY]
    assert (first, others) == (Priority.LIVE, [Priority.POLL] * 2)  # the rest, and the metadata.


async def test_a_source_that_trickles_is_left(bench: DownloadBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "Throughput", lambda: Throughput(window=0.3))
    recording_id = await bench.order()
    bench.fault("slow", bytes_per_second=2_000)

    row = await bench.take(recording_id)

    assert (row["audio_state"], row["audio_attempts"], bench.files()) == ("pending", 1, {})
    assert "too slow" in row["audio_reason"]


async def test_a_body_is_read_in_large_pieces_because_each_costs_the_same(bench: DownloadBench) -> None:
    recording_id = await bench.order(seconds=600)
    ask = fetch.ask_for(f"/restapi/v1.0/account/~/recording/{recording_id}/content", Priority.LIVE, {})

    async with bench.downloads.client.stream(ask) as answer:
        sizes = [len(chunk) async for chunk in answer.aiter_raw()]

    assert max(sizes) > 64 * 1024
