"""Polling the simulator's call log into a real Postgres."""

import random
import string
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from common.clock import SystemClock
from common.database.pool import Pool
from common.ringcentral.client import RingCentral, open_ringcentral
from common.ringcentral.errors import Forbidden
from demo.simulated_account import settings_for
from services.poller.leadership import Leadership, LeadershipLost
from services.poller.poll import poll
from simulator import Simulator, SimulatorOptions

#: The company's calls all lie in the past, and a minute's budget is there again after a fifth of a second.
COMPANY = SimulatorOptions(recordings=40, span=1500, history=6000, elapsed=6000, speed=300, seed=3)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(COMPANY) as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator, pool: Pool) -> AsyncIterator[RingCentral]:
    async with open_ringcentral(settings_for(simulator), pool, SystemClock()) as opened:
        yield opened


@pytest.fixture
def poll_once(client: RingCentral, pool: Pool, leadership: Leadership) -> Callable[[], Any]:
    return lambda: poll(client, pool, SystemClock(), leadership)


def refuse(simulator: Simulator, endpoint: str, status: int, times: int = 1_000) -> None:
    simulator.world.faults.add({"endpoint": endpoint, "kind": "status", "status": status, "times": times})


async def assert_all_is_there(simulator: Simulator, pool: Pool) -> None:
    truth = await simulator.truth()
    rows = await pool.fetch("SELECT source_record_id, audio_state FROM recordings")
    assert {row["source_record_id"] for row in rows} == {recording["id"] for recording in truth["recordings"]}
    assert {row["audio_state"] for row in rows} == {"pending"}
    assert await pool.fetchval("SELECT count(*) FROM calls") == truth["calls"]
    assert simulator.world.limits.report() is not None


async def test_one_poll_reads_everything_and_the_next_nothing_new(
    simulator: Simulator, pool: Pool, poll_once: Callable[[], Any]
) -> None:
    await poll_once()
    await assert_all_is_there(simulator, pool)
    before = await pool.fetch("SELECT * FROM recordings ORDER BY source_record_id")

    await poll_once()

    assert await pool.fetch("SELECT * FROM recordings ORDER BY source_record_id") == before


async def test_a_token_that_is_rejected_leads_to_a_full_sync(
    simulator: Simulator, pool: Pool, poll_once: Callable[[], Any]
) -> None:
    await poll_once()
    await pool.execute("DELETE FROM recordings")
    await pool.execute("UPDATE call_log_cursors SET sync_token = 'no token of theirs'")
    await pool.execute("UPDATE call_log_cursors SET polled_until = polled_until - interval '3 hours'")

    await poll_once()

    await assert_all_is_there(simulator, pool)


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_an_account_without_the_sync_endpoint_is_read_by_windows(
    simulator: Simulator, pool: Pool, poll_once: Callable[[], Any], status: int
) -> None:
    refuse(simulator, "call_log.sync", status)

    await poll_once()
    await poll_once()

    await assert_all_is_there(simulator, pool)
    asked = simulator.world.requests["call_log.sync"]
    assert asked == 1, "the endpoint that is not there is not asked again with each poll"


async def test_windows_give_way_to_the_sync_endpoint_when_it_is_back(
    simulator: Simulator, pool: Pool, poll_once: Callable[[], Any]
) -> None:
    refuse(simulator, "call_log.sync", 404, times=1)
    await poll_once()
    await pool.execute("UPDATE call_log_cursors SET windows_until = now()")
    await pool.execute("DELETE FROM calls")

    await poll_once()

    assert await pool.fetchval("SELECT sync_token FROM call_log_cursors") is not None
    await assert_all_is_there(simulator, pool)


async def test_a_rotated_credential_begins_again_where_the_old_one_ended(
    pool: Pool, poll_once: Callable[[], Any]
) -> None:
    await poll_once()
    await pool.execute("UPDATE call_log_cursors SET credential = 'the one before'")

    await poll_once()

    assert await pool.fetchval("SELECT credential FROM call_log_cursors") != "the one before"


async def test_who_leads_no_longer_writes_nothing(client: RingCentral, pool: Pool, leadership: Leadership) -> None:
    await leadership.lease.release(pool)

    with pytest.raises(LeadershipLost):
        await poll(client, pool, SystemClock(), leadership)

    assert await pool.fetchval("SELECT count(*) FROM calls") == 0
    assert await pool.fetchval("SELECT count(*) FROM call_log_cursors") == 0


async def test_a_missing_permission_is_told(simulator: Simulator, poll_once: Callable[[], Any]) -> None:
    refuse(simulator, "call_log.sync", 403)
    refuse(simulator, "call_log.list", 403)

    with pytest.raises(Forbidden, match="a permission of the user is missing"):
        await poll_once()


async def test_the_cursor_goes_by_ringcentrals_clock_not_by_ours(pool: Pool, leadership: Leadership) -> None:
    late_by_two_hours = replace(COMPANY, history=COMPANY.history + 7200)
    async with (
        Simulator(late_by_two_hours) as simulator,
        open_ringcentral(settings_for(simulator), pool, SystemClock()) as client,
    ):
        before = simulator.world.clock.now()
        await poll(client, pool, SystemClock(), leadership)
        after = simulator.world.clock.now()

    polled_until = await pool.fetchval("SELECT polled_until FROM call_log_cursors")
    assert before - 1800 < polled_until.timestamp() < after + 1800


async def test_a_record_that_postgres_refuses_never_stops_the_others(
    simulator: Simulator, pool: Pool, poll_once: Callable[[], Any]
) -> None:
    odd = simulator.world.company.calls[3]
    odd.telephony_session_id = "s-" + "".join(random.Random(1).choices(string.ascii_letters, k=20_000))

    await poll_once()

    assert await pool.fetchval("SELECT count(*) FROM calls") == len(simulator.world.company.calls) - 1
    assert await pool.fetchval("SELECT sync_token FROM call_log_cursors") is not None
