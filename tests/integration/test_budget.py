"""The budget, as several processes see it: each `Budget` stands for one of them. RingCentral's part is played here."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from common.database.migrate import migrate
from common.database.pool import Pool, open_pool
from common.ringcentral.budget import MARGIN, Budget, Priority
from common.ringcentral.errors import NoBudget
from simulator.rate_limits import most_in_a_window
from tests.integration.pooler import BOTH_WAYS, POOLED
from tests.integration.test_budget_support import (
    HEAVY,
    LONG,
    ME,
    NEVER,
    SERVED,
    WINDOW,
    CountingPool,
    learn,
    take,
    take_all,
    told,
)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    await migrate(database_url)
    async with open_pool(database_url, "test", size=24) as opened:
        yield opened


@pytest.fixture
def budget(pool: Pool) -> Budget:
    return Budget(pool, "app")


async def test_a_slot_is_free_a_window_and_a_margin_after_its_answer(budget: Budget) -> None:
    grant = await take(budget, patience=NEVER)
    answered = time.monotonic()
    await budget.settle(grant, told(limit=1))

    await take(budget, patience=NEVER)

    assert WINDOW * (1 + MARGIN) <= time.monotonic() - answered + 0.01 < SERVED


async def test_a_grant_that_goes_back_is_free_at_once_and_may_go_back_twice(budget: Budget) -> None:
    await learn(budget, limit=2, window=LONG)
    grant = await take(budget)
    await budget.give_back(grant)
    again = await take(budget)
    await budget.give_back(grant)

    assert again.slot == grant.slot
    assert await take_all(budget) == []


async def test_a_grant_without_an_answer_is_free_by_itself_after_time_out_and_window(budget: Budget) -> None:
    await learn(budget, limit=2)
    await budget.settle(await take(budget), told(limit=2))
    await take(budget, patience=NEVER)
    grant = await budget.take(ME, HEAVY, Priority.LIVE, patience=NEVER, timeout=0.3)

    await take(budget, patience=NEVER)

    assert 0.25 + WINDOW < grant.age < SERVED


async def test_several_users_have_a_budget_each(budget: Budget) -> None:
    for owner in ("user 1", "user 2", "user 3"):
        await budget.settle(await take(budget, patience=NEVER, owners=[owner]), told(limit=4, window=LONG))

    grants = await take_all(budget, ["user 1", "user 2", "user 3"])

    assert sorted(grant.owner_id for grant in grants) == ["user 1"] * 3 + ["user 2"] * 3 + ["user 3"] * 3
    assert await budget.rate(HEAVY) == 3 * 4 / LONG


async def test_a_backlog_makes_it_say_that_the_budget_is_the_limit_and_how_much_of_it_is_taken(budget: Budget) -> None:
    await learn(budget, limit=2)

    with capture_logs() as lines:
        for _ in range(12):
            await budget.settle(await take(budget, patience=NEVER), told(limit=2))

    first = next(line for line in lines if line["event"] == "budget_is_the_limit")
    assert (first["group"], first["of"], first["users"], first["window_seconds"]) == ("heavy", 2, 1, WINDOW)
    assert first["used"] <= 2
    assert first["waiting_part"] > 0.5


async def test_polls_wait_behind_one_download_at_most_and_live_goes_before_backfill(
    pool: Pool, eventually: Any
) -> None:
    # Given one slot, which a download in hand has
    setup = Budget(pool, "app")
    await learn(setup, limit=1)
    in_hand = await take(setup, patience=NEVER)
    order: list[Priority] = []

    async def request(priority: Priority) -> None:
        budget = Budget(pool, "app")
        grant = await take(budget, priority=priority, patience=NEVER)
        order.append(priority)
        await budget.settle(grant, told(limit=1))

    async def waiting(number: int) -> bool:
        return bool(await pool.fetchval("SELECT count(*) FROM rate_waiters") == number)

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(request(Priority.BACKFILL))
            group.create_task(request(Priority.LIVE))
        await eventually(lambda: waiting(4))
        group.create_task(request(Priority.POLL))
        await eventually(lambda: waiting(5))
        await setup.settle(in_hand, told(limit=1))

    assert order == [Priority.POLL, Priority.LIVE, Priority.LIVE, Priority.BACKFILL, Priority.BACKFILL]


async def test_a_process_that_is_gone_holds_up_nobody_for_long(pool: Pool, budget: Budget) -> None:
    await learn(budget, limit=1)
    started = time.monotonic()
    await pool.execute(
        "INSERT INTO rate_waiters VALUES (gen_random_uuid(), 'user 1', 'app', 'heavy', 0, clock_timestamp() + '1 s')"
    )
    await take(budget, patience=NEVER)
    assert 0.9 < time.monotonic() - started < SERVED


async def test_fifty_that_wait_ask_no_more_often_than_one(pool: Pool) -> None:
    counted = CountingPool(pool)
    budget = Budget(cast(Pool, counted), "app")
    await learn(budget, limit=1, window=60)
    counted.statements, started = 0, time.monotonic()

    waiting = [asyncio.create_task(take(budget, patience=NEVER)) for _ in range(50)]
    await asyncio.wait(waiting, timeout=2)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)

    looks = 1 + time.monotonic() - started  # one a second, however many wait.
    assert counted.statements <= 3 * looks + 1
    assert await pool.fetchval("SELECT count(*) FROM rate_waiters") == 0


async def test_who_waits_behind_more_urgent_work_does_not_storm(pool: Pool) -> None:
    counted = CountingPool(pool)
    budget = Budget(cast(Pool, counted), "app")
    await learn(budget, limit=2, window=60)
    await pool.execute(
        "INSERT INTO rate_waiters VALUES (gen_random_uuid(), 'user 1', 'app', 'heavy', 0, clock_timestamp() + '9 s')"
    )
    counted.statements = 0

    with pytest.raises(NoBudget):
        await take(budget, patience=1.0)

    assert counted.statements < 20


async def test_whoever_is_cancelled_leaves_no_slot_taken(pool: Pool, budget: Budget) -> None:
    await learn(budget, limit=10)
    await asyncio.sleep(1.1 * WINDOW)
    chance = random.Random(7)

    async def cancelled() -> int:
        task = asyncio.create_task(take(Budget(pool, "app"), patience=NEVER))
        await asyncio.wait([task], timeout=chance.uniform(0, 0.02))
        task.cancel()
        await asyncio.wait([task])
        return 0 if task.cancelled() else 1

    held = sum([await cancelled() for _ in range(60)])

    taken = await pool.fetchval("SELECT count(*) FROM rate_slots WHERE grant_id IS NOT NULL")
    assert taken == held
    assert await pool.fetchval("SELECT count(*) FROM rate_waiters") == 0


@BOTH_WAYS
async def test_no_window_ever_holds_more_than_the_limit_whatever_happens_to_requests(pool: Pool) -> None:
    """Arrivals are anywhere between grant and answer; some grants go back, some requests are cancelled."""
    arrivals: list[float] = []
    timeout = 0.4

    async def process(chance: random.Random) -> None:
        budget = Budget(pool, "app")
        while len(arrivals) < 30:
            try:
                grant = await budget.take(ME, HEAVY, chance.choice(list(Priority)), patience=0.4, timeout=timeout)
            except NoBudget:
                continue
            fate = chance.random()
            if fate < 0.15:
                await budget.give_back(grant)
                continue
            await asyncio.sleep(chance.uniform(0, 0.1))
            if grant.age > timeout:  # this process was held up: as the client does, it sends nothing.
                await budget.give_back(grant)
                continue
            arrivals.append(time.monotonic())
            await asyncio.sleep(chance.uniform(0, 0.1))
            if fate > 0.25:
                await budget.settle(grant, told(limit=5))

    await asyncio.gather(*(process(random.Random(number)) for number in range(6)))

    assert most_in_a_window(sorted(arrivals), WINDOW) <= 5


@POOLED
async def test_it_works_behind_a_transaction_pooler(budget: Budget) -> None:
    await learn(budget, limit=3, window=LONG)
    grants = await take_all(budget)
    assert len(grants) == 2
    for grant in grants:
        await budget.settle(grant, told(limit=3))
    await take(budget, patience=NEVER)
    await budget.close(await take(budget, patience=NEVER), told() | {"retry-after": "30"})
    assert await take_all(budget) == []
