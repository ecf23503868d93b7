"""The call log held against the rows: what is missing is healed, and it is noted why it had been missed."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.clock import SystemClock
from common.database.pool import Pool
from common.ringcentral.client import RingCentral, open_ringcentral
from common.ringcentral.errors import RingCentralError
from demo.simulated_account import settings_for
from services.downloader.schedule import why_unavailable
from services.poller.leadership import Leadership
from services.poller.poll import poll
from services.poller.readings import begin_reading, go_on, last_reading
from services.poller.reconcile import Schedule, reconcile
from simulator import Simulator, SimulatorOptions
from tests.clocks import ShiftedClock

#: The company's calls lie in the past, some hours back, and a minute's budget is there again after a fifth of a second.
COMPANY = SimulatorOptions(recordings=20, span=1500, history=12000, elapsed=12000, speed=300, seed=3)
A_DAY = timedelta(days=1)
KEPT = timedelta(days=90)
SCHEDULE = Schedule(recent_every=timedelta(days=1), retention=KEPT)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(COMPANY) as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator, pool: Pool) -> AsyncIterator[RingCentral]:
    async with open_ringcentral(settings_for(simulator), pool, SystemClock()) as opened:
        yield opened


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
async def reconcile_all(client: RingCentral, pool: Pool, clock: ShiftedClock) -> Callable[[timedelta], Awaitable[int]]:
    """Do all readings that are due so long after the installation; how many windows it took."""
    assert not await reconcile(client, pool, clock, SCHEDULE)

    async def once(later: timedelta) -> int:
        clock.ahead, windows = later.total_seconds(), 0
        while await reconcile(client, pool, clock, SCHEDULE):
            windows += 1
        return windows

    return once


async def listed(simulator: Simulator) -> set[str]:
    return {recording["id"] for recording in (await simulator.truth())["recordings"]}


async def known(pool: Pool) -> set[str]:
    rows = await pool.fetch("SELECT source_record_id FROM recordings WHERE audio_state = 'pending'")
    return {row["source_record_id"] for row in rows}


async def healed(pool: Pool) -> dict[str, int]:
    rows = await pool.fetch("SELECT healed FROM call_log_readings")
    total: dict[str, int] = {}
    for row in rows:
        for why, number in row["healed"].items():
            total[why] = total.get(why, 0) + number
    return total


async def test_what_no_poll_told_of_is_found_once_and_fetched_after_live_work(
    simulator: Simulator, pool: Pool, reconcile_all: Callable[[timedelta], Awaitable[int]]
) -> None:
    assert await reconcile_all(A_DAY - timedelta(minutes=1)) == 0
    assert await reconcile_all(A_DAY) == 7

    assert await known(pool) == await listed(simulator)
    assert await healed(pool) == {"call_unseen": 20}
    assert {row["audio_priority"] for row in await pool.fetch("SELECT audio_priority FROM recordings")} == {2}
    assert await pool.fetchval("SELECT count(*) FROM calls") == (await simulator.truth())["calls"]
    assert await reconcile_all(A_DAY) == 0  # until tomorrow
    assert await reconcile_all(30 * A_DAY) == 7 + 90
    assert await healed(pool) == {"call_unseen": 20}


async def test_a_clock_that_was_years_ahead_for_a_while_stops_no_reading(
    reconcile_all: Callable[[timedelta], Awaitable[int]],
) -> None:
    assert await reconcile_all(1000 * A_DAY) == 7 + 90

    assert await reconcile_all(A_DAY) == 7 + 90
    assert await reconcile_all(A_DAY) == 0
    assert await reconcile_all(2 * A_DAY + timedelta(minutes=1)) == 7


async def test_a_reading_that_a_clock_ahead_has_begun_is_left(
    client: RingCentral,
    pool: Pool,
    clock: ShiftedClock,
    reconcile_all: Callable[[timedelta], Awaitable[int]],
) -> None:
    clock.ahead = (1000 * A_DAY).total_seconds()
    assert await reconcile(client, pool, clock, SCHEDULE)  # the first of its windows

    assert await reconcile_all(A_DAY) == 7


async def test_what_was_unavailable_is_tried_once_more_while_it_is_listed(
    client: RingCentral,
    pool: Pool,
    leadership: Leadership,
    reconcile_all: Callable[[timedelta], Awaitable[int]],
) -> None:
    await poll(client, pool, SystemClock(), leadership)
    missing, refused, too_old, *_ = sorted(await known(pool))
    given_up = {missing, refused, too_old}
    await give_up(pool, missing, "unavailable", why_unavailable(2 * A_DAY, KEPT, "404 (CMN-102)"))
    await give_up(pool, refused, "unavailable", why_unavailable(92 * A_DAY, KEPT, "403 (CMN-408), no permission"))
    await give_up(pool, too_old, "unavailable", why_unavailable(92 * A_DAY, KEPT, "404 (CMN-102)"))

    await reconcile_all(A_DAY)
    after_a_day = await known(pool) & given_up
    await reconcile_all(30 * A_DAY)
    after_a_month = await known(pool) & given_up
    await ask(client, pool)

    assert (after_a_day, after_a_month) == (set(), {missing})
    assert await known(pool) & given_up == given_up
    assert await healed(pool) == {"given_up": 3}


async def test_what_was_not_there_and_is_soon_lost_calls_nobody_each_month(
    client: RingCentral, pool: Pool, leadership: Leadership, reconcile_all: Callable[[timedelta], Awaitable[int]]
) -> None:
    await poll(client, pool, SystemClock(), leadership)
    missing, *_ = sorted(await known(pool))
    await give_up(pool, missing, "unavailable", why_unavailable(2 * A_DAY, KEPT, "404 (CMN-102)"))

    await reconcile_all(89 * A_DAY)

    assert missing not in await known(pool)


async def give_up(pool: Pool, recording: str, state: str, reason: str) -> None:
    await pool.execute(
        "UPDATE recordings SET audio_state = $2, audio_reason = $3, audio_attempts = 11, audio_due_at = NULL"
        " WHERE source_record_id = $1",
        recording,
        state,
        reason,
    )


async def ask(client: RingCentral, pool: Pool) -> None:
    """What `ringvault reconcile` does for the last two days."""
    now = SystemClock().now()
    reading = await begin_reading(pool, client.account_id, "asked", now - 2 * A_DAY, now, now)
    async for _ in go_on(client, pool, SystemClock(), reading):
        pass


async def test_rows_that_were_lost_and_recordings_that_came_late_are_told_apart(
    client: RingCentral,
    pool: Pool,
    leadership: Leadership,
    simulator: Simulator,
    reconcile_all: Callable[[timedelta], Awaitable[int]],
) -> None:
    await poll(client, pool, SystemClock(), leadership)
    lost, late, given_up, *_ = sorted(await known(pool))
    await pool.execute("DELETE FROM recordings WHERE source_record_id = ANY($1)", [lost, late])
    await pool.execute(
        "UPDATE calls SET has_recording = false WHERE entry::text LIKE '%' || $1 || '%'", f'"id": "{late}"'
    )
    await give_up(pool, given_up, "failed", "why")

    await reconcile_all(A_DAY)

    assert await healed(pool) == {"row_lost": 1, "recording_late": 1, "given_up": 1}
    assert await known(pool) == await listed(simulator)
    row = await pool.fetchrow("SELECT * FROM recordings WHERE source_record_id = $1", given_up)
    assert row is not None
    assert (row["audio_state"], row["audio_attempts"]) == ("pending", 0)


async def test_what_is_there_stays_as_it_is(
    client: RingCentral, pool: Pool, leadership: Leadership, reconcile_all: Callable[[timedelta], Awaitable[int]]
) -> None:
    await poll(client, pool, SystemClock(), leadership)
    before: list[Any] = await pool.fetch("SELECT * FROM recordings ORDER BY source_record_id")

    await reconcile_all(A_DAY)

    assert await healed(pool) == {}
    assert await pool.fetch("SELECT * FROM recordings ORDER BY source_record_id") == before


async def test_a_reading_that_breaks_off_goes_on_where_it_was(
    client: RingCentral, pool: Pool, simulator: Simulator
) -> None:
    now = datetime.now(UTC)
    reading = await begin_reading(pool, client.account_id, "asked", now - timedelta(days=4), now, now)
    async for _ in go_on(client, pool, SystemClock(), reading):
        break
    simulator.world.faults.add({"endpoint": "call_log.list", "kind": "status", "status": 500, "times": 1})
    again = await last_reading(pool, client.account_id, "asked", reading.begins, reading.ends)
    assert again is not None
    assert again.read_until == reading.begins + timedelta(days=1)

    with pytest.raises(RingCentralError):
        async for _ in go_on(client, pool, SystemClock(), again):
            pass
    windows = [found async for found in go_on(client, pool, SystemClock(), again)]

    assert len(windows) == 3
    done = await last_reading(pool, client.account_id, "asked", reading.begins, reading.ends)
    assert done is not None
    assert done.finished_at is not None
    assert done.found.recordings == 20
    assert await known(pool) == await listed(simulator)
