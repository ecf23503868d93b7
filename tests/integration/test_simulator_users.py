"""The simulator with several users and accounts: revoked credentials, foreign users, rotated secrets."""

from collections.abc import AsyncIterator

import httpx
import pytest

from simulator import Simulator, SimulatorOptions
from tests.integration.test_simulator_support import ACCOUNT, ask_token, codes, listening, sign_in, subscribe, unlimited


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    options = SimulatorOptions(
        recordings=20,
        speed=100,
        history=4000,
        elapsed=4000,
        jwt="one,two,stranger,gone",
        foreign_users="2",
        revoked_jwts="gone",
    )
    async with Simulator(options) as running:
        yield running


@pytest.fixture
async def http(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=simulator.url, timeout=60) as client:
        await unlimited(client)
        yield client


async def test_a_user_of_another_account_sees_that_account_only(simulator: Simulator, http: httpx.AsyncClient) -> None:
    stranger, own = await sign_in(http, "stranger"), await sign_in(http)
    assert (await http.get(ACCOUNT, headers=stranger)).json()["id"] == int(simulator.options.foreign_account_id)
    ours = f"/restapi/v1.0/account/{simulator.options.account_id}"
    assert codes(await http.get(f"{ours}/call-log", headers=stranger)) == (404, "CMN-102", "CMN-102")
    recording = next(iter(simulator.world.company.recordings))
    assert (await http.get(f"{ACCOUNT}/recording/{recording}/content", headers=own)).status_code == 200
    assert (await http.get(f"{ACCOUNT}/recording/{recording}/content", headers=stranger)).status_code == 404
    seen = (await http.get(f"{ACCOUNT}/call-log?dateFrom=2020-01-01T00:00:00Z", headers=stranger)).json()["records"]
    assert {one["id"] for one in seen} == {call.id for call in simulator.world.neighbour.calls}


async def test_a_user_can_move_to_another_account_and_back(simulator: Simulator, http: httpx.AsyncClient) -> None:
    token = await sign_in(http)
    owner = (await ask_token(http)).json()["owner_id"]
    for foreign, account in ((True, simulator.options.foreign_account_id), (False, simulator.options.account_id)):
        await http.post("/simulator/users", json={"owner_id": owner, "foreign": foreign})
        assert (await http.get(ACCOUNT, headers=token)).json()["id"] == int(account)
    unknown = await http.post("/simulator/users", json={"owner_id": "1", "foreign": True})
    assert "no such user" in unknown.json()["error"]


async def test_a_revoked_credential_gets_no_token_and_its_sessions_end(http: httpx.AsyncClient) -> None:
    assert (await ask_token(http, "gone")).json()["error"] == "invalid_grant"
    token, other = await sign_in(http, "one"), await sign_in(http, "two")
    assert (await http.post("/simulator/jwts", json={"revoke": ["one"]})).json() == {"revoked": 2}
    assert (await http.get(ACCOUNT, headers=token)).status_code == 401
    assert (await http.get(ACCOUNT, headers=other)).status_code == 200
    assert (await ask_token(http, "one")).json()["error"] == "invalid_grant"
    await http.post("/simulator/jwts", json={"restore": ["one", "gone"]})
    assert (await ask_token(http, "one")).status_code == (await ask_token(http, "gone")).status_code == 200


async def test_one_user_alone_can_lack_a_permission(http: httpx.AsyncClient) -> None:
    weak, strong = await sign_in(http, "one"), await sign_in(http, "two")
    owner = (await ask_token(http, "one")).json()["owner_id"]
    await http.post("/simulator/permissions", json={"owner_id": owner, "revoke": ["FullCompanyCallLog"]})
    refused = await http.get(f"{ACCOUNT}/call-log", headers=weak)
    assert codes(refused) == (403, "InsufficientPermissions", "CMN-408")
    assert refused.json()["permissionName"] == "FullCompanyCallLog"
    assert (await http.get(f"{ACCOUNT}/call-log", headers=strong)).status_code == 200


async def test_a_client_secret_is_rotated_while_both_are_right_for_a_time(
    simulator: Simulator, http: httpx.AsyncClient
) -> None:
    async def status_with(secret: str) -> int:
        data = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "one"}
        auth = (simulator.options.client_id, secret)
        return (await http.post("/restapi/oauth/token", data=data, auth=auth)).status_code

    old = simulator.options.client_secret
    token = await sign_in(http)
    await http.post("/simulator/client-secrets", json={"add": "new"})
    assert [await status_with(old), await status_with("new")] == [200, 200]
    await http.post("/simulator/client-secrets", json={"remove": old})
    assert [await status_with(old), await status_with("new")] == [400, 200]
    assert (await http.get(ACCOUNT, headers=token)).status_code == 200, "sessions outlive the secret"


async def test_others_signing_in_as_the_same_user_push_its_sessions_out(http: httpx.AsyncClient) -> None:
    token = await sign_in(http)
    minted = (await http.get("/simulator/counts")).json()["tokens_minted"]
    await http.post("/simulator/sessions", json={"count": 4})
    assert (await http.get(ACCOUNT, headers=token)).status_code == 200
    await http.post("/simulator/sessions", json={"count": 1})
    assert (await http.get(ACCOUNT, headers=token)).status_code == 401
    assert (await http.get("/simulator/counts")).json()["tokens_minted"] == minted, "only the client's are counted"


async def test_events_of_another_account_come_to_the_same_address_and_refusing_them_does_no_harm(
    simulator: Simulator, http: httpx.AsyncClient
) -> None:
    http.headers.update(await sign_in(http))
    async with listening() as receiver:
        made = (await subscribe(http, receiver, mode={"verificationToken": "secret"})).json()
        receiver.status = 403
        sent = (await http.post("/simulator/events/foreign")).json()
        assert sent == {"sent": 3, "refused": 3}
        foreign = simulator.options.foreign_account_id
        assert all(foreign in one["event"] for one in receiver.events)
        assert all(headers["Verification-Token"] == "secret" for headers in receiver.headers[1:])
        assert {one["body"]["sourceRecordId"] for one in receiver.events} == set(
            (await simulator.truth())["foreign"]["recordings"]
        )
        records = (await http.get("/simulator/subscriptions")).json()["records"]
        assert [(one["id"], one["failing"]) for one in records] == [(made["id"], False)]
        assert (await http.get("/simulator/counts")).json()["foreign_events"] == {"refused": 3}
