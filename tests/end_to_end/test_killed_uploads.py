"""Downloaders that are killed again and again, at any moment of an upload, leave nothing open in the end."""

import asyncio
import os
import random

import pytest

from common.storage import trials
from common.storage.interface import Storage
from demo.pipeline import Pipeline
from tests.end_to_end.facts import Rows, sha256_of, storage_of, truth_of, until

#: Downloaders at a time, each with a recording of its own, and how often all are killed: 20 kills.
AT_ONCE, ROUNDS = 5, 4
#: Bytes that take three parts, and about two seconds.
RECORDING = {"bytes": 12_000_000}
SLOW = {"endpoint": "recording.content", "kind": "slow", "bytes_per_second": 6_000_000, "times": AT_ONCE * ROUNDS}
#: Seconds after its claim in which a downloader is killed: as long as a whole attempt, so that no moment is spared.
LONGEST_LIFE = 2.0
#: What draws the moments: another each time, and printed, so that a failure can be run again with its own.
SEED = "KILLED_UPLOADS_SEED"
#: Everything that is not stored is to be fetched now, as when the claims of the dead have run out.
LET_GO = """
UPDATE recordings SET audio_claimed_until = CASE WHEN audio_claim IS NULL THEN NULL ELSE clock_timestamp() END,
    audio_due_at = clock_timestamp() - interval '1 hour', audio_announced_at = NULL
WHERE audio_state = 'pending'
"""
PENDING = "SELECT count(*) FROM recordings WHERE audio_state = 'pending'"
CLAIMED = "SELECT count(*) FROM recordings WHERE audio_claimed_until > clock_timestamp()"
STORED = "SELECT count(*) FROM recordings WHERE audio_state = 'stored'"


@pytest.mark.timeout(600)  # twenty processes start one after the other, on whatever machine this is.
@pytest.mark.parametrize("pipeline", ["s3", "moto"], indirect=True)
async def test_twenty_kills_at_random_moments_leave_whole_objects_and_no_open_upload(
    pipeline: Pipeline, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = os.environ.get(SEED) or str(random.SystemRandom().randrange(2**32))
    print(f"{SEED}={seed}")  # noqa: T201 - pytest shows it when the test fails.
    moments = random.Random(seed)
    pipeline.start_simulator(recordings=0)
    pipeline.ask_simulator("/simulator/faults", SLOW)
    for _ in range(AT_ONCE):
        pipeline.ask_simulator("/simulator/recordings", RECORDING)
    pipeline.start("poller")
    await until(lambda: rows.ask(f"SELECT ({PENDING}) = {AT_ONCE}"), what="rows to fetch")

    async with storage_of(pipeline) as storage:
        left = [await _killed_at_random_moments(pipeline, rows, storage, moments) for _ in range(ROUNDS)]
        assert sum(left) > 0  # or nothing was put to the test.

        await rows.ask(LET_GO)
        pipeline.start("downloader", "the last")
        await until(lambda: rows.ask(f"SELECT ({STORED}) = {AT_ONCE}"), what="all stored")

        # What a start was killed with while it tried the storage is swept when it is an hour old; here, at once.
        monkeypatch.setattr(trials, "LEFT_AFTER", 0.0)
        await trials.sweep_trials(storage)
        assert await storage.open_uploads() == []
        for row in await rows.all("SELECT * FROM recordings"):
            truth = truth_of(pipeline, row["source_record_id"])
            assert (row["audio_bytes"], row["audio_sha256"]) == (truth["bytes"], truth["sha256"])
            assert await sha256_of(storage, row["audio_object"]) == truth["sha256"]


async def _killed_at_random_moments(pipeline: Pipeline, rows: Rows, storage: Storage, moments: random.Random) -> int:
    """Let downloaders begin, kill each at a moment of its own, and say how many uploads they leave open."""
    await rows.ask(LET_GO)
    names = [f"downloader {number}" for number in range(AT_ONCE)]
    for name in names:
        pipeline.launch("downloader", name, DOWNLOAD_CONCURRENCY="1")
    await until(lambda: rows.ask(f"SELECT ({CLAIMED}) * 2 >= ({PENDING})"), what="half of the claims")

    async def kill(name: str, moment: float) -> None:
        await asyncio.sleep(moment)  # chance is the point: there is no fact to wait for.
        pipeline.kill(name)

    await asyncio.gather(*(kill(name, moments.uniform(0, LONGEST_LIFE)) for name in names))
    return len(await storage.open_uploads())
