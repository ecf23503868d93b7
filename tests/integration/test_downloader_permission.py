"""While a permission is missing, RingCentral is asked for audio once an hour, not once for every recording."""

from datetime import UTC, datetime, timedelta

import pytest

from services.downloader import permission_gate
from tests.integration.download_bench import DownloadBench, Row


def permit(bench: DownloadBench, *, permitted: bool) -> None:
    for user in bench.simulator.world.tokens.users.values():
        change = user.permissions.update if permitted else user.permissions.difference_update
        change({"ReadCompanyCallRecording", "ReadCallRecording", "ReadCallRecordings", "ReadCompanyCallRecordings"})


def shut_at_once(bench: DownloadBench) -> None:
    """The next refusal is the last of some in a row."""
    bench.downloads.permission._left = 1


async def test_what_one_recording_was_refused_for_is_not_asked_for_another_until_the_probe_is_due(
    bench: DownloadBench,
) -> None:
    ids = [await bench.order() for _ in range(5)]
    shut_at_once(bench)
    permit(bench, permitted=False)

    refused, *others = [await bench.take(one) for one in ids]

    assert bench.asked() == 1
    for row in (refused, *others):
        assert (row["audio_state"], row["audio_attempts"]) == ("pending", 0)
        assert row["audio_reason"].endswith(refused["audio_reason"])
        assert "ermission" in row["audio_reason"]
        assert timedelta(minutes=50) < row["audio_due_at"] - datetime.now(UTC) <= timedelta(hours=1)

    # When its time has come while the permission is still missing, one asks
    bench.downloads.permission._again_at = 0.0
    for one in ids[1:3]:
        await bench.take_again(one)
    assert bench.asked() == 2

    # When it is granted, the next probe lets everybody through
    permit(bench, permitted=True)
    bench.downloads.permission._again_at = 0.0
    for one in ids:
        assert (await bench.take_again(one))["audio_state"] == "stored"


async def test_a_probe_that_is_not_answered_is_left_to_the_next(bench: DownloadBench) -> None:
    ids = [await bench.order() for _ in range(3)]
    shut_at_once(bench)
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


async def test_recordings_that_were_refused_before_keep_no_other_waiting_when_they_are_refused_again(
    bench: DownloadBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permission_gate, "_IN_A_ROW", 3)
    heard, first, second, between, other = [await bench.order() for _ in range(5)]
    await bench.take(heard)
    permit(bench, permitted=False)
    for one in (first, second):
        await bench.take(one)
    permit(bench, permitted=True)
    await bench.take(between)

    # When they fall due again, together, an hour later and another
    permit(bench, permitted=False)
    for one in (first, second, first, second):
        await bench.take_again(one)
    permit(bench, permitted=True)

    assert bench.asked() == 8
    assert (await bench.take(other))["audio_state"] == "stored"


async def test_recordings_that_shut_the_gate_do_not_shut_it_again(
    bench: DownloadBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given two recordings whose refusals shut it, and which fell due while it was shut
    monkeypatch.setattr(permission_gate, "_IN_A_ROW", 2)
    heard, first, second, other = [await bench.order() for _ in range(4)]
    await bench.take(heard)
    permit(bench, permitted=False)
    for one in (first, second, first, second):
        await bench.take_again(one)
    assert bench.asked() == 3

    # When another one has opened it, and they are refused again
    permit(bench, permitted=True)
    bench.downloads.permission._again_at = 0.0
    await bench.take_again(heard)
    await bench.take(other)
    permit(bench, permitted=False)
    for one in (first, second):
        await bench.take_again(one)
    permit(bench, permitted=True)

    # Then it stays open
    assert bench.asked() == 6
    assert (await bench.take_again(first))["audio_state"] == "stored"


async def test_a_probe_for_a_recording_that_was_refused_before_is_left_to_the_next(bench: DownloadBench) -> None:
    forbidden, other = [await bench.order() for _ in range(2)]
    shut_at_once(bench)
    permit(bench, permitted=False)
    for one in (forbidden, other):
        await bench.take(one)
    bench.downloads.permission._again_at = 0.0

    await bench.take_again(forbidden)
    permit(bench, permitted=True)

    assert (await bench.take_again(other))["audio_state"] == "stored"


async def test_what_no_user_may_hear_is_believed_of_a_recording_that_was_refused_before(bench: DownloadBench) -> None:
    ids = [await bench.order() for _ in range(2)]
    bench.fault("status", status=403, code="CMN-401", times=2)
    await bench.take(ids[0])
    bench.downloads.permission._again_at = 0.0

    for one in ids:
        await bench.take_again(one)

    assert bench.asked() == 2


async def test_what_is_refused_again_and_again_is_asked_for_daily_until_it_is_kept_no_longer(
    bench: DownloadBench,
) -> None:
    young, old, quarantined, gone = [await bench.order(began=timedelta(days=days)) for days in (0, 3, 3, 92)]
    bench.fault("truncated")
    assert (await bench.take(quarantined))["audio_state"] == "quarantined"
    permit(bench, permitted=False)
    first = {one: due_in(await bench.take(one)) for one in (young, old)}

    again = {one: await bench.take_again(one) for one in (young, old, quarantined)}
    never = await bench.take(gone)

    assert {*first.values()} == {timedelta(hours=1)}
    assert {one: due_in(row) for one, row in again.items()} == {
        young: timedelta(hours=1),
        old: timedelta(days=1),
        quarantined: timedelta(days=1),
    }
    assert [row["audio_attempts"] for row in again.values()] == [0, 0, 1]
    assert never["audio_cell"] == "unavailable: no_permission"
    assert never["audio_reason"].endswith("the call is older than the 90 days that RingCentral keeps recordings")

    # When the permission is granted
    permit(bench, permitted=True)

    assert (await bench.take_again(old))["audio_state"] == "stored"


def due_in(row: Row) -> timedelta:
    """To the minute."""
    return timedelta(minutes=round((row["audio_due_at"] - datetime.now(UTC)) / timedelta(minutes=1)))
