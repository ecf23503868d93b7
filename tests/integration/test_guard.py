"""The subscription guardian against the simulator: one live subscription, whatever happens to it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from common.database.pool import Pool
from common.ringcentral import subscription as subscriptions
from common.ringcentral.client import open_ringcentral
from common.ringcentral.errors import Forbidden, SourceFailed
from common.telemetry.metrics import REGISTRY
from demo.simulated_account import settings_for
from services.poller.guard_outages import silence_guard
from services.poller.leadership import LeadershipLost
from simulator.subscriptions import SUBSCRIPTION_LIMIT, Subscription, Subscriptions
from tests.integration.guarded import DAY, MINUTE, Guarded, guarded

EXPIRES = "ringvault_subscription_expires_timestamp_seconds"


@pytest.fixture
async def account(pool: Pool) -> AsyncIterator[Guarded]:
    async with guarded(pool) as opened:
        yield opened


async def foreign_one(account: Guarded, address: str) -> str:
    """A subscription of another installation on the same app."""
    client = account.client
    made = await subscriptions.create(
        client,
        credential=client.credentials[0],
        address=address,
        token="theirs",
        domains=["pbx"],
        lifetime=30 * 24 * 3600,
    )
    return made.subscription_id


async def test_there_is_one_subscription_however_often_it_looks(account: Guarded) -> None:
    await account.look()
    await account.look()

    assert account.only.verification_token == "token"
    assert await account.pool.fetchval("SELECT count(*) FROM subscriptions") == 1
    assert await account.pool.fetchval("SELECT count(*) FROM subscription_intents") == 0
    assert await account.outages() == []


@pytest.mark.parametrize("changed", ["token", "address", "domains"])
async def test_what_is_wanted_otherwise_is_made_before_the_old_one_goes(account: Guarded, changed: str) -> None:
    await account.look()
    old = account.only
    wanted = {"token": "new", "address": f"{account.receiver.url}?new", "domains": ("pbx", "rcv")}[changed]
    account.simulator.world.faults.add({"endpoint": "subscription.delete", "kind": "status", "status": 500})

    await account.look(**{changed: wanted})
    assert {one.id for one in account.living} > {old.id}, "the old one is there while the new one is made"
    await account.look()

    assert account.only.id != old.id
    assert await account.outages() == []


async def die_by_hand(account: Guarded, one: Subscription) -> None:
    account.simulator.world.subscriptions.remove(one.id)


async def die_of_age(account: Guarded, _one: Subscription) -> None:
    await account.pass_time(31 * DAY)


async def be_blacklisted(account: Guarded, one: Subscription) -> None:
    one.blacklist(account.simulator.world.clock.now(), "Read timed out")


async def be_suspended(_account: Guarded, one: Subscription) -> None:
    one.status = "Suspended"


DEATHS: dict[str, list[Callable[[Guarded, Subscription], Awaitable[None]]]] = {
    "gone": [die_by_hand, die_of_age],
    "blacklisted": [be_blacklisted],
    "inactive": [be_suspended],
}


@pytest.mark.parametrize(("reason", "death"), [(reason, death) for reason, all_ in DEATHS.items() for death in all_])
async def test_a_dead_one_is_replaced_within_one_pass_and_the_dark_interval_recorded(
    account: Guarded, reason: str, death: Callable[[Guarded, Subscription], Awaitable[None]]
) -> None:
    await account.look()
    dead, last_seen = account.only, account.clock.now()
    await account.pass_time(MINUTE)
    await death(account, dead)
    await account.pass_time(MINUTE)

    await account.look()
    await account.look()

    assert account.only.id != dead.id
    assert account.only.status == "Active"
    (outage,) = await account.outages()
    assert outage["reason"] == reason
    assert outage["subscription_id"] == dead.id
    assert outage["began_at"] <= last_seen < outage["ended_at"] <= account.clock.now()


async def test_it_is_renewed_for_months_and_never_made_again(account: Guarded) -> None:
    await account.look()
    first = account.only.id

    for _ in range(12):
        await account.pass_time(10 * DAY)
        await account.look()
        assert account.only.expires_at - account.simulator.world.clock.now() > 14 * DAY

    assert account.only.id == first
    assert await account.outages() == []


@pytest.mark.parametrize("lacking", [{"expiresIn"}, {"expiresIn", "expirationTime"}], ids=["seconds", "end"])
async def test_an_answer_that_does_not_tell_its_seconds_or_its_end_at_all_is_enough(
    account: Guarded, monkeypatch: pytest.MonkeyPatch, lacking: set[str]
) -> None:
    rendered = Subscriptions.rendered

    def without(self: Subscriptions, subscription: Subscription, url: str) -> dict[str, object]:
        # RingCentral's specification does not require the seconds.
        return {name: value for name, value in rendered(self, subscription, url).items() if name not in lacking}

    monkeypatch.setattr(Subscriptions, "rendered", without)
    await account.look()
    first = account.only.id
    for _ in range(4):
        await account.pass_time(10 * DAY)
        await account.look()

    assert account.only.id == first
    assert account.only.expires_at - account.simulator.world.clock.now() > 14 * DAY


async def test_a_record_without_a_lifetime_is_replaced(account: Guarded) -> None:
    await account.look()
    first = account.only.id
    await account.pool.execute("UPDATE subscriptions SET expires_at = renewed_at")

    await account.look()

    assert account.only.id != first
    assert await account.pool.fetchval("SELECT expires_at > renewed_at FROM subscriptions")
    assert await account.outages() == []


async def test_whoever_begins_to_lead_tells_when_the_subscription_ends(account: Guarded) -> None:
    await account.look()
    silence_guard()  # as in a process that has just started
    assert REGISTRY.get_sample_value(EXPIRES) == 0

    await account.look()

    assert REGISTRY.get_sample_value(EXPIRES) == pytest.approx(account.only.expires_at, abs=60)


async def test_one_that_cannot_be_renewed_is_replaced_before_it_ends(account: Guarded) -> None:
    await account.look()
    first = account.only.id
    account.simulator.world.faults.add(
        {"endpoint": "subscription.update", "kind": "status", "status": 403, "times": 99}
    )

    for _ in range(15):
        await account.pass_time(2 * DAY - 2 * MINUTE)
        await account.look()

    assert account.only.id != first
    assert await account.outages() == []


async def test_those_of_others_are_untouched_even_at_our_address(account: Guarded) -> None:
    theirs = {
        await foreign_one(account, f"{account.receiver.url}?theirs"),
        await foreign_one(account, account.receiver.url),
    }

    await account.look()
    await account.look(token="new")
    await account.look()

    assert theirs < {one.id for one in account.living}
    assert len(account.living) == 3


@pytest.mark.parametrize("error", [SourceFailed("cut"), RuntimeError("power cut")])
async def test_one_whose_making_was_cut_off_is_no_orphan(
    account: Guarded, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    theirs = await foreign_one(account, account.receiver.url)
    create = subscriptions.create

    async def made_and_never_known(*values: object, **more: object) -> None:
        await create(*values, **more)  # type: ignore[arg-type]
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(subscriptions, "create", made_and_never_known)
        with pytest.raises(type(error)):
            await account.look()
    assert len(account.living) == 2
    await account.look()
    await account.pass_time(20 * MINUTE)
    await account.look()

    assert len(account.living) == 2
    assert theirs in {one.id for one in account.living}
    assert account.simulator.world.requests["subscription.create"] == 2, "the one that was made is kept"
    assert await account.pool.fetchval("SELECT count(*) FROM subscription_intents") == 0


async def test_one_that_appears_after_another_was_made_in_its_place_is_removed(
    account: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RingCentral was slow: what it did not answer was made all the same, later than the next pass."""

    async def unanswered(*_values: object, **_more: object) -> None:
        raise SourceFailed("silence")

    with monkeypatch.context() as patched:
        patched.setattr(subscriptions, "create", unanswered)
        with pytest.raises(SourceFailed):
            await account.look()
    await account.look()
    kept = account.only.id
    await foreign_one(account, account.receiver.url)

    await account.look()

    assert account.only.id == kept


