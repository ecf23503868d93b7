"""Postgres goes away between the object and the row: what was fetched is not fetched again if it is back in time."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from common.database.migrate import migrate
from common.database.pool import DatabaseAway, Pool, open_pool
from common.database.statements import statements
from common.messages import DownloadRecording
from common.storage.file_system import FileStorage
from common.storage.interface import ObjectFacts
from private_servers.postgres import Postgres
from services.downloader import claim
from tests.integration.download_bench import ACCOUNT, DownloadBench, download_bench


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A server of this module's own, because it is hurt."""
    with Postgres() as server:
        yield server


@pytest.fixture
async def bench(postgres: Postgres, tmp_path: Path) -> AsyncIterator[DownloadBench]:
    url = postgres.create_database("downloads")
    await migrate(url)
    async with open_pool(url, "test") as pool, download_bench(pool, tmp_path / "audio") as opened:
        yield opened
    postgres.drop_database("downloads")


@pytest.fixture
def killed_after_the_write(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """The object is visible and was looked at; then there is no Postgres."""
    look = FileStorage.head

    async def look_and_kill(storage: FileStorage, name: str) -> ObjectFacts:
        facts = await look(storage, name)
        await asyncio.to_thread(postgres.kill)
        monkeypatch.setattr(FileStorage, "head", look)
        return facts

    monkeypatch.setattr(FileStorage, "head", look_and_kill)


async def start_once_it_is_missed(postgres: Postgres, lines: list[EventDict], eventually: Any) -> None:
    async def missed() -> bool:
        return any(line["event"] == "claim_waits" for line in lines)

    await eventually(missed)
    await asyncio.to_thread(postgres.start)


@pytest.mark.parametrize("statement", ["fix_object", "note_upload", "renew_claim"])
@pytest.mark.parametrize("answered", [True, False], ids=["answer lost", "not asked"])
async def test_audio_in_hand_outlives_a_short_absence_of_the_database(
    bench: DownloadBench, statement: str, answered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "_ONCE_MORE_AFTER", 0.0)
    recording_id = await bench.order()
    fetchval, missed = Pool.fetchval, statements("recordings")[statement]

    async def away_once(pool: Pool, asked: str, *values: object) -> Any:
        if asked == missed:
            monkeypatch.setattr(Pool, "fetchval", fetchval)
            if answered:
                await fetchval(pool, asked, *values)
            raise DatabaseAway("ConnectionDoesNotExistError")
        return await fetchval(pool, asked, *values)

    monkeypatch.setattr(Pool, "fetchval", away_once)
    row = await bench.take(recording_id)

    assert (row["audio_state"], row["audio_attempts"], bench.asked()) == ("stored", 1, 1)


async def claimed(bench: DownloadBench) -> claim.Claim:
    job = DownloadRecording(ACCOUNT, "pbx", await bench.order())
    taken = await claim.take_claim(bench.downloads.pool, bench.downloads.clock, job, uuid.uuid4())
    assert taken is not None
    return taken


async def test_a_renewal_that_had_to_wait_counts_from_the_try_that_succeeded(
    bench: DownloadBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "_ONCE_MORE_AFTER", 0.0)
    taken, fetchval, away_at = await claimed(bench), Pool.fetchval, 0.0

    async def away_once(_pool: Pool, _statement: str, *_values: object) -> Any:
        nonlocal away_at
        away_at = asyncio.get_running_loop().time()
        monkeypatch.setattr(Pool, "fetchval", fetchval)
        raise DatabaseAway("ConnectionDoesNotExistError")

    monkeypatch.setattr(Pool, "fetchval", away_once)
    await taken.check()

    assert taken.lives_until > away_at + claim.CLAIM_SECONDS


async def test_a_renewal_that_is_overtaken_by_a_later_one_does_not_shorten_the_claim(
    bench: DownloadBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, fetchval, later = await claimed(bench), Pool.fetchval, 0.0

    async def overtaken(pool: Pool, statement: str, *values: object) -> Any:
        nonlocal later
        monkeypatch.setattr(Pool, "fetchval", fetchval)
        answer = await fetchval(pool, statement, *values)
        await taken.check()
        later = taken.lives_until
        return answer

    monkeypatch.setattr(Pool, "fetchval", overtaken)
    await taken.check()

    assert taken.lives_until == later > 0


@pytest.mark.usefixtures("killed_after_the_write")
@pytest.mark.parametrize("fault", ["none", "truncated"])
async def test_an_outcome_waits_for_the_database_and_nothing_is_fetched_again(
    bench: DownloadBench, postgres: Postgres, eventually: Any, fault: str
) -> None:
    recording_id = await bench.order()
    if fault != "none":
        bench.fault(fault)

    with capture_logs() as lines:
        row, _ = await asyncio.gather(bench.take(recording_id), start_once_it_is_missed(postgres, lines, eventually))

    assert (row["audio_state"], row["audio_attempts"]) == ("stored" if fault == "none" else "quarantined", 1)
    assert (bench.asked(), bench.files()) == (1, {row["audio_object"]: row["audio_bytes"]})


async def test_an_outcome_that_was_written_and_whose_answer_was_lost_is_known_to_be_written(
    bench: DownloadBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording_id = await bench.order()
    fetchval, store = Pool.fetchval, statements("recordings")["store"]

    async def lose_the_answer(pool: Pool, statement: str, *values: object) -> Any:
        answer = await fetchval(pool, statement, *values)
        if statement == store and answer is not None:
            raise DatabaseAway("ConnectionDoesNotExistError")
        return answer

    monkeypatch.setattr(Pool, "fetchval", lose_the_answer)
    with capture_logs() as lines:
        row = await bench.take(recording_id)

    told = [line["event"] for line in lines]
    assert (row["audio_state"], bench.asked()) == ("stored", 1)
    assert "download_stored" in told
    assert "download_abandoned" not in told


@pytest.mark.usefixtures("killed_after_the_write")
async def test_an_outage_that_outlives_the_claim_costs_another_fetch_and_no_attempt(
    bench: DownloadBench, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording_id = await bench.order()
    monkeypatch.setattr(claim, "_ONCE_MORE_AFTER", claim.CLAIM_SECONDS + 1)

    with pytest.raises(DatabaseAway):
        await bench.take(recording_id)
    await asyncio.to_thread(postgres.start)
    await bench.downloads.pool.execute("UPDATE recordings SET audio_claimed_until = clock_timestamp()")
    row = await bench.take_again(recording_id)

    assert (row["audio_state"], row["audio_attempts"], bench.asked()) == ("stored", 1, 2)
    assert bench.files() == {row["audio_object"]: row["audio_bytes"]}


async def test_an_outcome_that_may_be_of_whoever_took_over_meanwhile_is_not_told_as_ours(
    bench: DownloadBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording_id = await bench.order()
    fetchval, store = Pool.fetchval, statements("recordings")["store"]
    loop, tries = asyncio.get_running_loop(), 0

    async def away_until_another_has_it(pool: Pool, statement: str, *values: object) -> Any:
        nonlocal tries
        if statement == store:
            tries += 1
            if tries == 1:
                raise DatabaseAway("TimeoutError")
            now = loop.time
            monkeypatch.setattr(loop, "time", lambda: now() + claim.CLAIM_SECONDS)
            await pool.execute("UPDATE recordings SET audio_claim = gen_random_uuid()")
        return await fetchval(pool, statement, *values)

    monkeypatch.setattr(Pool, "fetchval", away_until_another_has_it)
    with capture_logs() as lines:
        row = await bench.take(recording_id)

    told = [line["event"] for line in lines]
    assert (row["audio_state"], tries) == ("pending", 2)
    assert "download_abandoned" in told
    assert "download_stored" not in told
