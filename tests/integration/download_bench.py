"""One job at a time: a simulator, a database, a folder as storage, and a downloader between them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from common.clock import SystemClock
from common.database.pool import Pool
from common.database.recordings import Said, bring_forward, merge_sayings
from common.merge import Saying
from common.messages import DownloadRecording
from common.ringcentral.client import open_ringcentral
from common.storage.open import open_storage
from common.telemetry.health import Work
from demo.simulated_account import settings_for
from services.downloader.attempt import Downloads
from services.downloader.handle import handle
from services.downloader.storage_gate import StorageGate
from simulator import Simulator, SimulatorOptions
from simulator.orders import order_calls

ACCOUNT = "700100200"
Row = dict[str, Any]


class DownloadBench:
    """A simulator, a database and a folder, with a downloader between them."""

    def __init__(self, simulator: Simulator, pool: Pool, downloads: Downloads, folder: Path) -> None:
        self.simulator = simulator
        self.folder = folder
        self._pool = pool
        self.downloads = downloads

    async def order(self, *, insights_ms: int | None = None, began: timedelta | None = None, **call: Any) -> str:
        """A call of a minute, as ordered, of which the call log has told; returns the recording's id."""
        world = self.simulator.world
        made = await order_calls(world, {"appears_after": 0, "audio_after": 0, "insights_after": None, **call})
        recording_id: str = made["calls"][0]["recordings"][0]
        found = world.company.calls_by_id[made["calls"][0]["id"]]
        started = datetime.now(UTC) - (began or timedelta(seconds=60))
        facts = {
            "audio_content_uri": f"{self.simulator.url}/restapi/v1.0/account/~/recording/{recording_id}/content",
            "duration_ms": found.duration_ms,
            "started_at": started.isoformat(),
        }
        said = [Said(("pbx", recording_id), Saying("call_log", "1", facts))]
        if insights_ms is not None:
            said.append(Said(("pbx", recording_id), Saying("insights", "1", {"duration_ms": insights_ms})))
        async with self._pool.transaction() as connection:
            await merge_sayings(connection, ACCOUNT, said, datetime.now(UTC) - timedelta(seconds=1))
        return recording_id

    async def take(self, recording_id: str) -> Row:
        """One job for it; what the row says then."""
        await handle(self.downloads, [DownloadRecording(ACCOUNT, "pbx", recording_id)], Work())
        return dict(
            await self._pool.fetchrow("SELECT * FROM recordings WHERE source_record_id = $1", recording_id) or {}
        )

    async def take_again(self, recording_id: str, failures: dict[str, int] | None = None) -> Row:
        """The same once it is due again, or after so many failures of each kind."""
        await self._pool.execute("UPDATE recordings SET audio_due_at = now()")
        if failures is not None:
            counts = "UPDATE recordings SET audio_failures = $1, audio_attempts = $2"
            await self._pool.execute(counts, failures, sum(failures.values()))
        return await self.take(recording_id)

    async def bring_forward(self, recording_id: str) -> None:
        """What insights that come do for its download."""
        async with self._pool.transaction() as connection:
            await bring_forward(connection, ACCOUNT, [("pbx", recording_id)], datetime.now(UTC))

    def fault(self, kind: str, endpoint: str = "recording.content", **parameters: Any) -> None:
        self.simulator.world.faults.add({"endpoint": endpoint, "kind": kind, **parameters})

    def asked(self, endpoint: str = "recording.content") -> int:
        return self.simulator.world.requests[endpoint]

    def files(self) -> dict[str, int]:
        """The size of each file in the storage."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.stat().st_size for path in found}

    async def true_sha256(self, recording_id: str) -> str:
        truth = await self.simulator.truth()
        found: str = next(one["sha256"] for one in truth["recordings"] if one["id"] == recording_id)
        return found


@asynccontextmanager
async def download_bench(pool: Pool, folder: Path, **options: Any) -> AsyncIterator[DownloadBench]:
    """The options are the simulator's."""
    company = SimulatorOptions(recordings=0, span=60, history=6000, elapsed=6000, speed=300, **options)
    async with (
        Simulator(company) as simulator,
        open_storage(folder.as_uri()) as storage,
        open_ringcentral(settings_for(simulator), pool, SystemClock()) as client,
    ):
        downloads = Downloads(pool, client, storage, SystemClock(), StorageGate(storage))
        yield DownloadBench(simulator, pool, downloads, folder)
