"""The client against the simulator: what it sends, to whom, and what it makes of the answers."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from common.ringcentral.errors import (
    ForeignHost,
    Missing,
    NoBudget,
    SourceFailed,
    Throttled,
)
from tests.integration.foreign_host import ForeignServer, foreign_server
from tests.integration.test_ringcentral_client_support import ACCOUNT, NO_RECORDING, simulated

THREE = "jwt-of-one,jwt-of-two,jwt-of-three"


@pytest.fixture
async def foreign() -> AsyncIterator[ForeignServer]:
    async with foreign_server() as running:
        yield running


async def test_a_content_uri_on_a_foreign_host_gets_no_request_at_all(
    database_url: str, foreign: ForeignServer
) -> None:
    async with simulated(database_url) as office:
        client = await office.client()
        for uri in (f"{foreign.url}/audio", f"//{foreign.host}/audio", "https://a b/"):
            with pytest.raises(ForeignHost):
                async with client.stream(replace(NO_RECORDING, url=uri)):
                    pass

        assert foreign.requests == []
        assert (await office.counts())["requests"] == {}


async def test_a_redirect_to_a_foreign_host_is_not_followed_until_the_host_is_allowed(
    database_url: str, foreign: ForeignServer
) -> None:
    async with simulated(database_url) as office:
        client = await office.client()
        with pytest.raises(Missing):
            await client.json(NO_RECORDING)
        fault = {"endpoint": "recording.get", "kind": "redirect", "location": f"{foreign.url}/audio?signature=7"}
        await office.order("faults", fault)
        with pytest.raises(ForeignHost):
            await client.json(NO_RECORDING)
        assert foreign.requests == []

        await office.order("faults", fault)
        client = await office.client(RC_MEDIA_HOSTS=foreign.host)
        async with client.stream(NO_RECORDING) as answer:
            assert await answer.aread() == foreign.audio

        (request,) = foreign.requests
        assert request["Authorization"].startswith("Bearer ")
        assert request["path"] == "/audio?signature=7"


async def test_redirects_in_circles_end(database_url: str) -> None:
    async with simulated(database_url) as office:
        client = await office.client()
        await client.json(ACCOUNT)
        await office.order(
            "faults", {"endpoint": "account.get", "kind": "redirect", "location": ACCOUNT.url, "times": 99}
        )
        with pytest.raises(SourceFailed, match="circles"):
            await client.json(ACCOUNT)


async def test_after_a_429_nobody_sends_until_the_penalty_is_over(database_url: str) -> None:
    async with simulated(database_url) as office:
        one, other = await office.client(), await office.client()
        for client in (one, other):
            with pytest.raises(Missing):
                await client.json(NO_RECORDING)
        await office.order("faults", {"endpoint": "recording.get", "kind": "penalty"})
        asked = time.monotonic()
        with pytest.raises(Throttled) as throttled:
            await one.json(NO_RECORDING)
        with pytest.raises(Missing):
            await other.json(NO_RECORDING)

        assert throttled.value.retry_after == 1
        assert time.monotonic() - asked >= 1
        counts = await office.counts()
        assert (counts["refused_later"], counts["refused_over_limit"]) == (0, 0)


async def test_a_429_without_limit_headers_closes_everything(database_url: str) -> None:
    async with simulated(database_url, jwt=THREE) as office:
        client = await office.client()
        await client.check_account()
        await office.order("faults", {"endpoint": "recording.get", "kind": "throttle_all", "seconds": 1})
        with pytest.raises(Throttled):
            await client.json(NO_RECORDING)
        await asyncio.gather(*(client.json(ACCOUNT) for _ in range(3)))

        assert (await office.counts())["refused_later"] == 0


async def test_a_limit_that_is_lowered_is_refused_once_and_kept_to_after_that(database_url: str) -> None:
    async with simulated(database_url, speed=20.0) as office:  # a window is longer than a process is held up
        client = await office.client()
        await asyncio.gather(*(client.json(NO_RECORDING) for _ in range(8)), return_exceptions=True)
        await office.order("limits", {"heavy": 3})
        results = await asyncio.gather(*(client.json(NO_RECORDING) for _ in range(6)), return_exceptions=True)

        assert all(isinstance(result, Missing | Throttled) for result in results)
        counts = await office.counts()
        assert counts["refused_later"] == 0
        bucket = next(group for group in counts["groups"] if group["group"] == "heavy")
        assert bucket["refused"] <= 2  # two were free at that moment


async def test_a_connection_that_is_lost_costs_its_slot_and_no_more(database_url: str) -> None:
    async with simulated(database_url) as office:
        client = await office.client()
        with pytest.raises(Missing):
            await client.json(NO_RECORDING)
        await office.order("faults", {"endpoint": "recording.get", "kind": "drop", "times": 3})
        results = await asyncio.gather(*(client.json(NO_RECORDING) for _ in range(14)), return_exceptions=True)

        assert sum(isinstance(result, SourceFailed) for result in results) == 3
        assert sum(isinstance(result, Missing) for result in results) == 11
        assert (await office.counts())["refused"] == 0


async def test_a_server_that_cannot_be_reached_costs_no_slot(database_url: str) -> None:
    async with simulated(database_url) as office:
        client = await office.client(RC_MEDIA_HOSTS="127.0.0.1:9")
        with pytest.raises(Missing):
            await client.json(NO_RECORDING)
        for _ in range(12):
            with pytest.raises(SourceFailed, match="ConnectError"):
                await client.json(replace(NO_RECORDING, url="http://127.0.0.1:9/audio"))

        assert await office.pool.fetchval("SELECT count(*) FROM rate_slots WHERE grant_id IS NOT NULL") == 0


async def test_requests_that_are_cancelled_lead_to_no_refusal_and_leave_nothing_taken(database_url: str) -> None:
    async with simulated(database_url) as office:
        client = await office.client()
        with pytest.raises(Missing):
            await client.json(NO_RECORDING)
        for number in range(25):
            task = asyncio.create_task(client.json(NO_RECORDING))
            await asyncio.wait([task], timeout=0.002 * number)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or isinstance(task.exception(), Missing)

        assert await office.pool.fetchval("SELECT count(*) FROM rate_slots WHERE grant_id IS NOT NULL") == 0
        assert (await office.counts())["refused"] == 0


async def test_patience_ends_with_no_request_sent(database_url: str) -> None:
    async with simulated(database_url, speed=1.0) as office:
        client = await office.client()
        with pytest.raises(Missing):  # its answer tells the limit
            await client.json(NO_RECORDING)
        results = await asyncio.gather(
            *(client.json(replace(NO_RECORDING, patience=10)) for _ in range(11)), return_exceptions=True
        )

        assert sum(isinstance(result, NoBudget) for result in results) == 2
        assert (await office.counts())["requests"]["recording.get"] == 10
