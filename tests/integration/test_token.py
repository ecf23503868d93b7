"""The token, as several processes share it: each client stands for one; `test_token_processes` starts real ones."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from common.ringcentral.client import RingCentral
from common.ringcentral.errors import CredentialRefused, RingCentralError, SourceFailed
from tests.clocks import ShiftedClock
from tests.integration.pooler import BOTH_WAYS
from tests.integration.test_ringcentral_client_support import ACCOUNT, Office, simulated


async def minted(office: Office) -> int:
    count: int = (await office.counts())["tokens_minted"]
    return count


async def ask_all(clients: list[RingCentral]) -> None:
    await asyncio.gather(*(client.json(ACCOUNT) for client in clients))


@pytest.mark.parametrize("kind", ["token_dropped", "token_expired"])
@BOTH_WAYS
async def test_a_token_that_ends_early_costs_one_more_mint(database_url: str, kind: str) -> None:
    async with simulated(database_url) as office:
        clients = [await office.client() for _ in range(8)]
        await ask_all(clients)
        await office.order("faults", {"endpoint": "account.get", "kind": kind})

        await ask_all(clients)

        assert await minted(office) == 2
        assert (await office.counts())["answers"]["account.get 401"] <= 8


async def test_a_new_token_that_is_refused_as_well_is_not_minted_on_and_on(database_url: str) -> None:
    async with simulated(database_url) as office:
        client = await office.client()
        await office.order(
            "faults",
            {"endpoint": "account.get", "kind": "status", "status": 401, "code": "OAU-213", "times": 100},
        )
        with pytest.raises(RingCentralError, match="refuses the access token"):
            await client.json(ACCOUNT)

        assert await minted(office) == 2
        assert (await office.counts())["requests"]["account.get"] == 2


async def test_a_token_is_renewed_by_one_process_while_nobody_waits(database_url: str, eventually: Any) -> None:
    async with simulated(database_url, speed=1.0) as office:
        clock = ShiftedClock()
        clients = [await office.client(clock=clock) for _ in range(6)]
        await ask_all(clients)
        await office.order("faults", {"endpoint": "oauth.token", "kind": "stall", "seconds": 5})

        clock.ahead = 3600 * 0.9
        await ask_all(clients)
        meanwhile = await minted(office)
        await eventually(lambda: renewed(office))
        await ask_all(clients)

        assert meanwhile == 1, "all were answered while the new one was still on its way"
        assert await minted(office) == 2


async def test_a_token_is_not_used_beyond_its_end(database_url: str) -> None:
    async with simulated(database_url) as office:
        clock = ShiftedClock()
        client = await office.client(clock=clock)
        await client.json(ACCOUNT)
        clock.ahead = 3600
        await client.json(ACCOUNT)

        assert await minted(office) == 2
        assert "account.get 401" not in (await office.counts())["answers"]


async def test_minting_keeps_to_the_group_auth(database_url: str) -> None:
    async with simulated(database_url) as office:
        client = await office.client()
        for _ in range(8):
            await client.json(ACCOUNT)
            await office.order("tokens/drop", {})
        await client.json(ACCOUNT)

        counts = await office.counts()
        assert counts["refused"] == 0
        auth = next(group for group in counts["groups"] if group["group"] == "auth")
        assert auth["most_in_a_window"] <= 5


async def test_a_row_that_cannot_be_read_counts_as_absent(database_url: str) -> None:
    async with simulated(database_url) as office:
        await (await office.client()).json(ACCOUNT)
        await office.pool.execute("UPDATE access_tokens SET ciphertext = 'unreadable'")

        await (await office.client()).json(ACCOUNT)

        assert await minted(office) == 2


async def test_a_minter_that_was_killed_holds_up_the_others_for_seconds_only(database_url: str) -> None:
    async with simulated(database_url) as office:
        client = await office.client()
        fingerprint = client.credentials[0]
        await office.pool.execute(
            "INSERT INTO access_tokens (fingerprint, minter, minting_until)"
            " VALUES ($1, gen_random_uuid(), clock_timestamp() + '1 s')",
            fingerprint,
        )
        await client.json(ACCOUNT)

        assert await minted(office) == 1


async def renewed(office: Office) -> bool:
    return await minted(office) == 2


async def mint_that_stalls(office: Office, client: RingCentral, seconds: float) -> asyncio.Task[dict[str, Any]]:
    """A request that waits for a mint which is on the wire; the limit of the group auth is known by then."""
    await client.json(ACCOUNT)
    await office.order("tokens/drop", {})
    await office.order("faults", {"endpoint": "oauth.token", "kind": "stall", "seconds": seconds})
    asking = asyncio.create_task(client.json(ACCOUNT))
    while (await office.counts())["requests"]["oauth.token"] < 2:  # noqa: ASYNC110 - a fact of the simulator
        await asyncio.sleep(0.01)
    return asking


async def test_a_mint_that_is_on_the_wire_is_shared_although_its_process_stops(database_url: str) -> None:
    async with simulated(database_url) as office:
        async with office.opened() as stopped:
            asking = await mint_that_stalls(office, stopped, 0.5)
            asking.cancel()
        await (await office.client()).json(ACCOUNT)

        assert asking.cancelled()
        assert (await office.counts())["requests"]["oauth.token"] == 2


async def test_a_process_that_stops_does_not_wait_for_a_mint_that_hangs(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.ringcentral.token._CLOSE_WITHIN", 0.2)
    monkeypatch.setattr("common.ringcentral.token._MINT_TIMEOUT", 60.0)
    async with simulated(database_url) as office:
        async with office.opened() as stopped:
            asking = await mint_that_stalls(office, stopped, 20)
            asking.cancel()

        assert await minted(office) == 1
        assert await office.pool.fetchval("SELECT minter FROM access_tokens") is None
        await (await office.client()).json(ACCOUNT)


async def test_a_mint_that_hangs_is_given_up_before_another_process_may_mint(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.ringcentral.token._MINT_TIMEOUT", 4.0)
    monkeypatch.setattr("common.ringcentral.token._MINTER_HOLDS", 6.0)
    async with simulated(database_url) as office:
        first = await mint_that_stalls(office, await office.client(), 20)
        await (await office.client()).json(ACCOUNT)

        assert first.done()
        assert isinstance(first.exception(), SourceFailed)


async def test_a_revoked_jwt_is_asked_for_once_by_all_processes(database_url: str) -> None:
    async with simulated(database_url, revoked_jwts="simulator.jwt.one") as office:
        clients = [await office.client() for _ in range(6)]
        results = await asyncio.gather(*(client.json(ACCOUNT) for client in clients), return_exceptions=True)
        results += await asyncio.gather(*(client.json(ACCOUNT) for client in clients), return_exceptions=True)

        assert {type(result) for result in results} == {CredentialRefused}
        assert (await office.counts())["requests"]["oauth.token"] == 1


async def test_a_token_endpoint_that_fails_is_asked_again_later(database_url: str) -> None:
    faults: list[dict[str, Any]] = [
        {"kind": "status", "status": 503},
        {"kind": "drop"},
        {"kind": "body", "text": "<html>", "content_type": "text/html"},
        {"kind": "body", "json": {"access_token": "x"}},
        {"kind": "body", "json": {"access_token": "x", "expires_in": 0}},
        {"kind": "body", "json": []},
    ]
    async with simulated(database_url, speed=60.0) as office:
        await (await office.client()).json(ACCOUNT)
        for fault in faults:
            await office.order("tokens/drop", {})
            await office.order("faults", {"endpoint": "oauth.token", **fault})
            with pytest.raises(SourceFailed):
                await (await office.client()).json(ACCOUNT)
            await (await office.client()).json(ACCOUNT)

        assert (await office.counts())["refused"] == 0


async def test_no_token_and_no_jwt_is_ever_logged_raised_stored_or_in_a_url(database_url: str) -> None:
    async with simulated(database_url, jwt="jwt-of-one,jwt-of-two") as office:
        client = await office.client()
        with capture_logs() as logs:
            await client.check_account()
            await office.order("tokens/drop", {})
            await client.json(ACCOUNT)
            secrets = {session.token for session in office.simulator.world.tokens.sessions}
            await office.order("jwts", {"revoke": ["jwt-of-one", "jwt-of-two"]})
            await office.order("tokens/drop", {})
            with pytest.raises(RingCentralError) as raised:
                await client.json(ACCOUNT)
        rows = [str(list(row.values())) for row in await office.pool.fetch("SELECT * FROM access_tokens")]

        assert secrets
        told = f"{logs} {raised.value!r} {rows} {client!r}"
        for secret in (*secrets, "jwt-of-one", "jwt-of-two", office.simulator.options.client_secret):
            assert secret not in told
