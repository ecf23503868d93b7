"""What the budget learns from the headers of answers, and how a 429 closes it."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from common.database.migrate import migrate
from common.database.pool import DatabaseAway, Pool, open_pool
from common.ringcentral.budget import Budget, Group, Priority
from common.ringcentral.errors import NoBudget
from tests.integration.test_budget_support import (
    HEAVY,
    LONG,
    ME,
    NEVER,
    OUTLASTS,
    SERVED,
    WINDOW,
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


async def test_before_the_first_header_one_request_is_in_flight(budget: Budget) -> None:
    first = await take(budget, patience=NEVER)
    assert await take_all(budget) == []

    await budget.settle(first, told(limit=10, window=LONG))

    assert len(await take_all(budget)) == 9


async def test_what_others_may_have_used_is_left_to_them_for_a_window(budget: Budget) -> None:
    learnt = time.monotonic()
    await learn(budget, limit=10, remaining=3, window=OUTLASTS)
    assert len(await take_all(budget)) == 3

    await take(budget, patience=NEVER)
    assert time.monotonic() - learnt > OUTLASTS


async def test_a_limit_that_grows_is_used_at_once(budget: Budget) -> None:
    await learn(budget, limit=2, window=LONG)
    last = await take(budget)
    await budget.settle(last, told(limit=5, window=LONG, remaining=3))

    assert len(await take_all(budget)) == 3


async def test_a_limit_that_shrinks_counts_what_was_sent_before(pool: Pool, budget: Budget) -> None:
    await learn(budget, limit=6, window=OUTLASTS)
    grants = await take_all(budget)
    assert len(grants) == 5
    for grant in grants[:-1]:
        await budget.settle(grant, told(limit=6, window=OUTLASTS))
    await budget.settle(grants[-1], told(limit=2, window=OUTLASTS))

    with pytest.raises(NoBudget):  # six are in the window, of two that may be
        await take(Budget(pool, "app"), patience=0.3)
    await take(budget, patience=NEVER)
    await take(budget, patience=NEVER)
    assert await take_all(budget) == []


async def test_a_window_that_grows_holds_the_slots_that_were_used(budget: Budget) -> None:
    await learn(budget, limit=3)
    used, running = await take(budget), await take(budget)
    await budget.settle(used, told(limit=3))
    await asyncio.sleep(1.1 * WINDOW)  # by the old length they are free again
    await budget.settle(running, told(limit=3, window=OUTLASTS + WINDOW))

    with pytest.raises(NoBudget):
        await take(budget, patience=0.3)
    await take(budget, patience=NEVER)


async def test_a_window_that_shrinks_frees_the_slots_sooner(budget: Budget) -> None:
    await learn(budget, limit=2, window=LONG)
    await budget.settle(await take(budget), told(limit=2))

    await take(budget, patience=NEVER)
    await take(budget, patience=NEVER)


async def test_what_one_process_learnt_another_corrects(pool: Pool) -> None:
    one, other = Budget(pool, "app"), Budget(pool, "app")
    await learn(one, limit=10, window=LONG)
    await other.settle(await take(other), told(limit=20, window=LONG))
    await one.settle(await take(one), told(limit=10, window=LONG))

    assert await pool.fetchval("SELECT slots FROM rate_groups") == 10


async def test_a_429_closes_the_group_for_everybody_and_nothing_else(pool: Pool, budget: Budget) -> None:
    await learn(budget, limit=10)
    unsent, refused = await take(budget), await take(budget)
    light = await budget.take(ME, Group.LIGHT, Priority.LIVE, patience=NEVER)
    refused_at = time.monotonic()
    await budget.close(refused, told(limit=10) | {"retry-after": "1"})
    await budget.settle(refused, told(limit=10))

    assert not budget.usable(unsent)
    assert budget.usable(light)
    await take(Budget(pool, "app"), patience=NEVER)
    assert 1 <= time.monotonic() - refused_at < SERVED


async def test_a_429_of_another_limiter_closes_everything_of_the_app(pool: Pool, budget: Budget) -> None:
    await learn(budget, limit=10)
    await budget.give_back(await budget.take(["user 2"], Group.LIGHT, Priority.LIVE, patience=NEVER))
    await budget.close(await take(budget), {"retry-after": f"{OUTLASTS:g}"})

    other = Budget(pool, "app")
    for owner, group in (("user 1", HEAVY), ("user 2", Group.LIGHT), ("user 3", Group.MEDIUM)):  # the last one is new
        with pytest.raises(NoBudget):
            await other.take([owner], group, Priority.POLL, patience=0.1)
    await Budget(pool, "another app").take(ME, HEAVY, Priority.LIVE, patience=NEVER)
    await other.take(["user 2"], Group.LIGHT, Priority.LIVE, patience=NEVER)


async def test_a_penalty_that_could_not_be_told_is_told_before_anything_is_granted(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = Budget(pool, "app")
    await learn(budget, limit=3)
    grant = await take(budget, patience=NEVER)

    async def away(*_: object) -> str:
        raise DatabaseAway("ConnectionRefusedError")

    with monkeypatch.context() as outage:
        outage.setattr(pool, "execute", away)
        with pytest.raises(DatabaseAway):
            await budget.close(grant, told(limit=3) | {"retry-after": "30"})

    assert await take_all(budget) == []
    assert await take_all(Budget(pool, "app")) == []
