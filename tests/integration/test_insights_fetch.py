"""Insights that no event brought, asked of the simulator into a real Postgres, while days pass in moments."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from common.database.pool import Pool
from services.insights.replay import Selection, replay
from services.poller.insights_fetch import FORBIDDEN_PAUSE, PAUSE, Fetching, fetch_insights
from services.poller.poll import poll
from simulator import company_orders, orders
from tests.integration.guarded import DAY, HOUR, MINUTE, Guarded, guarded


@pytest.fixture
async def account(pool: Pool) -> AsyncIterator[Guarded]:
    async with guarded(pool) as opened:
        await opened.look()
        yield opened


async def lose(account: Guarded, events: int = 1) -> None:
    await company_orders.order_event_faults(account.simulator.world, {"kind": "lost", "times": events})


async def work(account: Guarded) -> float:
    """What the leader does in a round."""
    await account.hand_on()
    await poll(account.client, account.pool, account.clock, account.leadership)
    return await fetch_insights(Fetching(account.client, account.pool, account.clock, account.leadership))


async def pass_time(account: Guarded, seconds: float, rounds: int = 1) -> None:
    for _ in range(rounds):
        await account.pass_time(seconds / rounds)
        await work(account)


def asked(account: Guarded) -> int:
    requests: int = account.simulator.world.requests["insights.record"]
    return requests


async def licensed(account: Guarded, extension: int = 0) -> None:
    """An event has come for the extension: insights are expected of it."""
    heard = await account.call(extension=extension)
    await pass_time(account, 6 * MINUTE)
    assert (await account.recording(heard))["insights_state"] == "present"


async def test_what_a_lost_event_was_about_is_fetched_and_journaled(account: Guarded) -> None:
    await licensed(account)
    recording = await account.call(insights_after=15 * MINUTE)
    await lose(account)

    await pass_time(account, 40 * MINUTE, 4)
    assert (await account.recording(recording))["insights_state"] == "absent"
    assert asked(account) == 0, "an event may still come"
    await pass_time(account, 10 * MINUTE)

    found = await account.recording(recording)
    assert found["insights_state"] == "present"
    assert {"Transcript", "Summary"} < set(found["insights"])
    assert (found["insights_due_at"], found["insights_reason"], found["insights_attempts"]) == (None, None, 1)
    entry = await account.pool.fetchrow("SELECT * FROM insight_events WHERE source_record_id = $1", recording)
    assert entry is not None
    assert entry["source"] == "fetched"
    assert entry["body"]["body"]["sourceRecordId"] == recording
    assert account.clock.now() > entry["received_at"] > entry["made_at"]


async def test_a_replay_of_the_journal_takes_what_was_fetched_along(account: Guarded) -> None:
    await licensed(account)
    recording = await account.call()
    await lose(account)
    await pass_time(account, 50 * MINUTE, 2)
    before = await account.recording(recording)
    journal = "SELECT * FROM insight_events ORDER BY received_at"
    journaled = await account.pool.fetch(journal)
    await account.pool.execute("UPDATE recordings SET insights = '{}', insights_versions = '{}', insights_facts = '{}'")

    all_of_it = Selection(account.clock.now() - timedelta(days=1), account.clock.now() + timedelta(days=1))
    not_applied: list[str] = []
    pages = [page async for page in replay(account.pool, account.clock, all_of_it, not_applied.append)]

    assert (sum(page.not_applied for page in pages), not_applied) == (0, [])
    after = await account.recording(recording)
    assert after["insights"] == before["insights"]
    assert await account.pool.fetch(journal) == journaled
    assert {row["source"] for row in journaled} == {"event", "fetched"}


async def test_an_event_that_comes_after_all_changes_nothing(account: Guarded) -> None:
    await licensed(account)
    recording = await account.call(insights_after=15 * MINUTE)
    await lose(account)
    await pass_time(account, 50 * MINUTE, 2)
    await work(account)
    before = await account.recording(recording)

    await orders.resend_events(account.simulator.world, {"recording_id": recording})
    await work(account)

    assert await account.recording(recording) == before


async def test_where_insights_are_expected_it_is_asked_for_a_week_and_then_unavailable(account: Guarded) -> None:
    await licensed(account)
    recording = await account.call(insights_after=None)

    await pass_time(account, HOUR, 2)
    found = await account.recording(recording)
    assert (found["insights_state"], found["insights_reason"]) == ("absent", "RingCentral has none yet (RAH-3001)")
    await pass_time(account, 8 * DAY, 16)

    found = await account.recording(recording)
    assert found["insights_state"] == "unavailable"
    assert found["insights_reason"] == "RingCentral had none 7 days after the call (RAH-3001)"
    assert found["insights_due_at"] is None
    assert 3 <= found["insights_attempts"] <= 6
    assert asked(account) == found["insights_attempts"] + 1, "and once for the one whose event came"


async def test_where_none_are_expected_it_is_asked_once(account: Guarded) -> None:
    await licensed(account)
    recordings = [await account.call(extension=5, insights_after=None) for _ in range(3)]

    await pass_time(account, 8 * DAY, 16)

    for recording in recordings:
        found = await account.recording(recording)
        assert found["insights_state"] == "unavailable"
        assert found["insights_attempts"] == 1
        assert "its extension seems to have no licence" in found["insights_reason"]
    assert asked(account) == 3 + 1, "and once for the one whose event came"


async def test_an_event_after_the_end_of_the_schedule_is_taken(account: Guarded) -> None:
    recording = await account.call(insights_after=3 * DAY)
    await pass_time(account, 2 * DAY, 2)
    assert (await account.recording(recording))["insights_state"] == "unavailable"

    await pass_time(account, 2 * DAY)
    await work(account)

    found = await account.recording(recording)
    assert (found["insights_state"], found["insights_reason"]) == ("present", None)


async def test_the_one_of_two_events_that_was_lost_is_made_good_a_day_later(account: Guarded) -> None:
    recording = await account.call(notes_after=3 * MINUTE, insights_after=10 * MINUTE)
    await lose(account)
    await pass_time(account, 20 * HOUR, 4)
    before = await account.recording(recording)
    assert before["insights_state"] == "present"
    assert "CallNotes" not in before["insights"]
    assert asked(account) == 0

    await pass_time(account, 6 * HOUR, 2)

    found = await account.recording(recording)
    assert dict(found["insights"]).keys() == {"CallNotes", *before["insights"]}
    assert (found["insights_due_at"], found["insights_attempts"], asked(account)) == (None, 1, 1)
    assert await account.pool.fetchval("SELECT count(*) FROM insight_events WHERE source = 'fetched'") == 1


async def test_what_events_have_brought_is_looked_at_once_more_and_kept_once(account: Guarded) -> None:
    recording = await account.call(notes_after=3 * MINUTE, insights_after=10 * MINUTE)
    await pass_time(account, 20 * HOUR, 4)
    before = await account.recording(recording)

    await pass_time(account, 9 * DAY, 12)

    found = await account.recording(recording)
    assert (found["insights"], found["insights_state"]) == (before["insights"], "present")
    assert asked(account) == 1
    assert await account.pool.fetchval("SELECT count(*) FROM insight_events WHERE source = 'fetched'") == 0


async def test_a_last_look_that_finds_nothing_takes_nothing_away(account: Guarded) -> None:
    recording = await account.call()
    await pass_time(account, 20 * HOUR, 4)
    account.simulator.world.faults.add({"endpoint": "insights.record", "kind": "status", "status": 404, "times": 1})
    before = await account.recording(recording)

    await pass_time(account, 9 * DAY, 12)

    found = await account.recording(recording)
    assert {name for name in found.keys() if found[name] != before[name]} <= {  # noqa: SIM118 - a record iterates over values.
        "insights_attempts",
        "insights_due_at",
        "insights_looked_at",
    }
    assert asked(account) == 1


async def test_last_looks_that_are_forbidden_or_fail_have_an_end_and_hold_up_nothing(account: Guarded) -> None:
    recordings = [await account.call() for _ in range(8)]
    await pass_time(account, 20 * HOUR, 4)
    refuse = {"endpoint": "insights.record", "kind": "status", "times": 100}
    for number, recording in enumerate(recordings):
        account.simulator.world.faults.add({**refuse, "status": 403 if number % 2 else 500, "match": f"/{recording}/"})
    await pass_time(account, 5 * HOUR, 2)
    missed = await account.call()
    await lose(account)

    await pass_time(account, 2 * HOUR, 4)
    assert (await account.recording(missed))["insights_state"] == "present"
    await pass_time(account, 9 * DAY, 18)
    asked_in_all = asked(account)
    await pass_time(account, 5 * DAY, 10)

    assert asked(account) == asked_in_all
    for recording in recordings:
        found = await account.recording(recording)
        assert (found["insights_state"], found["insights_due_at"]) == ("present", None)


async def test_what_was_asked_for_too_early_is_looked_at_once_more(account: Guarded) -> None:
    await licensed(account)
    recording = await account.call(insights_after=50 * MINUTE, notes_after=HOUR)
    await pass_time(account, 48 * MINUTE, 2)
    assert asked(account) == 1, "there were none yet"
    await pass_time(account, 7 * MINUTE)
    await lose(account)
    await pass_time(account, 20 * HOUR, 4)
    assert "CallNotes" not in (await account.recording(recording))["insights"]

    await pass_time(account, 6 * HOUR, 2)

    assert "CallNotes" in (await account.recording(recording))["insights"]


async def test_what_always_fails_is_given_up_with_the_last_reason(account: Guarded) -> None:
    await licensed(account)
    recording = await account.call()
    await lose(account)
    account.simulator.world.faults.add(
        {"endpoint": "insights.record", "kind": "status", "status": 500, "match": f"/{recording}/", "times": 10_000}
    )

    await pass_time(account, 9 * DAY, 30)

    found = await account.recording(recording)
    assert (found["insights_state"], found["insights_due_at"]) == ("unavailable", None)
    assert "500" in found["insights_reason"]


async def test_call_notes_alone_are_completed(account: Guarded) -> None:
    await licensed(account)
    recording = await account.call(notes_after=4 * MINUTE, insights_after=30 * MINUTE)
    await pass_time(account, 5 * MINUTE)
    assert (await account.recording(recording))["insights_state"] == "partial"

    await lose(account)
    await pass_time(account, HOUR, 3)

    assert (await account.recording(recording))["insights_state"] == "present"


async def test_call_notes_that_stay_alone_stay_partial_with_the_reason(account: Guarded) -> None:
    recording = await account.call(notes_after=4 * MINUTE, insights_after=30 * DAY)

    await pass_time(account, 8 * DAY, 16)
    attempts = asked(account)
    await pass_time(account, DAY, 4)

    found = await account.recording(recording)
    assert found["insights_state"] == "partial"
    assert found["insights_reason"] == "RingCentral had no more than call notes 7 days after the call"
    assert 2 <= attempts <= 6
    assert asked(account) == attempts, "it has an end"


async def test_a_missing_permission_is_told_on_the_rows_and_ends_nothing(account: Guarded) -> None:
    await licensed(account)
    recordings = [await account.call() for _ in range(6)]
    await lose(account, 6)
    users = account.simulator.world.tokens.users.values()
    for user in users:
        user.permissions.discard("ReadRingSenseInsights")

    await pass_time(account, 30 * MINUTE)
    await account.pass_time(30 * MINUTE)
    assert await work(account) == FORBIDDEN_PAUSE

    assert asked(account) == 2 * len(users), "two recordings of each user, then it is clear"
    for recording in recordings:
        found = await account.recording(recording)
        assert found["insights_state"] == "absent"
        assert "RAH-3005" in found["insights_reason"]
        assert "ReadRingSenseInsights" in found["insights_reason"]

    await account.pass_time(30 * DAY)
    await work(account)
    assert (await account.recording(recordings[0]))["insights_state"] == "absent"

    for user in users:
        user.permissions.add("ReadRingSenseInsights")
    await account.pass_time(2 * HOUR)
    assert await work(account) == PAUSE

    assert {(await account.recording(recording))["insights_state"] for recording in recordings} == {"present"}


async def test_a_failure_is_not_counted_and_no_other_recording_waits_for_it(account: Guarded) -> None:
    await licensed(account)
    one, other = await account.call(), await account.call()
    await lose(account, 2)
    account.simulator.world.faults.add(
        {"endpoint": "insights.record", "kind": "status", "status": 500, "match": f"/{one}/", "times": 1}
    )

    await pass_time(account, HOUR, 2)
    failed = await account.recording(one)
    assert (failed["insights_state"], failed["insights_attempts"]) == ("absent", 0)
    assert "500" in failed["insights_reason"]
    assert (await account.recording(other))["insights_state"] == "present"
    await pass_time(account, 2 * HOUR)

    assert (await account.recording(one))["insights_state"] == "present"
