"""One leader among replicas, on a real Postgres."""

import asyncio
from functools import partial

import pytest

from common.database.leases import Lease
from common.database.pool import Pool
from services.poller import leadership
from services.poller.leadership import Leadership, LeadershipLost, lead
from tests.integration.pooler import BOTH_WAYS


async def prove(pool: Pool, leadership: Leadership) -> None:
    async with pool.transaction() as connection:
        await leadership.prove(connection)


async def test_one_holds_the_lease_and_the_next_gets_a_greater_number(pool: Pool) -> None:
    first, second = Lease("x"), Lease("x")

    assert await first.hold(pool, 60) == 1
    assert await second.hold(pool, 60) is None
    assert await first.hold(pool, 60) == 1
    await first.release(pool)
    assert await second.hold(pool, 60) == 2


@BOTH_WAYS
async def test_who_was_followed_can_write_nothing(pool: Pool) -> None:
    first, second = Lease("x"), Lease("x")
    fencing = await first.hold(pool, 60)
    assert fencing is not None
    await prove(pool, Leadership(first, fencing))
    await first.release(pool)
    await second.hold(pool, 60)

    with pytest.raises(LeadershipLost):
        await prove(pool, Leadership(first, fencing))


@BOTH_WAYS
async def test_two_never_lead_at_the_same_time_and_a_stop_lets_the_other_in(pool: Pool) -> None:
    leading: set[str] = set()
    begun: asyncio.Queue[str] = asyncio.Queue()
    stops = {name: asyncio.Event() for name in "ab"}

    async def work(name: str, _: Leadership) -> None:
        leading.add(name)
        assert leading == {name}
        begun.put_nowait(name)
        try:
            await asyncio.Event().wait()
        finally:
            leading.remove(name)

    tasks = [asyncio.create_task(lead(pool, Lease("x"), stop, partial(work, name))) for name, stop in stops.items()]
    first = await begun.get()
    stops[first].set()
    second = await begun.get()
    stops[second].set()
    await asyncio.gather(*tasks)

    assert {first, second} == {"a", "b"}
    assert leading == set()


async def test_a_database_that_takes_too_long_ends_the_leadership_and_not_the_process(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leadership, "RENEW_EVERY", 0.1)
    monkeypatch.setattr(leadership, "LEASE_SECONDS", 0.5)
    # It may lose its lease at any time, where this process is held up: what counts is whether it leads now.
    leads, leads_not, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(_: Leadership) -> None:
        leads_not.clear()
        leads.set()
        try:
            await asyncio.Event().wait()
        finally:
            leads.clear()
            leads_not.set()

    async with asyncio.TaskGroup() as group:  # which ends at once when the leading does.
        leading = group.create_task(lead(pool, Lease("x"), stop, work))
        await leads.wait()
        async with pool.transaction() as other:
            await other.execute("LOCK TABLE leases IN ACCESS EXCLUSIVE MODE")  # whoever asks waits.
            await leads_not.wait()
        await leads.wait()  # again.
        async with pool.transaction() as other:
            await other.execute("LOCK TABLE leases IN ACCESS EXCLUSIVE MODE")
            stop.set()
            await leading


async def test_an_error_of_the_work_is_not_swallowed(pool: Pool) -> None:
    async def work(_: Leadership) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await lead(pool, Lease("x"), asyncio.Event(), work)
