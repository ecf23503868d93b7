"""The watchdog of a download, and the gate that spares RingCentral while our storage is away."""

import asyncio
from pathlib import Path

import pytest

from common.storage.file_system import FileStorage
from services.downloader import storage_gate
from services.downloader.storage_gate import StorageAway, StorageGate
from services.downloader.throughput import LEAST, WINDOW, Throughput, TooSlow


def test_a_trickle_is_ended_after_one_window() -> None:
    throughput = Throughput()
    for _ in range(int(WINDOW) - 1):
        throughput.came(LEAST - 1, 1.0)

    with pytest.raises(TooSlow):
        throughput.came(LEAST - 1, 1.0)


def test_a_connection_that_goes_on_after_a_trickle_is_given_a_window_of_its_own() -> None:
    throughput = Throughput()
    with pytest.raises(TooSlow):
        throughput.came(1, WINDOW)

    throughput.came(LEAST, 1.0)


def test_a_slow_but_steady_line_is_not() -> None:
    throughput = Throughput()

    for _ in range(int(10 * WINDOW)):
        throughput.came(LEAST, 1.0)


def test_time_that_the_storage_takes_is_not_held_against_the_source() -> None:
    throughput = Throughput()

    for _ in range(100_000):
        throughput.came(1, 0.0)


def test_a_fast_begin_does_not_excuse_a_trickle_after_it() -> None:
    throughput = Throughput()
    throughput.came(10**9, WINDOW)

    with pytest.raises(TooSlow):
        throughput.came(1, WINDOW)


async def test_the_gate_is_open_until_the_storage_fails_and_again_when_it_works(tmp_path: Path) -> None:
    folder = tmp_path / "audio"
    gate = StorageGate(FileStorage(folder))
    await gate.pass_through()
    assert not folder.exists(), "nobody probes what never failed"

    gate.close("The storage failed.")
    await gate.pass_through()

    assert folder.exists()
    assert [path for path in folder.rglob("*") if path.is_file()] == []


async def test_the_gate_is_shut_while_the_storage_is_away_and_probes_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "audio"
    folder.write_text("a file stands in the way")
    gate = StorageGate(FileStorage(folder))
    gate.close("The storage failed.")

    outcomes = await asyncio.gather(*(gate.pass_through() for _ in range(4)), return_exceptions=True)
    folder.unlink()
    with pytest.raises(StorageAway, match="a file stands where a folder should be"):
        await gate.pass_through()  # it was probed just now.
    monkeypatch.setattr(storage_gate, "_PROBE_EVERY", 0.0)
    gate._again_at = 0.0
    await gate.pass_through()

    assert [type(outcome) for outcome in outcomes] == [StorageAway] * 4


async def test_a_storage_on_a_thin_line_is_not_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(_storage: FileStorage) -> list[str]:
        """Takes three minutes for a part of 5 MiB, by the loop's clock, as at 30 KB/s."""
        loop = asyncio.get_running_loop()
        now = loop.time
        monkeypatch.setattr(loop, "time", lambda: now() + 175.0)  # what timeouts go by
        await asyncio.sleep(0.001)  # what was due within that time is done before.
        return []

    monkeypatch.setattr(FileStorage, "check", check)
    gate = StorageGate(FileStorage(tmp_path))
    gate.close("The storage failed.")

    await gate.pass_through()
