"""Whoever writes several rows locks them in the order of their keys: then no two ever wait for each other."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from common.database.pool import Pool
from common.database.statements import statements
from common.messages import InsightsReceived
from common.telemetry.health import Work
from services.insights.handle import handle
from tests.clocks import StandingClock

UntilItWaits = Callable[["asyncio.Future[None]"], Awaitable[None]]

NOW: Final = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
IDS: Final = ["a", "b", "c", "d", "e"]
#: Neither that order nor the opposite one: no plan comes upon them in the right order by luck.
MIXED: Final = ["d", "a", "e", "c", "b"]
DIGESTS: Final = [one.encode() for one in MIXED]
NONE: Final = [None] * 5
#: How Postgres may join, by how many rows it believes there are.
JOINS: Final = ("hashjoin", "mergejoin", "nestloop")

RECORDINGS: Final = """
INSERT INTO recordings (account_id, domain, source_record_id, started_at, audio_content_uri, audio_state, audio_reason,
    audio_due_at, insights_due_at, first_seen_at, updated_at)
SELECT '42', 'pbx', id, $2::timestamptz + make_interval(secs => place::double precision), 'https://media.example/',
    'pending', 'a foreign host', $2::timestamptz + interval '1 hour', $3, $2, $2
FROM unnest($1::text[]) WITH ORDINALITY AS n (id, place)
"""
#: All arrived at the same moment: their order is that of their digests.
EVENTS: Final = """
INSERT INTO insight_events (digest, account_id, raw, received_at, domain, archived_at)
SELECT id::bytea, '42', '', $2, 'pbx', $3
FROM unnest($1::text[]) AS id
"""


async def write(pool: Pool, join: str, file: str, name: str, *values: object) -> None:
    """Run a statement with joins of one kind."""
    async with pool.transaction() as connection:
        for other in {*JOINS} - {join}:
            await connection.execute(f"SET LOCAL enable_{other} = off")
        await connection.execute(statements(file)[name], *values)


async def locked_before_c(
    pool: Pool, until_it_waits: UntilItWaits, table: str, key: str, join: str, statement: tuple[Any, ...]
) -> list[str]:
    """Which rows a statement has locked already when it waits for `c`, which somebody else holds."""
    await pool.execute(f"ANALYZE {table}")
    async with pool.transaction() as somebody:
        await somebody.execute(f"SELECT FROM {table} WHERE {key} = 'c' FOR UPDATE")
        writing = asyncio.ensure_future(write(pool, join, *statement))
        await until_it_waits(writing)
        free = await pool.fetch(f"SELECT {key} FROM {table} FOR UPDATE SKIP LOCKED")  # noqa: S608 - names of this file
    await writing
    names = {one.decode() if isinstance(one, bytes) else one for (one,) in free}
    return [one for one in IDS if one != "c" and one not in names]


@pytest.mark.parametrize("join", JOINS)
@pytest.mark.parametrize(
    ("statement", "insights_due_at"),
    [
        (("recordings", "lock", "42", ["pbx"] * 5, MIXED), None),
        (("recordings", "withdraw", "42", ["pbx"] * 5, MIXED), None),
        (("recordings", "make_due", "42", ["a foreign host"], NOW), None),
        (("recordings_insights", "plan", "42", ["pbx"] * 5, MIXED, ["absent"] * 5, [NOW] * 5), None),
        (("recordings_insights", "fall_due", "42", NOW, NOW + HOUR, NOW, 5), None),
        (("recordings_insights", "explain", "42", NOW, "a permission is missing", 5), NOW),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
async def test_recordings_are_locked_by_their_ids(
    pool: Pool, statement: tuple[Any, ...], insights_due_at: datetime | None, join: str, until_it_waits: UntilItWaits
) -> None:
    await pool.execute(RECORDINGS, MIXED, NOW, insights_due_at)

    assert await locked_before_c(pool, until_it_waits, "recordings", "source_record_id", join, statement) == ["a", "b"]


@pytest.mark.parametrize("join", JOINS)
@pytest.mark.parametrize(
    ("statement", "archived_at"),
    [
        (("journal_archives", "mark", "42", NOW, NOW + HOUR, DIGESTS, NOW), None),
        (("journal_archives", "forget", "42", NOW, NOW + HOUR), NOW),
        (("insight_events", "understand", DIGESTS, [NOW] * 5, NONE, NONE, ["pbx"] * 5, MIXED, [NOW] * 5, NONE), None),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
async def test_events_are_locked_by_their_time_and_digest(
    pool: Pool, statement: tuple[Any, ...], archived_at: datetime | None, join: str, until_it_waits: UntilItWaits
) -> None:
    await pool.execute(statements("insight_events")["ensure_partition"], NOW)
    await pool.execute(EVENTS, MIXED, NOW, archived_at)

    assert await locked_before_c(pool, until_it_waits, "insight_events", "digest", join, statement) == ["a", "b"]


def event(account_id: str, received_at: datetime) -> InsightsReceived:
    name = f"/ai/ringsense/v1/public/accounts/{account_id}/domains/pbx/insights"
    body = {"sourceRecordId": "r1", "lastModifiedTime": "2026-03-01T10:00:00Z", "insights": {"Summary": []}}
    raw = json.dumps({"event": name, "body": body, "timestamp": received_at.isoformat()}).encode()
    return InsightsReceived(raw, account_id, received_at)


async def test_a_partition_is_there_before_any_row_is_locked(pool: Pool, until_it_waits: UntilItWaits) -> None:
    # Given somebody who has an event for a month that nobody has written to, and holds a recording
    late = event("42", NOW + timedelta(days=40))
    await handle(pool, StandingClock(NOW), [event("42", NOW)], Work())
    async with pool.transaction() as somebody:
        await somebody.execute("SELECT FROM recordings WHERE source_record_id = 'r1' FOR UPDATE")

        # When another event for it comes, of the same recording
        handling = asyncio.ensure_future(handle(pool, StandingClock(NOW), [late], Work()))
        await until_it_waits(handling)

        # Then the other one needs nothing of what the first holds
        await somebody.execute(statements("insight_events")["ensure_partition"], late.received_at)
        await somebody.execute(EVENTS, ["other"], late.received_at, None)
    await handling

    assert await pool.fetchval("SELECT count(*) FROM insight_events") == 3


async def test_whoever_waits_for_somebody_elses_partition_finds_it(pool: Pool, until_it_waits: UntilItWaits) -> None:
    async with pool.transaction() as somebody:
        await somebody.execute(statements("insight_events")["ensure_partition"], NOW)

        handling = asyncio.ensure_future(handle(pool, StandingClock(NOW), [event("42", NOW)], Work()))
        await until_it_waits(handling)
    await handling

    assert await pool.fetchval("SELECT error FROM insight_events") is None
    assert await pool.fetchval("SELECT count(*) FROM recordings") == 1


async def test_events_of_several_accounts_are_merged_account_by_account(
    pool: Pool, until_it_waits: UntilItWaits
) -> None:
    accounts = [str(number) for number in range(40, 48)]
    await handle(pool, StandingClock(NOW), [event(account, NOW) for account in accounts], Work())
    async with pool.transaction() as somebody:
        await somebody.execute("SELECT FROM recordings WHERE account_id = '44' FOR UPDATE")

        again = [event(account, NOW + HOUR) for account in reversed(accounts)]
        handling = asyncio.ensure_future(handle(pool, StandingClock(NOW), again, Work()))
        await until_it_waits(handling)
        free = await pool.fetch("SELECT account_id FROM recordings FOR UPDATE SKIP LOCKED")
    await handling

    assert sorted(row["account_id"] for row in free) == ["45", "46", "47"]


@pytest.mark.parametrize("of_others", [False, True])
async def test_of_those_who_wait_no_more_for_a_slot_none_is_waited_for(pool: Pool, *, of_others: bool) -> None:
    waiter = uuid.uuid4()
    await pool.execute(
        "INSERT INTO rate_waiters (waiter, owner_id, app, rate_group, priority, until)"
        " SELECT $1, owner_id, 'app', 'heavy', 1, '2020-01-01' FROM unnest($2::text[]) AS owner_id",
        waiter,
        IDS,
    )
    async with pool.transaction() as somebody:
        await somebody.execute("SELECT FROM rate_waiters WHERE owner_id = 'c' FOR UPDATE")

        await pool.execute(statements("rate_slots")["stop_waiting"], uuid.uuid4() if of_others else waiter)

    assert [row["owner_id"] for row in await pool.fetch("SELECT owner_id FROM rate_waiters")] == ["c"]
