"""Polling an account whose sync endpoint is away for days: nothing is missed meanwhile, nor when it is back."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from common.database.pool import Pool
from common.ringcentral import call_log
from common.ringcentral.client import open_ringcentral
from common.ringcentral.errors import SourceFailed
from demo.simulated_account import settings_for
from services.poller.leadership import Leadership
from services.poller.poll import poll
from simulator import Simulator, SimulatorOptions, company_orders, control, orders
from tests.clocks import ShiftedClock

#: The company's calls lie in the past, and its time goes as fast as ours.
COMPANY = SimulatorOptions(recordings=20, span=600, history=3600, elapsed=3600, speed=1, seed=3)
HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(COMPANY) as running:
        await control.set_limits(running.world, {"heavy": 1000, "auth": 1000})  # the minutes of days that pass at once
        await control.set_extract_sync(running.world, {"status": 404})
        yield running


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
async def poll_once(
    simulator: Simulator, pool: Pool, leadership: Leadership, clock: ShiftedClock
) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async with open_ringcentral(settings_for(simulator), pool, clock) as client:
        yield lambda: poll(client, pool, clock, leadership)


@pytest.fixture
def pass_time(simulator: Simulator, clock: ShiftedClock) -> Callable[[float], Awaitable[None]]:
    """So many seconds pass, for RingCentral and for us."""

    async def passing(seconds: float) -> None:
        clock.ahead += seconds
        await control.advance_clock(simulator.world, {"advance": seconds})

    return passing


async def result_of(pool: Pool, call_log_id: str) -> str | None:
    """What the row says; None when there is none."""
    found: str | None = await pool.fetchval("SELECT entry->>'result' FROM calls WHERE call_log_id = $1", call_log_id)
    return found


async def a_call(simulator: Simulator, *, hours: float) -> str:
    """A call that ends now, after so many hours; its record appears at once."""
    order = {"seconds": hours * HOUR, "recorded": False, "appears_after": 0}
    call_log_id: str = (await orders.order_calls(simulator.world, order))["calls"][0]["id"]
    return call_log_id


async def test_a_call_of_a_day_that_ends_between_two_polls_is_found_within_the_hour(
    simulator: Simulator,
    pool: Pool,
    poll_once: Callable[[], Awaitable[int]],
    pass_time: Callable[[float], Awaitable[None]],
) -> None:
    await poll_once()
    long, short = await a_call(simulator, hours=24), await a_call(simulator, hours=0.1)

    await poll_once()
    assert await result_of(pool, short) is not None

    await pass_time(HOUR)
    await poll_once()
    assert await result_of(pool, long) is not None


async def test_what_was_rewritten_while_windows_were_used_is_read_when_the_sync_endpoint_is_back(
    simulator: Simulator,
    pool: Pool,
    poll_once: Callable[[], Awaitable[int]],
    pass_time: Callable[[float], Awaitable[None]],
) -> None:
    call_log_id = await a_call(simulator, hours=0.1)
    await poll_once()
    await pass_time(2 * DAY)
    await poll_once()
    await company_orders.rewrite_calls(simulator.world, {"id": call_log_id, "result": "Rewritten late"})
    for _ in range(3):
        await pass_time(DAY)
        await poll_once()
    before = await result_of(pool, call_log_id)

    await control.set_extract_sync(simulator.world, {"status": 0})
    await pass_time(DAY)
    await poll_once()

    assert before != "Rewritten late", "or windows alone would do"
    assert await result_of(pool, call_log_id) == "Rewritten late"
    assert await pool.fetchval("SELECT windows_since FROM call_log_cursors") is None


async def test_reading_anew_that_breaks_off_begins_anew_even_if_its_token_is_refused(
    simulator: Simulator,
    pool: Pool,
    poll_once: Callable[[], Awaitable[int]],
    pass_time: Callable[[float], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await poll_once()
    calls = await pool.fetchval("SELECT count(*) FROM calls")
    await pass_time(DAY / 2)
    await poll_once()
    await pass_time(DAY / 2)
    await pool.execute("DELETE FROM calls")
    await control.set_extract_sync(simulator.world, {"status": 0})
    monkeypatch.setattr(call_log, "PAGE", calls // 3)
    simulator.world.faults.add({"endpoint": "call_log.sync", "kind": "status", "status": 500, "skip": 1})

    with pytest.raises(SourceFailed):
        await poll_once()
    assert 0 < await pool.fetchval("SELECT count(*) FROM calls") < calls
    await pool.execute("DELETE FROM calls")
    await control.reject_sync_tokens(simulator.world, {})
    await poll_once()

    assert await pool.fetchval("SELECT count(*) FROM calls") == calls
    assert await pool.fetchval("SELECT windows_since FROM call_log_cursors") is None
