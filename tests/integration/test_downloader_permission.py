"""While a permission is missing, RingCentral is asked for audio once an hour, not once for every recording."""

from datetime import UTC, datetime, timedelta

import pytest

from services.downloader import permission_gate
from tests.integration.download_bench import DownloadBench


def permit(bench: DownloadBench, *, permitted: bool) -> None:
    for user in bench.simulator.world.tokens.users.values():
        change = user.permissions.update if permitted else user.permissions.difference_update
        change({"ReadCompanyCallRecording", "ReadCallRecording", "ReadCallRecordings", "ReadCompanyCallRecordings"})


async def test_what_one_recording_was_refused_for_is_not_asked_for_another_until_the_probe_is_due(
    bench: DownloadBench,
) -> None:
    ids = [await bench.order() for _ in range(5)]
    permit(bench, permitted=False)

    refused, *others = [await bench.take(one) for one in ids]

    assert bench.asked() == 1
    for row in (refused, *others):
        assert (row["audio_state"], row["audio_attempts"]) == ("pending", 0)
        assert row["audio_reason"] == refused["audio_reason"]
        assert "ermission" in row["audio_reason"]
        assert timedelta(minutes=50) < row["audio_due_at"] - datetime.now(UTC) <= timedelta(hours=1)

    # When its time has come while the permission is still missing, one asks
    bench.downloads.permission._again_at = 0.0
    for one in ids[:2]:
        await bench.take_again(one)
    assert bench.asked() == 2

    # When it is granted, the next probe lets everybody through
    permit(bench, permitted=True)
    bench.downloads.permission._again_at = 0.0
    for one in ids:
        assert (await bench.take_again(one))["audio_state"] == "stored"


async def test_a_probe_that_is_not_answered_is_left_to_the_next(bench: DownloadBench) -> None:
    ids = [await bench.order() for _ in range(3)]
    permit(bench, permitted=False)
    await bench.take(ids[0])
    permit(bench, permitted=True)
    bench.downloads.permission._again_at = 0.0
    bench.fault("drop")

    lost, row = await bench.take(ids[1]), await bench.take(ids[2])

    assert (lost["audio_attempts"], row["audio_state"]) == (1, "stored")


async def test_a_refusal_that_names_no_permission_keeps_no_other_recording_waiting(bench: DownloadBench) -> None:
    ids = [await bench.order() for _ in range(2)]
    bench.fault("status", status=403, code="CMN-408")

    refused, row = await bench.take(ids[0]), await bench.take(ids[1])

    assert (refused["audio_state"], row["audio_state"]) == ("pending", "stored")


async def test_a_permission_that_is_missing_for_one_recording_keeps_no_other_waiting(bench: DownloadBench) -> None:
    heard, forbidden, other = [await bench.order() for _ in range(3)]
    await bench.take(heard)
    permit(bench, permitted=False)
    refused = await bench.take(forbidden)
    permit(bench, permitted=True)

    row = await bench.take(other)

    assert "ermission" in refused["audio_reason"]
    assert row["audio_state"] == "stored"


async def test_a_permission_that_was_taken_away_is_noticed_after_some_refusals_in_a_row(
    bench: DownloadBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permission_gate, "_IN_A_ROW", 2)
    heard, *others = [await bench.order() for _ in range(4)]
    await bench.take(heard)
    permit(bench, permitted=False)

    rows = [await bench.take(one) for one in others]

    assert {row["audio_state"] for row in rows} == {"pending"}
    assert bench.asked() == 3
