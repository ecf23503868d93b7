"""A credential that RingCentral refused, and that a person has mended since."""

import asyncio

import pytest

from common.process import CannotStart
from common.ringcentral.client import RingCentral
from common.ringcentral.errors import CredentialRefused
from common.ringcentral.ready import wait_for_account
from common.telemetry.health import Health
from tests.integration.test_ringcentral_client_support import ACCOUNT, Office, simulated

JWT = "simulator.jwt.one"


async def start(client: RingCentral) -> bool:
    return await wait_for_account(client, Health(), asyncio.Event())


async def asked(office: Office) -> int:
    count: int = (await office.counts())["requests"]["oauth.token"]
    return count


async def test_a_restart_asks_ringcentral_again_after_a_refusal(database_url: str) -> None:
    async with simulated(database_url, revoked_jwts=JWT) as office:
        with pytest.raises(CannotStart, match="OAU-213"):
            await start(await office.client())
        await office.order("jwts", {"restore": [JWT]})

        assert await start(await office.client())
        assert await asked(office) == 2


async def test_a_restart_with_nothing_mended_is_refused_by_ringcentral_itself(database_url: str) -> None:
    async with simulated(database_url, revoked_jwts=JWT) as office:
        for restarts in range(1, 4):
            with pytest.raises(CannotStart, match="OAU-213"):
                await start(await office.client())
            assert await asked(office) == restarts


async def test_processes_that_start_over_and_over_keep_to_the_group_auth(database_url: str) -> None:
    async with simulated(database_url, revoked_jwts=JWT) as office:
        for _ in range(8):
            with pytest.raises(CannotStart):
                await start(await office.client())

        counts = await office.counts()
        assert counts["refused"] == 0
        assert next(one["most_in_a_window"] for one in counts["groups"] if one["group"] == "auth") <= 5


async def test_processes_that_start_together_ask_once(database_url: str) -> None:
    async with simulated(database_url, revoked_jwts=JWT) as office:
        clients = [await office.client() for _ in range(6)]
        results = await asyncio.gather(*map(start, clients), return_exceptions=True)

        assert {type(result) for result in results} == {CannotStart}
        assert await asked(office) == 1


async def test_a_process_that_runs_on_believes_what_another_was_told(database_url: str) -> None:
    async with simulated(database_url, revoked_jwts=JWT) as office:
        running, other = await office.client(), await office.client()
        for client in (other, running, running):
            with pytest.raises(CredentialRefused, match="OAU-213"):
                await client.json(ACCOUNT)

        assert await asked(office) == 1
