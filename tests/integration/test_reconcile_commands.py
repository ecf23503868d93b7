"""`ringvault reconcile` and `ringvault backfill`, as an operator runs them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from common.database.pool import Pool
from simulator import Simulator, SimulatorOptions

#: The company's calls lie in the past, and a minute's budget is there again after a fifth of a second.
COMPANY = SimulatorOptions(recordings=20, span=1500, history=12000, elapsed=12000, speed=300, seed=3)
Command = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(COMPANY) as running:
        yield running


@pytest.fixture
def command(database_url: str, simulator: Simulator) -> Command:
    """Run `ringvault …` on the last two days; its status, stdout and stderr."""
    options = simulator.options
    usual = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_url,
        "RC_SERVER_URL": simulator.url,
        "RC_ACCOUNT_ID": options.account_id,
        "RC_CLIENT_ID": options.client_id,
        "RC_CLIENT_SECRET": options.client_secret,
        "RC_JWT": options.jwt,
    }
    now = datetime.now(UTC)
    span = ("--from", (now - timedelta(days=2)).isoformat(), "--to", now.isoformat())

    async def run(*arguments: str, **settings: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "cli", *arguments, *span),
            env=usual | settings,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    return run


async def test_reconcile_says_what_was_missing_and_why(pool: Pool, command: Command, simulator: Simulator) -> None:
    calls = (await simulator.truth())["calls"]

    status, out, _ = await command("reconcile")
    assert (status, out) == (
        0,
        f"{calls} calls, 20 recordings; {calls} calls were new\n20 recordings healed: call_unseen\n",
    )

    status, out, _ = await command("reconcile")
    assert (status, out.splitlines()[-1]) == (0, "no recording was missing")
    assert await pool.fetchval("SELECT count(*) FROM recordings WHERE audio_priority = 2") == 20


async def test_a_plan_tells_what_a_backfill_comes_to_and_writes_nothing(pool: Pool, command: Command) -> None:
    status, out, err = await command("backfill", "plan")

    assert (status, err) == (0, "")
    told = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert told["days"] == "2 (all read)"
    assert told["recordings"] == "20 that are not here yet"
    assert told["requests"] == "22 heavy ones, behind live traffic"
    assert told["too"] == "late     0 recordings would be dropped by RingCentral before their turn"
    assert await pool.fetchval("SELECT count(*) FROM recordings") == 0


async def test_a_backfill_reads_the_call_log_and_leaves_the_fetching_to_the_services(
    pool: Pool, command: Command
) -> None:
    status, out, _ = await command("backfill", "run", "--no-wait")

    assert (status, out) == (0, "20 recordings: 0 stored, 20 to be fetched\n")
    assert await pool.fetchval("SELECT count(*) FROM recordings WHERE audio_priority = 3") == 20


async def test_a_backfill_shows_how_far_the_services_are_until_nothing_is_left(pool: Pool, command: Command) -> None:
    running = asyncio.ensure_future(command("backfill", "run"))
    while await pool.fetchval("SELECT count(*) FROM recordings") < 20:  # noqa: ASYNC110 - a fact of another process
        await asyncio.sleep(0.05)
    await pool.execute("UPDATE recordings SET audio_state = 'unavailable', audio_reason = 'gone', audio_due_at = NULL")

    status, out, _ = await running
    assert (status, out) == (0, "20 recordings: 0 stored, 0 to be fetched\n")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"RC_JWT": "wrong"}, "RC_JWT"),
        ({"RC_CLIENT_ID": ""}, "RC_CLIENT_ID is not set"),
        ({"RC_ACCOUNT_ID": "1"}, "RC_ACCOUNT_ID"),
    ],
)
async def test_what_a_person_must_mend_is_one_sentence(
    pool: Pool, command: Command, settings: dict[str, str], told: str
) -> None:
    status, out, err = await command("reconcile", **settings)

    assert (status, out, err.count("\n")) == (2, "", 1)
    assert told in err
    assert await pool.fetchval("SELECT count(*) FROM calls") == 0
