"""A storage that takes minutes to come back is waited for; nobody takes those who wait for stalled."""

from types import SimpleNamespace

import pytest

from common.messages import DownloadRecording
from common.storage.file_system import FileStorage
from common.telemetry import health
from common.telemetry.health import STALLED_AFTER_SECONDS, Work
from services.downloader.handle import handle
from tests.integration.download_bench import ACCOUNT, DownloadBench


async def test_a_slow_probe_and_a_slow_abort_after_it_are_no_stall(
    bench: DownloadBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording_id = await bench.order()
    await bench._pool.execute("UPDATE recordings SET audio_object = $1", f"{ACCOUNT}/left.mp3")
    bench.downloads.gate.close("The storage failed.")
    now, stalled = [0.0], []
    monkeypatch.setattr(health, "time", SimpleNamespace(monotonic=lambda: now[0]))
    work = Work()

    async def slow_check(_storage: FileStorage) -> list[str]:
        now[0] += STALLED_AFTER_SECONDS + 1
        stalled.append(("probe", work.stalled()))
        return []

    async def slow_abort(_storage: FileStorage, _name: str, _noted: str | None) -> None:
        now[0] += STALLED_AFTER_SECONDS - 1
        stalled.append(("abort", work.stalled()))

    monkeypatch.setattr(FileStorage, "check", slow_check)
    monkeypatch.setattr(FileStorage, "abort_left", slow_abort)
    await handle(bench.downloads, [DownloadRecording(ACCOUNT, "pbx", recording_id)], work)

    assert stalled == [("probe", False), ("abort", False)]
