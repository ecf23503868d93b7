"""Several service users: whoever has a slot sends, and whoever is refused is set aside."""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from common.ringcentral.errors import (
    CredentialRefused,
    Forbidden,
    Missing,
)
from tests.integration.test_ringcentral_client_support import ACCOUNT, NO_RECORDING, simulated

THREE = "jwt-of-one,jwt-of-two,jwt-of-three"


def users_of(counts: dict[str, list[dict[str, object]]], group: str) -> list[object]:
    return [one["user"] for one in counts["groups"] if one["group"] == group and one["granted"]]


async def test_a_request_takes_the_slot_of_whichever_user_has_one(database_url: str) -> None:
    async with simulated(database_url, jwt=THREE, speed=1.0) as office:
        client = await office.client()
        await client.check_account()
        results = await asyncio.gather(*(client.json(NO_RECORDING) for _ in range(30)), return_exceptions=True)
        counts = await office.counts()

        assert {type(result) for result in results} == {Missing}
        assert [one["granted"] for one in counts["groups"] if one["group"] == "heavy"] == [10, 10, 10]
        assert counts["refused"] == 0


async def test_three_credentials_of_one_user_have_one_budget(database_url: str) -> None:
    async with simulated(database_url, jwt=THREE, users_of_jwts="0,0,0", speed=1.0) as office:
        client = await office.client()
        await client.check_account()
        hurried = replace(NO_RECORDING, patience=10)
        results = await asyncio.gather(*(client.json(hurried) for _ in range(15)), return_exceptions=True)

        assert sorted(type(result).__name__ for result in results) == ["Missing"] * 10 + ["NoBudget"] * 5
        assert (await office.counts())["refused"] == 0


async def test_a_revoked_jwt_is_set_aside_and_the_others_go_on(database_url: str) -> None:
    async with simulated(database_url, jwt=THREE, revoked_jwts="jwt-of-one") as office:
        client = await office.client()
        with capture_logs() as logs:
            await client.check_account()

        (told,) = [line for line in logs if line["event"] == "credential_set_aside"]
        assert told["credential"] == "credential 1 of RC_JWT"
        assert "OAU-213" in told["reason"]
        assert len(client.credentials) == 2
        for _ in range(4):
            await client.json(ACCOUNT)
        assert (await office.counts())["requests"]["oauth.token"] == 3


async def test_a_credential_of_another_account_is_set_aside_and_never_used(database_url: str) -> None:
    async with simulated(database_url, jwt=THREE, foreign_users="1") as office:
        client = await office.client()
        with capture_logs() as logs:
            await client.check_account()
        for _ in range(3):
            with pytest.raises(Missing):
                await client.json(NO_RECORDING)

        (told,) = [line for line in logs if line["event"] == "credential_set_aside"]
        assert (told["credential"], "RC_ACCOUNT_ID" in told["reason"]) == ("credential 2 of RC_JWT", True)
        foreign = office.simulator.world.tokens.users[1].extension_id
        assert foreign not in users_of(await office.counts(), "heavy")


async def test_whoever_was_set_aside_is_tried_again_and_proves_its_account_first(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.ringcentral.service_users.REFUSED_FOR", 1.0)
    monkeypatch.setattr("common.ringcentral.token.REFUSED_FOR", 1.0)
    async with simulated(database_url, jwt=THREE, revoked_jwts="jwt-of-one", foreign_users="1") as office:
        client = await office.client()
        await client.check_account()
        await office.order("jwts", {"restore": ["jwt-of-one"]})
        await office.order("users", {"foreign": False})
        while len(users_of(await office.counts(), "heavy")) < 3:
            with pytest.raises(Missing):
                await client.json(NO_RECORDING)

        assert len(client.credentials) == 3
        assert (await office.counts())["refused"] == 0


@pytest.mark.parametrize("options", [{"foreign_users": "0"}, {"revoked_jwts": "simulator.jwt.one"}])
async def test_the_start_is_refused_when_no_credential_is_left(database_url: str, options: dict[str, str]) -> None:
    async with simulated(database_url, **options) as office:
        client = await office.client()
        with pytest.raises(CredentialRefused):
            await client.check_account()
        with pytest.raises(CredentialRefused):
            await client.json(ACCOUNT)
        assert len(client.credentials) == 1


async def test_a_user_without_the_permission_is_set_aside_when_another_has_it(database_url: str) -> None:
    async with simulated(database_url, jwt="jwt-of-one,jwt-of-two") as office:
        client = await office.client()
        await client.check_account()
        lacking = office.simulator.world.tokens.users[0].extension_id
        await office.order("permissions", {"revoke": ["ReadCompanyCallRecording"], "owner_id": lacking})
        with capture_logs() as logs:
            for _ in range(8):
                with pytest.raises(Missing):
                    await client.json(NO_RECORDING)
        # "Not there" is no proof that the other may; what is there is.
        recording = (await office.simulator.truth())["recordings"][0]["id"]
        with capture_logs() as more:
            for _ in range(4):
                await client.json(replace(NO_RECORDING, url=f"/restapi/v1.0/account/~/recording/{recording}"))

        told = [line for line in (*logs, *more) if line["event"] == "credential_set_aside"]
        assert len(told) == 1
        assert "ReadCompanyCallRecording" in told[0]["reason"]
        await client.json(replace(ACCOUNT, credential=client.credentials[0]))  # what is its own, it still does


async def test_a_permission_that_everybody_lacks_is_told_and_nobody_is_set_aside(database_url: str) -> None:
    async with simulated(database_url, jwt="jwt-of-one,jwt-of-two") as office:
        client = await office.client()
        await office.order("permissions", {"revoke": ["ReadCompanyCallRecording"]})
        with pytest.raises(Forbidden, match="ReadCompanyCallRecording"):
            await client.json(NO_RECORDING)

        assert len(client.credentials) == 2
        await client.json(ACCOUNT)


async def test_a_missing_scope_of_the_app_is_asked_for_once(database_url: str) -> None:
    async with simulated(database_url, jwt="jwt-of-one,jwt-of-two") as office:
        client = await office.client()
        await client.check_account()
        office.simulator.world.tokens.scopes.discard("ReadCallRecording")
        with pytest.raises(Forbidden, match="scope of the app"):
            await client.json(NO_RECORDING)

        assert (await office.counts())["requests"]["recording.get"] == 1
