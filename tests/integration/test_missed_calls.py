"""Recordings that came with their insights before the call log has shown them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from common.database.pool import Pool
from services.poller.missed_calls import AFTER_A_POLL, fetch_missed
from services.poller.polling import Polling
from tests.integration.guarded import DAY, HOUR, MINUTE, Guarded, guarded


@pytest.fixture
async def account(pool: Pool) -> AsyncIterator[Guarded]:
    async with guarded(pool) as opened:
        await opened.look()
        yield opened


async def heard(account: Guarded, **order: Any) -> str:
    """A call whose insights are here; nobody has polled."""
    recording = await account.call(insights_after=2 * MINUTE, **order)
    await account.pass_time(3 * MINUTE)
    await account.hand_on()
    assert (await account.recording(recording))["audio_state"] == "unknown"
    return recording


def polling(account: Guarded) -> Polling:
    return Polling(account.client, account.pool, account.clock, account.leadership, longest=3600)


async def poll_now(polls: Polling) -> None:
    polls._ended = None
    await polls.once()


async def ask_for_missed(account: Guarded) -> int:
    now = account.clock.now()
    return await fetch_missed(account.client, account.pool, account.clock, account.leadership, now)


def requests(account: Guarded, endpoint: str) -> int:
    made: int = account.simulator.world.requests[endpoint]
    return made


async def test_an_entry_that_polls_did_not_bring_is_asked_for_by_its_session(account: Guarded) -> None:
    recording = await heard(account)

    assert await ask_for_missed(account) == 1

    row = await account.recording(recording)
    assert row["audio_state"] == "pending"
    assert row["audio_due_at"] <= account.clock.now()
    assert row["audio_content_uri"] is not None
    assert await account.pool.fetchval("SELECT count(*) FROM calls WHERE call_log_id = $1", row["call_log_id"]) == 1


async def test_only_two_polls_that_missed_it_make_anybody_ask(account: Guarded) -> None:
    """The call appears in the call log an hour later than its insights."""
    recording = await heard(account, appears_after=HOUR)
    polls = polling(account)

    await poll_now(polls)
    assert requests(account, "call_log.list") == 0
    await poll_now(polls)
    assert requests(account, "call_log.list") == 1

    row = await account.recording(recording)
    assert (row["audio_state"], row["audio_reason"]) == ("unknown", "the call log does not show its call yet")
    await account.pass_time(2 * HOUR)
    assert await ask_for_missed(account) == 1
    assert (await account.recording(recording))["audio_state"] == "pending"


async def test_what_the_call_log_never_shows_is_given_up_with_the_reason(account: Guarded) -> None:
    recording = await heard(account, appears_after=90 * DAY)

    for _ in range(20):
        await ask_for_missed(account)
        await account.pass_time(DAY / 4)

    row = await account.recording(recording)
    assert (row["audio_state"], row["audio_due_at"]) == ("unknown", None)
    assert row["audio_reason"] == "the call log did not show its call within 3 days"
    assert 3 <= requests(account, "call_log.list") <= 6


async def test_one_that_ringcentral_fails_to_answer_for_is_not_said_to_be_missing(account: Guarded) -> None:
    recording = await heard(account)
    fault = {"endpoint": "call_log.list", "kind": "status", "status": 500, "times": 100}
    account.simulator.world.faults.add(fault)

    for _ in range(20):
        await ask_for_missed(account)
        await account.pass_time(DAY / 4)

    row = await account.recording(recording)
    assert row["audio_reason"] == "RingCentral failed to answer for its call"
    account.simulator.world.faults.clear()
    await account.pass_time(DAY)
    assert await ask_for_missed(account) == 1
    assert (await account.recording(recording))["audio_state"] == "pending"


async def test_one_that_ringcentral_fails_to_answer_keeps_no_other_waiting(account: Guarded) -> None:
    others = [await heard(account) for _ in range(2)]
    failing = await heard(account)
    session = (await account.recording(failing))["telephony_session_id"]
    fault = {"endpoint": "call_log.list", "kind": "status", "status": 500, "times": 100, "match": session}
    account.simulator.world.faults.add(fault)

    asked = [await ask_for_missed(account) for _ in range(2)]

    assert sum(asked) == 2
    assert {(await account.recording(one))["audio_state"] for one in others} == {"pending"}
    row = await account.recording(failing)
    assert (row["audio_state"], row["audio_due_at"] > account.clock.now()) == ("unknown", True)


async def test_many_that_are_missed_cost_a_few_requests_at_a_time(account: Guarded) -> None:
    for _ in range(AFTER_A_POLL + 3):
        await account.call(insights_after=2 * MINUTE)
    await account.pass_time(3 * MINUTE)
    await account.hand_on()

    assert await ask_for_missed(account) == AFTER_A_POLL

    assert requests(account, "call_log.list") == AFTER_A_POLL


async def test_insights_of_an_unknown_recording_bring_the_next_poll_forward(account: Guarded) -> None:
    polls = polling(account)
    polls._pause = 3600.0  # as after a night in which nobody called
    await polls.once()
    assert polls._pause == 3600
    assert await polls.once() > 0
    assert requests(account, "call_log.sync") == 1, "nothing has happened"

    recording = await heard(account)
    while requests(account, "call_log.sync") == 1:  # noqa: ASYNC110 - a fact of the simulator
        await asyncio.sleep(min(0.05, await polls.once()))

    assert (await account.recording(recording))["audio_state"] == "pending"


async def test_a_clock_that_is_set_back_does_not_stop_the_polls(account: Guarded) -> None:
    polls = polling(account)
    polls._pause = 3600.0
    await polls.once()
    account.clock.ahead -= DAY

    await polls.once()

    assert requests(account, "call_log.sync") == 2


async def test_insights_bring_the_download_of_what_was_to_be_tried_again_forward(account: Guarded) -> None:
    recording = await account.call(insights_after=10 * MINUTE)
    await account.live(MINUTE)
    later = "UPDATE recordings SET audio_due_at = $2, audio_attempts = 5 WHERE source_record_id = $1"
    await account.pool.execute(later, recording, account.clock.now().replace(year=2099))

    await account.pass_time(10 * MINUTE)
    await account.hand_on()

    row = await account.recording(recording)
    assert row["audio_state"] == "pending"
    assert row["audio_due_at"] <= account.clock.now()


async def test_insights_leave_a_download_in_hand_alone(account: Guarded) -> None:
    recording = await account.call(insights_after=10 * MINUTE)
    await account.live(MINUTE)
    in_hand = """UPDATE recordings SET audio_due_at = $2, audio_claim = gen_random_uuid(),
        audio_claimed_until = clock_timestamp() + interval '1 minute' WHERE source_record_id = $1"""
    due_at = account.clock.now().replace(year=2099)
    await account.pool.execute(in_hand, recording, due_at)

    await account.pass_time(10 * MINUTE)
    await account.hand_on()

    assert (await account.recording(recording))["audio_due_at"] == due_at
