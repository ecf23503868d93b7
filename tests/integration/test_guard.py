"""The subscription guardian against the simulator: one subscription, made by whoever is allowed to."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from common.clock import SystemClock
from common.database.pool import Pool
from common.ringcentral.client import open_ringcentral
from services.poller.guard import Wanted, guard
from simulator import Simulator, SimulatorOptions
from tests.integration.simulated_account import settings_for

COMPANY = SimulatorOptions(recordings=1, span=60, history=6000, elapsed=6000, speed=300, jwt="one,two")


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(COMPANY) as running:
        yield running


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Whoever answers a handshake."""

    async def echo(request: web.Request) -> web.Response:
        token = request.headers.get("Validation-Token", "")
        return web.Response(text="", content_type="application/json", headers={"Validation-Token": token})

    application = web.Application()
    application.router.add_post("/", echo)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


def living(simulator: Simulator) -> list[Any]:
    return list(simulator.world.subscriptions.living())


async def pass_twice(simulator: Simulator, pool: Pool, wanted: Wanted) -> None:
    async with open_ringcentral(settings_for(simulator), pool, SystemClock()) as client:
        for _ in range(2):
            await guard(client, pool, SystemClock(), wanted)


async def test_there_is_one_subscription_however_often_it_looks(simulator: Simulator, pool: Pool, address: str) -> None:
    await pass_twice(simulator, pool, Wanted(address, "token", ("pbx",)))

    assert len(living(simulator)) == 1
    assert await pool.fetchval("SELECT count(*) FROM subscriptions") == 1


async def test_a_changed_token_makes_a_new_one_and_removes_the_old(
    simulator: Simulator, pool: Pool, address: str
) -> None:
    await pass_twice(simulator, pool, Wanted(address, "old", ("pbx",)))
    await pass_twice(simulator, pool, Wanted(address, "new", ("pbx",)))

    (only,) = living(simulator)
    assert only.verification_token == "new"


@pytest.mark.parametrize("lacking", [["one"], ["one", "two"]])
async def test_a_user_without_the_permission_leaves_it_to_one_who_has_it_and_nothing_is_made_in_vain(
    simulator: Simulator, pool: Pool, address: str, lacking: list[str]
) -> None:
    users = simulator.world.tokens.users
    for user in list(users.values() if isinstance(users, dict) else users)[: len(lacking)]:
        user.permissions.discard("ReadRingSenseInsights")

    await pass_twice(simulator, pool, Wanted(address, "token", ("pbx",)))

    (only,) = living(simulator)
    assert bool(only.disabled) == (len(lacking) == 2)
    assert simulator.world.requests["subscription.create"] == 2, json.dumps(simulator.world.requests)
