"""The simulator over real sockets: tokens, sessions, permissions and the request budget."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator

import httpx
import pytest

from simulator import Simulator, SimulatorOptions
from tests.integration.test_simulator_support import ACCOUNT, ask_token, codes, sign_in, stop_time, unlimited

#: business seconds per real one: rate windows last 0.6 s, so that waiting for one is quick.
SPEED = 100.0


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A company whose calls are all in the past, its insights included."""
    options = SimulatorOptions(
        recordings=40, speed=SPEED, history=4000, elapsed=4000, jwt="one,two,second-of-two", users_of_jwts="0,1,1"
    )
    async with Simulator(options) as running:
        yield running


@pytest.fixture
async def http(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=simulator.url, timeout=60) as client:
        yield client


async def test_a_token_has_what_the_specification_promises(http: httpx.AsyncClient) -> None:
    answer = (await ask_token(http)).json()
    assert answer["token_type"] == "bearer"
    assert answer["expires_in"] == 36, "an hour at speed 100"
    assert {"access_token", "scope", "session_id", "owner_id", "endpoint_id"} <= set(answer)


async def test_two_credentials_of_one_user_have_the_same_owner(http: httpx.AsyncClient) -> None:
    one, two, again = [(await ask_token(http, jwt)).json()["owner_id"] for jwt in ("one", "two", "second-of-two")]
    assert two == again != one


@pytest.mark.parametrize(
    ("form", "error", "code"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type", "OAU-250"),
        ({"assertion": "somebody.elses.jwt"}, "invalid_grant", "OAU-213"),
        ({"access_token_ttl": "5"}, "invalid_request", "CMN-101"),
    ],
)
async def test_a_wrong_token_request_is_refused(
    http: httpx.AsyncClient, form: dict[str, str], error: str, code: str
) -> None:
    answer = await ask_token(http, **form)
    assert (answer.status_code, answer.json()["error"], answer.json()["errors"][0]["errorCode"]) == (400, error, code)


async def test_a_sixth_session_ends_the_oldest_one(http: httpx.AsyncClient) -> None:
    await unlimited(http)
    sessions = [await sign_in(http) for _ in range(5)]
    other = await sign_in(http, "two")
    assert (await http.get(ACCOUNT, headers=sessions[0])).status_code == 200
    sixth = await sign_in(http)
    assert codes(await http.get(ACCOUNT, headers=sessions[0])) == (401, "TokenInvalid", "OAU-213")
    for living in (sessions[1], sixth, other):
        assert (await http.get(ACCOUNT, headers=living)).status_code == 200


async def test_tokens_end_by_time_by_revocation_and_by_order(http: httpx.AsyncClient) -> None:
    await unlimited(http)
    token = await sign_in(http)
    await http.post("/simulator/clock", json={"advance": 3600})
    assert codes(await http.get(ACCOUNT, headers=token)) == (401, "TokenExpired", "OAU-128")
    token = await sign_in(http)
    options = SimulatorOptions()
    form = {"token": token["Authorization"].removeprefix("Bearer ")}
    await http.post("/restapi/oauth/revoke", data=form, auth=(options.client_id, options.client_secret))
    assert (await http.get(ACCOUNT, headers=token)).status_code == 401
    token = await sign_in(http)
    assert (await http.post("/simulator/tokens/drop")).json() == {"dropped": 2}, "the expired one counts"
    assert (await http.get(ACCOUNT, headers=token)).status_code == 401


async def test_requests_without_a_usable_token_are_refused_by_the_gateway(http: httpx.AsyncClient) -> None:
    assert codes(await http.get(ACCOUNT)) == (401, "AGW-401", "AGW-401")
    assert codes(await http.get(ACCOUNT, headers={"Authorization": "Basic x"})) == (401, "AGW-402", "AGW-402")
    assert codes(await http.get(f"{ACCOUNT}?access_token=x")) == (401, "AGW-401", "AGW-401")
    assert codes(await http.get("/restapi/v1.0/unknown")) == (404, "AGW-404", "AGW-404")


async def test_another_account_is_not_found(http: httpx.AsyncClient) -> None:
    answer = await http.get("/restapi/v1.0/account/999/call-log", headers=await sign_in(http))
    assert codes(answer) == (404, "CMN-102", "CMN-102")


async def test_a_missing_scope_or_permission_is_named(http: httpx.AsyncClient) -> None:
    token = await sign_in(http)
    await http.post("/simulator/permissions", json={"revoke": ["ReadCallLog", "ReadRingSenseInsights"]})
    answer = await http.get(f"{ACCOUNT}/call-log", headers=token)
    assert codes(answer) == (403, "InsufficientPermissions", "CMN-401")
    assert answer.json()["permissionName"] == "ReadCallLog"
    check = f"{ACCOUNT}/extension/~/authz-profile/check?permissionId=ReadRingSenseInsights"
    assert (await http.get(check, headers=token)).json()["successful"] is False
    await http.post("/simulator/permissions", json={"grant": ["ReadRingSenseInsights"]})
    assert (await http.get(check, headers=token)).json()["successful"] is True


async def test_the_eleventh_heavy_request_within_its_minute_is_refused_and_asking_again_restarts_the_penalty(
    simulator: Simulator, http: httpx.AsyncClient
) -> None:
    let_pass = stop_time(simulator)
    token = await sign_in(http)
    answers = [await http.get(f"{ACCOUNT}/call-log?perPage=1", headers=token) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    assert answers[0].headers["X-Rate-Limit-Group"] == "heavy"
    assert [answers[0].headers[f"X-Rate-Limit-{name}"] for name in ("Limit", "Remaining", "Window")] == ["10", "9", "1"]
    assert codes(answers[10]) == (429, "CMN-301", "CMN-301")
    assert answers[10].headers["Retry-After"] == "1"
    assert (await http.get(ACCOUNT, headers=token)).status_code == 200, "another group is open"

    # Asking in the middle of the penalty: it ends a whole penalty (0.6 s) after that.
    for _ in range(2):
        let_pass(0.4)
        assert (await http.get(f"{ACCOUNT}/call-log?perPage=1", headers=token)).status_code == 429
    let_pass(0.65)
    assert (await http.get(f"{ACCOUNT}/call-log?perPage=1", headers=token)).status_code == 200

    groups = (await http.get("/simulator/counts")).json()["groups"]
    heavy = next(group for group in groups if group["group"] == "heavy")
    assert (heavy["granted"], heavy["refused"]) == (11, 3)
    assert heavy["most_in_a_window"] > 10, "requests that were refused have arrived, too"


async def test_the_sixth_token_request_is_refused(simulator: Simulator, http: httpx.AsyncClient) -> None:
    stop_time(simulator)
    assert [(await ask_token(http)).status_code for _ in range(6)] == [200] * 5 + [429]
    assert (await ask_token(http, "two")).status_code == 200


async def test_the_command_says_where_it_listens_and_ends_cleanly_on_sigterm() -> None:
    arguments = ("-m", "simulator", "--recordings", "3", "--seed", "1")
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    told = json.loads(await process.stdout.readline())
    async with httpx.AsyncClient(base_url=told["url"], timeout=60) as client:
        assert (await client.get("/simulator/health")).json()["ok"] is True
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    assert set(told) == {"url", "account_id", "client_id", "client_secret", "jwt"}
