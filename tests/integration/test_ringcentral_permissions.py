"""Permissions that one of several service users lacks: the others do what it may not, it does everything else."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from common.ringcentral.budget import Group
from common.ringcentral.client import Ask, RingCentral
from common.ringcentral.errors import Forbidden
from tests.integration.test_ringcentral_client_support import ACCOUNT, Office, simulated

CALL_LOG = Ask("GET", "/restapi/v1.0/account/~/call-log", Group.HEAVY)


@pytest.fixture
async def office(database_url: str) -> AsyncIterator[Office]:
    """Two service users, each with ten heavy requests in a minute, which no test here outlasts."""
    async with simulated(database_url, jwt="jwt-of-one,jwt-of-two", speed=1.0) as office:
        yield office


async def content_of(office: Office) -> Ask:
    recording = (await office.simulator.truth())["recordings"][0]["id"]
    return Ask("GET", f"/restapi/v1.0/account/~/recording/{recording}/content", Group.HEAVY)


async def download(client: RingCentral, content: Ask) -> int:
    async with client.stream(content) as answer:
        return len(await answer.aread())


async def refuse(office: Office, user: int, permission: str) -> None:
    owner_id = office.simulator.world.tokens.users[user].extension_id
    await office.order("permissions", {"revoke": [permission], "owner_id": owner_id})


async def test_a_user_without_the_call_log_gives_its_budget_to_the_audio(office: Office) -> None:
    client, content = await office.client(), await content_of(office)
    await client.check_account()
    await refuse(office, 0, "FullCompanyCallLog")
    with capture_logs() as logs:
        asked = 0
        while not [line for line in logs if line["event"] == "credential_set_aside"]:
            await client.json(CALL_LOG)
            asked += 1
        for _ in range(2):
            await client.json(CALL_LOG)
    left = 20 - (asked + 2) - 1  # the one that was refused
    sizes = await asyncio.gather(*(download(client, content) for _ in range(left)))
    counts = await office.counts()

    assert all(sizes)
    assert counts["answers"]["call_log.list 403"] == 1
    assert [one["granted"] for one in counts["groups"] if one["group"] == "heavy"] == [10, 10]
    (told,) = [line for line in logs if line["event"] == "credential_set_aside"]
    assert told["credential"] == "credential 1 of RC_JWT"
    assert told["endpoint"] == "GET /restapi/v1.0/account/*/call-log"
    assert "FullCompanyCallLog" in told["reason"]


async def test_two_users_who_lack_different_permissions_share_the_work(office: Office) -> None:
    client, content = await office.client(), await content_of(office)
    await client.check_account()
    await refuse(office, 0, "FullCompanyCallLog")
    await refuse(office, 1, "ReadCompanyCallRecording")
    for _ in range(6):
        await client.json(CALL_LOG)
        assert await download(client, content) > 0

    answers = (await office.counts())["answers"]
    assert (answers["call_log.list 200"], answers["recording.content 200"]) == (6, 6)
    assert max(answers.get("call_log.list 403", 0), answers.get("recording.content 403", 0)) <= 1


async def test_a_credential_that_is_revoked_is_barred_from_everything(office: Office) -> None:
    client, content = await office.client(), await content_of(office)
    await client.check_account()
    await office.order("jwts", {"revoke": ["jwt-of-one"]})
    for _ in range(4):
        await client.json(CALL_LOG)
        assert await download(client, content) > 0

    assert len(client.credentials) == 1
    assert (await office.counts())["requests"]["oauth.token"] == 3
    refused = office.simulator.world.tokens.users[0].extension_id
    assert not [one for one in (await office.counts())["groups"] if one["user"] == refused and one["group"] == "heavy"]


async def test_a_user_who_may_not_see_the_account_is_set_aside_and_the_others_go_on(office: Office) -> None:
    fault = {"endpoint": "account.get", "kind": "status", "status": 403, "code": "CMN-408"}
    await office.order("faults", fault)
    client = await office.client()
    with capture_logs() as logs:
        await client.check_account()
        for _ in range(3):
            await client.json(CALL_LOG)

    (told,) = [line for line in logs if line["event"] == "credential_set_aside"]
    assert "CMN-408" in told["reason"]
    assert len(client.credentials) == 1
    assert (await office.counts())["requests"]["account.get"] == 2


async def test_an_account_that_nobody_may_see_is_not_asked_for_on_and_on(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.ringcentral.service_users._TRY_AGAIN", 0.0)
    fault = {"endpoint": "account.get", "kind": "status", "status": 403, "code": "CMN-408", "times": 99}
    await office.order("faults", fault)
    client = await office.client()
    for _ in range(5):
        with pytest.raises(Forbidden, match="CMN-408"):
            await client.check_account()

    assert (await office.counts())["requests"]["account.get"] == 2


async def test_requests_of_a_user_s_own_are_asked_although_it_is_barred_from_the_endpoint(office: Office) -> None:
    client = await office.client()
    await client.check_account()
    first = client.credentials[0]
    await refuse(office, 0, "FullCompanyCallLog")
    while (await office.counts())["answers"].get("call_log.list 403", 0) == 0:
        await client.json(CALL_LOG)
    with pytest.raises(Forbidden, match="FullCompanyCallLog"):
        await client.json(replace(CALL_LOG, credential=first))
    assert (await office.counts())["answers"]["call_log.list 403"] == 2
    await client.json(replace(ACCOUNT, credential=first))

    assert len(client.credentials) == 2