async def test_a_new_jwt_of_the_same_user_keeps_the_subscription(pool: Pool) -> None:
    async with guarded(pool, jwt="one,two", users_of_jwts="0,0") as account:
        settings = settings_for(account.simulator)
        one, two = (settings.model_copy(update={"rc_jwt": (jwt,)}) for jwt in settings.rc_jwt)
        async with (
            open_ringcentral(one, pool, account.clock) as before,
            open_ringcentral(two, pool, account.clock) as after,
        ):
            account.duty = replace(account.duty, client=before)
            await account.look()
            first = account.only.id
            account.duty = replace(account.duty, client=after)
            await account.look()
            await account.look(token="new")

        assert account.only.id != first
        assert account.simulator.world.requests["subscription.create"] == 2
        assert await account.outages() == []


@pytest.mark.parametrize("lacking", [1, 2])
async def test_a_user_without_the_permission_leaves_it_to_one_who_has_it_and_nothing_is_made_in_vain(
    account: Guarded, lacking: int
) -> None:
    for user in list(account.simulator.world.tokens.users.values())[:lacking]:
        user.permissions.discard("ReadRingSenseInsights")

    await account.look()
    await account.look()

    assert bool(account.only.disabled) == (lacking == 2)
    assert account.simulator.world.requests["subscription.create"] == 2


async def test_a_permission_that_is_granted_ends_the_outage_without_a_new_subscription(account: Guarded) -> None:
    users = account.simulator.world.tokens.users.values()
    for user in users:
        user.permissions.discard("ReadRingSenseInsights")
    await account.look()
    first = account.only
    await account.look()
    (outage,) = await account.outages()
    assert (outage["reason"], outage["ended_at"]) == ("filters_disabled", None)

    for user in users:
        user.permissions.add("ReadRingSenseInsights")
    await account.look()

    assert account.only is first
    assert not first.disabled
    (outage,) = await account.outages()
    assert outage["ended_at"] is not None


async def test_a_dead_one_of_ours_makes_room_when_there_are_too_many(pool: Pool) -> None:
    async with guarded(pool, jwt="one") as account:
        await account.look()
        account.only.status = "Suspended"
        for number in range(SUBSCRIPTION_LIMIT - 1):
            await foreign_one(account, f"{account.receiver.url}?{number}")

        with pytest.raises(Forbidden, match="SUB-505"):
            await account.look()
        await account.look()

        (live,) = [one for one in account.living if one.verification_token == "token"]
        assert live.status == "Active"
        assert len(account.living) == SUBSCRIPTION_LIMIT


async def test_who_leads_no_longer_makes_none(account: Guarded) -> None:
    await account.leadership.lease.release(account.pool)

    with pytest.raises(LeadershipLost):
        await account.look()

    assert account.living == []
