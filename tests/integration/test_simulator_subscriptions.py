"""The simulator and a webhook: what a subscription must be, the handshake and the lifetime."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from aiohttp import web

from simulator import Simulator, SimulatorOptions
from tests.integration.test_simulator_support import INSIGHTS, SUBSCRIPTION, Receiver, subscribe

#: ten minutes of failing last a fifth of a second.
SPEED = 3000.0


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorOptions(recordings=6, speed=SPEED, history=4000, elapsed=4000)) as running:
        yield running


def code(answer: httpx.Response) -> str:
    assert answer.status_code in {400, 403, 404}
    return str(answer.json()["errors"][0]["errorCode"])


async def test_a_good_handshake_makes_a_subscription(http: httpx.AsyncClient, receiver: Receiver) -> None:
    answer = await subscribe(http, receiver, mode={"verificationToken": "secret"})
    assert answer.status_code == 200
    made = answer.json()
    assert made["status"] == "Active"
    assert made["eventFilters"] == [INSIGHTS.replace("~", "700100200")]
    assert made["deliveryMode"] == {"transportType": "WebHook", "encryption": False, "address": receiver.url}
    assert "secret" not in answer.text
    assert [one["id"] for one in (await http.get(SUBSCRIPTION)).json()["records"]] == [made["id"]]
    assert (await http.delete(f"{SUBSCRIPTION}/{made['id']}")).status_code == 204
    assert code(await http.get(f"{SUBSCRIPTION}/{made['id']}")) == "CMN-102"


def _with(**more: str) -> Callable[[str], web.Response]:
    return lambda token: web.Response(headers={"Validation-Token": token, "Content-Type": "application/json", **more})


@pytest.mark.parametrize(
    ("handshake", "expected"),
    [
        (lambda _token: web.json_response({}), "SUB-520"),
        (lambda _token: web.json_response({}, headers={"Validation-Token": "another"}), "SUB-520"),
        (lambda token: web.json_response({}, status=201, headers={"Validation-Token": token}), "SUB-522"),
        (lambda token: web.Response(text="ok", headers={"Validation-Token": token}), "SUB-525"),
        (_with(**{"Content-Security-Policy": "x" * 1000}), "SUB-525"),
        (lambda token: web.json_response("x" * 900, headers={"Validation-Token": token}), "SUB-525"),
    ],
    ids=["no echo", "wrong echo", "201", "text", "large headers", "large body"],
)
async def test_a_wrong_handshake_is_refused_with_its_code(
    http: httpx.AsyncClient, receiver: Receiver, handshake: Callable[[str], web.Response], expected: str
) -> None:
    receiver.handshake = handshake
    assert code(await subscribe(http, receiver)) == expected
    assert (await http.get(SUBSCRIPTION)).json()["records"] == []


async def test_a_handshake_of_exactly_1024_bytes_passes_and_one_more_does_not(
    http: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.handshake = _with(Padding="x")
    async with httpx.AsyncClient() as plain:
        sample = await plain.post(receiver.url, headers={"Validation-Token": "0" * 36}, content=b"")
    size = len("HTTP/1.1 200 OK\r\n") + sum(len(name) + len(value) + 4 for name, value in sample.headers.raw) + 2
    receiver.handshake = _with(Padding="x" * (1 + 1024 - size))
    assert (await subscribe(http, receiver)).status_code == 200
    receiver.handshake = _with(Padding="x" * (2 + 1024 - size))
    assert code(await subscribe(http, receiver)) == "SUB-525"


async def test_a_webhook_that_is_away_or_too_slow_is_not_reachable(http: httpx.AsyncClient, receiver: Receiver) -> None:
    receiver.delay = 3.3
    slow = asyncio.create_task(subscribe(http, receiver))
    away = await subscribe(http, receiver, mode={"address": "http://127.0.0.1:9/"})
    assert code(away) == "SUB-521"
    assert code(await slow) == "SUB-521"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"eventFilters": ["/nonsense"]}, "SUB-508"),
        ({"eventFilters": [INSIGHTS.replace("~", "999")]}, "SUB-406"),
        ({"eventFilters": ["/restapi/v1.0/account/~/extension/999/presence"]}, "SUB-405"),
        ({"eventFilters": ["/restapi/v1.0/subscription/~?threshold=60&interval=15"]}, "SUB-515"),
        ({"eventFilters": []}, "CMN-101"),
        ({"expiresIn": 0}, "CMN-101"),
        ({"mode": {"transportType": "PubNub"}}, "CMN-101"),
        ({"mode": {"address": "ftp://example.com"}}, "CMN-101"),
    ],
)
async def test_a_wrong_subscription_is_refused_before_the_handshake(
    http: httpx.AsyncClient, receiver: Receiver, more: dict[str, Any], expected: str
) -> None:
    assert code(await subscribe(http, receiver, **more)) == expected
    assert receiver.requests == 0


async def test_the_thirty_first_subscription_is_refused(http: httpx.AsyncClient, receiver: Receiver) -> None:
    assert [(await subscribe(http, receiver)).status_code for _ in range(30)] == [200] * 30
    assert code(await subscribe(http, receiver)) == "SUB-505"


async def test_a_filter_without_the_permission_is_disabled(http: httpx.AsyncClient, receiver: Receiver) -> None:
    await http.post("/simulator/permissions", json={"revoke": ["ReadRingSenseInsights"]})
    made = (
        await subscribe(http, receiver, eventFilters=[INSIGHTS, "/restapi/v1.0/account/~/extension/~/presence"])
    ).json()
    assert [one["filter"] for one in made["disabledFilters"]] == [INSIGHTS]
    assert len(made["eventFilters"]) == 1


async def test_a_renewed_subscription_lives_longer_and_an_expired_one_is_gone(
    http: httpx.AsyncClient, receiver: Receiver
) -> None:
    day = 86_400
    made = (await subscribe(http, receiver, expiresIn=10 * day)).json()
    url = f"{SUBSCRIPTION}/{made['id']}"
    await http.post("/simulator/clock", json={"advance": 9 * day})
    renewed = (await http.post(f"{url}/renew")).json()
    assert renewed["expirationTime"] > made["expirationTime"]
    updated = await http.put(url, json={"eventFilters": [INSIGHTS], "expiresIn": 20 * day})
    assert updated.json()["expirationTime"] > renewed["expirationTime"]
    await http.post("/simulator/clock", json={"advance": 20 * day})
    assert code(await http.get(url)) == "SUB-507"
    assert (await http.get(SUBSCRIPTION)).json()["records"] == []
