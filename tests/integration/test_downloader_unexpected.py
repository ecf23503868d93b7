"""An error that nobody expects counts as an attempt on the row, also when it comes before the row is claimed."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from common.amqp.consumer import Consumption, consume
from common.amqp.dead_letter_reading import look_through
from common.amqp.dead_letters import DeadLetter
from common.amqp.publisher import open_publisher
from common.clock import SystemClock
from common.database.pool import DatabaseAway, Pool
from common.database.recordings import Said, merge_sayings
from common.merge import Saying
from common.messages import DownloadRecording
from common.ringcentral.client import open_ringcentral
from common.storage.open import open_storage
from common.telemetry.health import Health, Work
from demo.simulated_account import settings_for
from private_servers.rabbitmq import RabbitMQ
from services.downloader import claim
from services.downloader.attempt import Downloads
from services.downloader.claim import Claim, ClaimLost, count_unclaimed_failure, take_claim
from services.downloader.handle import handle
from services.downloader.schedule import STEPS
from services.downloader.storage_gate import StorageGate
from simulator import Simulator, SimulatorOptions

COMPANY = SimulatorOptions(recordings=1, span=60, history=6000, elapsed=6000, speed=300, seed=5)
CLOCK = SystemClock()
Row = dict[str, Any]

#: Postgres refuses a row that meets a condition, with an error that nobody has heard of and that quotes the row.
REFUSE = """
CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'not with %', NEW.to_name; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON recordings FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION refuse();
"""
CLAIMS = REFUSE.format(condition="NEW.audio_claim IS DISTINCT FROM OLD.audio_claim AND NEW.audio_claim IS NOT NULL")


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(COMPANY) as running:
        yield running


@pytest.fixture
async def job(simulator: Simulator, pool: Pool) -> DownloadRecording:
    """A job for a recording that is due."""
    (found,) = (await simulator.truth())["recordings"]
    uri = f"{simulator.url}/restapi/v1.0/account/700100200/recording/{found['id']}/content"
    saying = Saying("call_log", "1", {"audio_content_uri": uri, "to_name": "Somebody"})
    async with pool.transaction() as connection:
        said = [Said(("pbx", found["id"]), saying)]
        await merge_sayings(connection, "700100200", said, datetime.now(UTC) - timedelta(seconds=1))
    return DownloadRecording("700100200", "pbx", found["id"])


@pytest.fixture
async def downloads(simulator: Simulator, pool: Pool, tmp_path: Path) -> AsyncIterator[Downloads]:
    async with (
        open_storage(tmp_path.as_uri()) as storage,
        open_ringcentral(settings_for(simulator), pool, CLOCK) as client,
    ):
        yield Downloads(pool, client, storage, CLOCK, StorageGate(storage))


async def the_row(pool: Pool) -> Row:
    return dict(await pool.fetchrow("SELECT * FROM recordings") or {})


async def test_a_claim_that_fails_counts_with_its_reason_and_heals_once_its_cause_is_mended(
    downloads: Downloads, pool: Pool, job: DownloadRecording
) -> None:
    await pool.execute(CLAIMS)

    with pytest.raises(asyncpg.RaiseError):
        await handle(downloads, [job], Work())

    row = await the_row(pool)
    assert (row["audio_state"], row["audio_attempts"]) == ("pending", 1)
    assert row["audio_reason"] == "unexpected RaiseError"
    assert timedelta(seconds=5) < row["audio_due_at"] - datetime.now(UTC) <= timedelta(seconds=10)
    assert (row["audio_claim"], row["audio_announced_at"]) == (None, None)

    await pool.execute("DROP TRIGGER refuse ON recordings")
    await pool.execute("UPDATE recordings SET audio_due_at = now() - interval '1 second'")
    await handle(downloads, [job], Work())

    row = await the_row(pool)
    assert (row["audio_state"], row["audio_attempts"], row["audio_reason"]) == ("stored", 2, None)


async def test_a_claim_that_fails_right_after_it_was_taken_is_given_up(
    downloads: Downloads, pool: Pool, job: DownloadRecording, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(**_columns: object) -> None:
        raise TypeError

    monkeypatch.setattr(claim, "Claim", unreadable)

    with pytest.raises(TypeError):
        await handle(downloads, [job], Work())

    row = await the_row(pool)
    assert (row["audio_attempts"], row["audio_reason"]) == (1, "unexpected TypeError")
    assert (row["audio_claim"], row["audio_claimed_until"]) == (None, None)


async def test_a_renewal_that_fails_in_a_way_that_nobody_expects_is_told_and_loses_the_claim(
    pool: Pool, job: DownloadRecording, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreadable(_claim: Claim) -> None:
        raise TypeError

    taken = await take_claim(pool, CLOCK, job, uuid.uuid4())
    assert taken is not None
    monkeypatch.setattr(Claim, "_renew", unreadable)
    monkeypatch.setattr(claim, "RENEW_EVERY", 0.0)

    with capture_logs() as logs, pytest.raises(ClaimLost):
        async with taken.held(600):
            await asyncio.Event().wait()

    assert [line["event"] for line in logs] == ["claim_keeper_failed"]


async def test_an_outcome_that_postgres_refuses_counts_as_well(
    downloads: Downloads, pool: Pool, job: DownloadRecording
) -> None:
    await pool.execute(REFUSE.format(condition="NEW.audio_state = 'stored'"))

    with pytest.raises(asyncpg.RaiseError):
        await handle(downloads, [job], Work())

    row = await the_row(pool)
    assert (row["audio_state"], row["audio_attempts"]) == ("pending", 1)
    assert row["audio_reason"] == "unexpected RaiseError"
    assert (row["audio_claim"], row["audio_claimed_until"]) == (None, None)


async def test_the_last_step_that_fails_so_is_the_end(downloads: Downloads, pool: Pool, job: DownloadRecording) -> None:
    counts = "UPDATE recordings SET audio_attempts = $2, audio_failures = $1"
    await pool.execute(counts, {"source_failed": len(STEPS["source_failed"])}, len(STEPS["source_failed"]))
    await pool.execute(CLAIMS)

    with pytest.raises(asyncpg.RaiseError):
        await handle(downloads, [job], Work())

    row = await the_row(pool)
    assert (row["audio_state"], row["audio_due_at"]) == ("failed", None)
    assert row["audio_attempts"] == len(STEPS["source_failed"]) + 1


async def test_it_is_counted_as_a_failure_of_the_source_whatever_else_went_wrong_before(
    downloads: Downloads, pool: Pool, job: DownloadRecording
) -> None:
    await pool.execute("UPDATE recordings SET audio_attempts = 12, audio_failures = $1", {"not_ready": 9})
    await pool.execute(CLAIMS)

    with pytest.raises(asyncpg.RaiseError):
        await handle(downloads, [job], Work())

    row = await the_row(pool)
    assert (row["audio_state"], row["audio_attempts"]) == ("pending", 13)
    assert row["audio_failures"] == {"not_ready": 9, "source_failed": 1}
    assert timedelta(seconds=5) < row["audio_due_at"] - datetime.now(UTC) <= timedelta(seconds=10)


async def test_what_others_hold_or_have_done_is_not_counted(pool: Pool, job: DownloadRecording) -> None:
    assert await take_claim(pool, CLOCK, job, uuid.uuid4()) is not None
    held = await the_row(pool)
    assert await count_unclaimed_failure(pool, CLOCK, job, uuid.uuid4(), "why") is None
    assert await the_row(pool) == held

    await pool.execute("UPDATE recordings SET audio_state = 'erased', audio_claim = NULL, audio_claimed_until = NULL")
    assert await count_unclaimed_failure(pool, CLOCK, job, uuid.uuid4(), "why") is None


async def test_a_row_that_postgres_lets_nobody_write_leaves_the_first_error_as_the_reason(
    downloads: Downloads, pool: Pool, job: DownloadRecording, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(**_columns: object) -> None:
        raise TypeError

    await pool.execute(CLAIMS.replace("IS NOT NULL", "IS NULL"))
    monkeypatch.setattr(claim, "Claim", unreadable)

    with pytest.raises(TypeError):
        await handle(downloads, [job], Work())


async def test_its_message_lies_among_the_dead_letters_once_with_the_reason_and_does_not_come_again(
    downloads: Downloads, pool: Pool, job: DownloadRecording, rabbitmq: RabbitMQ, eventually: Any
) -> None:
    await pool.execute(CLAIMS)
    was_due_at = (await the_row(pool))["audio_due_at"]
    dead: list[DeadLetter] = []
    stop = asyncio.Event()

    async def counted() -> bool:
        dead.clear()
        await look_through(rabbitmq.url, job.QUEUE, dead.append)
        return bool(dead)

    async with open_publisher(rabbitmq.url, "test") as publisher:
        await publisher.wait_connected()
        consumption = Consumption(DownloadRecording, partial(handle, downloads), away=(DatabaseAway,))
        task = asyncio.create_task(consume(rabbitmq.url, "test", consumption, publisher, Health(), stop))
        await publisher.publish(job.QUEUE, job.to_wire())
        await eventually(counted)

        # When the same job comes again before the row is due, however long that took
        assert (await the_row(pool))["audio_due_at"] > was_due_at
        await pool.execute("UPDATE recordings SET audio_due_at = now() + interval '1 hour'")
        await publisher.publish(job.QUEUE, job.to_wire())
        await eventually(partial(_is_taken, publisher, job.QUEUE))
        stop.set()
        await task

    assert await counted()
    assert [(letter.cause, letter.times) for letter in dead] == [("RaiseError", 1)]
    assert (await the_row(pool))["audio_attempts"] == 1


async def _is_taken(publisher: Any, queue: str) -> bool:
    return bool(await publisher.waiting(queue) == 0)
