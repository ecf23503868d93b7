"""Hours and weeks of a subscription that dies: what was missed in the dark is on the rows, and each outage recorded."""

from collections.abc import AsyncIterator

import pytest

from common.database.pool import Pool
from simulator import company_orders, control
from tests.integration.guarded import DAY, HOUR, MINUTE, Guarded, guarded


@pytest.fixture
async def account(pool: Pool) -> AsyncIterator[Guarded]:
    async with guarded(pool) as opened:
        await opened.look()
        yield opened


async def states(account: Guarded, recordings: list[str]) -> set[str]:
    return {(await account.recording(recording))["insights_state"] for recording in recordings}


async def test_the_insights_of_an_hour_in_which_the_subscription_was_silently_dead_end_on_their_rows(
    account: Guarded,
) -> None:
    """It says `Active` all the time; what was dark before it was noticed has to be asked for."""
    heard = await account.call()
    await account.live(10 * MINUTE, rounds=2)
    assert await states(account, [heard]) == {"present"}
    first = account.only
    await control.silence(account.simulator.world, {})

    dark = []
    for number in range(6):
        dark.append(await account.call(extension=number % 2))
        await account.live(10 * MINUTE)
    assert first.status == "Active"
    await account.live(HOUR, rounds=12)

    assert account.only.id != first.id
    (outage,) = await account.outages()
    assert outage["reason"] == "silent"
    assert outage["subscription_id"] == first.id
    assert (outage["ended_at"] - outage["began_at"]).total_seconds() < HOUR + 20 * MINUTE, "two must be missing"
    assert outage["recordings_due"] >= 1
    assert await states(account, dark) == {"present"}
    fetched = await account.pool.fetch("SELECT source_record_id FROM insight_events WHERE source = 'fetched'")
    assert set(dark[:4]) <= {row["source_record_id"] for row in fetched} <= set(dark)

    after = await account.call()
    await account.live(6 * MINUTE, rounds=2)
    assert await states(account, [after]) == {"present"}, "events come again"
    assert len(await account.outages()) == 1


async def test_single_events_that_are_lost_are_no_outage(account: Guarded) -> None:
    first = account.only.id
    recordings = []
    for number in range(24):
        recordings.append(await account.call())
        if number % 3 == 0:
            await company_orders.order_event_faults(account.simulator.world, {"kind": "lost", "times": 1})
        await account.live(6 * MINUTE)
    await account.live(3 * HOUR, rounds=3)

    assert await states(account, recordings) == {"present"}
    assert account.only.id == first
    assert await account.outages() == []


async def test_one_event_that_is_lost_in_a_quiet_company_is_no_outage(account: Guarded) -> None:
    """Two calls a day, and one of their events is lost: the next one shows that they come."""
    first = account.only.id
    lost = await account.call()
    await company_orders.order_event_faults(account.simulator.world, {"kind": "lost", "times": 1})
    await account.live(12 * HOUR, rounds=12)
    await account.call()
    await account.live(3 * DAY, rounds=12)

    assert await states(account, [lost]) == {"present"}
    assert account.only.id == first
    assert await account.outages() == []


async def test_after_a_day_without_any_event_one_that_did_not_come_is_enough(account: Guarded) -> None:
    first = account.only
    await control.silence(account.simulator.world, {})
    await account.call()
    await account.live(12 * HOUR, rounds=12)
    assert account.only is first

    await account.live(13 * HOUR, rounds=13)

    assert account.only is not first
    assert [outage["reason"] for outage in await account.outages()] == ["silent"]


async def test_a_company_that_is_quiet_is_not_taken_for_silent(account: Guarded) -> None:
    first = account.only.id
    await account.call(insights_after=None)

    await account.live(10 * DAY, rounds=20)

    assert account.only.id == first
    assert await account.outages() == []


async def test_the_dark_interval_of_a_blacklisting_begins_with_the_last_event(account: Guarded) -> None:
    """Deliveries may have failed since the next one, however long before the ten minutes that was."""
    world, receiver = account.simulator.world, account.receiver
    await account.call()
    await account.live(HOUR)
    (last,) = await account.pool.fetch("SELECT received_at FROM insight_events WHERE source = 'event'")
    lost = [await account.call(insights_after=after * HOUR) for after in (1, 3)]

    receiver.status = 503
    for _ in range(4):
        await account.pass_time(HOUR)
        await account.look()
    receiver.status = 200
    receiver.events.clear()  # what was refused came to nobody
    account.handed_on = 0
    await account.live(2 * HOUR, rounds=2)

    (outage,) = await account.outages()
    assert (outage["reason"], outage["began_at"]) == ("blacklisted", last["received_at"])
    assert world.company.events_by_recording[lost[0]][0].at < outage["ended_at"].timestamp() - HOUR
    assert await states(account, lost) == {"present"}


async def test_sixty_days_with_every_death_end_with_all_insights_and_every_interval_recorded(account: Guarded) -> None:
    """Two blacklistings, one deletion by hand, one expiry while we were away, a changed token, lost events."""
    world, recordings = account.simulator.world, []

    async def days(number: int) -> None:
        for _ in range(number):
            recordings.append(await account.call())
            recordings.append(await account.call(extension=1))
            await account.live(DAY, rounds=4)
            assert len(account.living) == 1

    async def missed(seconds: float) -> None:
        """Calls whose events nobody gets."""
        recordings.append(await account.call())
        await account.pass_time(seconds)
        await account.live(MINUTE, rounds=1)

    await days(5)
    await control.blacklist(world, {})
    await missed(HOUR)
    await days(5)
    world.subscriptions.remove(account.only.id)
    await missed(HOUR)
    await days(2)
    await account.look(token="changed")
    await days(3)
    await control.blacklist(world, {})
    await missed(3 * HOUR)
    for _ in range(4):
        await company_orders.order_event_faults(world, {"kind": "lost", "times": 1})
        await days(1)
    await missed(35 * DAY)
    await days(8)

    outages = await account.outages()
    assert [outage["reason"] for outage in outages] == ["blacklisted", "gone", "blacklisted", "gone"]
    assert all(outage["ended_at"] for outage in outages)
    assert account.only.verification_token == "changed"
    assert await states(account, recordings) == {"present"}
