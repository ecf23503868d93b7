"""Rows of `recordings` on a real Postgres: merging, the journal, and the states of audio."""

import asyncio
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from common.database.pool import Pool
from common.database.recordings import Said, merge_sayings
from common.database.statements import statements
from common.merge import Saying
from common.messages import DownloadRecording, InsightsReceived
from common.ringcentral.budget import Priority
from common.storage.interface import StoredObject
from common.telemetry.health import Work
from services.downloader.claim import Claim, ClaimLost, take_claim
from services.downloader.fetch import ask_for
from services.insights.handle import handle
from tests.clocks import StandingClock

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVENT = "/ai/ringsense/v1/public/accounts/42/domains/{domain}/insights"
JOB = DownloadRecording("42", "pbx", "r1")
SHA256 = "0" * 64


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock(NOW)


@pytest.fixture
def handle_events(pool: Pool, clock: StandingClock) -> Callable[..., Any]:
    async def run(*events: InsightsReceived) -> None:
        await handle(pool, clock, events, Work())

    return run


def event(insights: Any = None, *, domain: str = "pbx", modified: str = "2026-03-01T10:00:00Z", **body: Any) -> bytes:
    fields = {"sourceRecordId": "r1", "lastModifiedTime": modified, "insights": insights or {"Summary": []}, **body}
    return json.dumps({"uuid": "u", "event": EVENT.format(domain=domain), "body": fields}).encode()


def received(raw: bytes, at: datetime = NOW) -> InsightsReceived:
    return InsightsReceived(raw, "42", at)


async def rows(pool: Pool, table: str = "recordings") -> list[dict[str, Any]]:
    return [dict(row) for row in await pool.fetch(f"SELECT * FROM {table}")]  # noqa: S608 - a name of our own


async def tell(pool: Pool, *sayings: Saying, domain: str = "pbx", at: datetime = NOW) -> int:
    async with pool.transaction() as connection:
        return await merge_sayings(connection, "42", [Said((domain, "r1"), saying) for saying in sayings], at)


ENTRY = Saying("call_log", "2026", {"audio_content_uri": "https://media.example/r1", "call_log_id": "c1"})


async def test_five_copies_are_one_entry_and_one_row(pool: Pool, handle_events: Callable[..., Any]) -> None:
    await asyncio.gather(*(handle_events(received(event())) for _ in range(5)))

    assert len(await rows(pool, "insight_events")) == 1
    assert len(await rows(pool)) == 1


async def test_copies_that_arrive_in_different_months_are_one_entry(
    pool: Pool, handle_events: Callable[..., Any]
) -> None:
    await handle_events(received(event(), NOW), received(event(), NOW + timedelta(days=40)))
    await handle_events(received(event(), NOW + timedelta(days=80)))

    assert len(await rows(pool, "insight_events")) == 1


async def test_each_month_has_its_partition(pool: Pool, handle_events: Callable[..., Any]) -> None:
    await handle_events(received(event(title="a"), datetime(2026, 12, 31, 23, 59, tzinfo=UTC)))
    await handle_events(received(event(title="b"), datetime(2027, 1, 1, tzinfo=UTC)))

    partitions = await pool.fetch("SELECT tableoid::regclass::text AS name FROM insight_events ORDER BY 1")
    assert [row["name"] for row in partitions] == ["insight_events_2026_12", "insight_events_2027_01"]


async def test_two_processes_may_make_the_same_partition(pool: Pool, handle_events: Callable[..., Any]) -> None:
    await asyncio.gather(*(handle_events(received(event(title=str(n)))) for n in range(8)))

    assert len(await rows(pool, "insight_events")) == 8


async def test_an_event_of_a_new_month_never_waits_for_whoever_reads_the_journal(
    pool: Pool, handle_events: Callable[..., Any]
) -> None:
    await handle_events(received(event()))
    async with pool.transaction() as backup:
        assert await backup.fetchval("SELECT count(*) FROM insight_events") == 1

        await handle_events(received(event(title="later"), NOW + timedelta(days=40)))

    assert len(await rows(pool, "insight_events")) == 2


async def test_a_bad_event_never_harms_its_batch(pool: Pool, handle_events: Callable[..., Any]) -> None:
    await handle_events(received(event()), received(b"\xff"), received(event({"Transcript": ["\x00"]})))

    (row,) = await rows(pool)
    journal = {entry["error"]: entry for entry in await rows(pool, "insight_events")}
    assert set(row["insights"]) == {"Summary", "Transcript"}
    assert len(journal) == 3
    assert journal["not read: it is not UTF-8"]["raw"] == b"\xff"


async def test_what_postgres_refuses_is_journaled_without_its_meaning(
    pool: Pool, handle_events: Callable[..., Any]
) -> None:
    deep = "[" * 900 + "]" * 900
    raw = event().replace(b'"Summary": []', b'"Summary": 1e400, "Deep": ' + deep.encode())

    await handle_events(received(raw))

    (entry,) = await rows(pool, "insight_events")
    assert entry["raw"] == raw


async def test_other_domains_have_no_audio_to_fetch(pool: Pool, handle_events: Callable[..., Any]) -> None:
    await handle_events(received(event(domain="rcv")))

    (row,) = await rows(pool)
    assert (row["domain"], row["audio_state"]) == ("rcv", "unavailable")
    assert row["audio_reason"]


async def test_the_first_call_log_entry_makes_a_recording_due(pool: Pool) -> None:
    await tell(pool, Saying("insights", "2026", {"title": "t"}))
    (before,) = await rows(pool)
    await tell(pool, ENTRY)
    (after,) = await rows(pool)

    assert (before["audio_state"], after["audio_state"]) == ("unknown", "pending")
    assert after["audio_due_at"] == NOW
    assert (after["title"], after["call_log_id"]) == ("t", "c1")


async def test_what_is_known_already_touches_no_row(pool: Pool) -> None:
    await tell(pool, ENTRY)

    assert await tell(pool, ENTRY, ENTRY, at=NOW + timedelta(hours=1)) == 0
    (row,) = await rows(pool)
    assert row["updated_at"] == NOW


async def test_a_tombstone_stays(pool: Pool) -> None:
    await tell(pool, ENTRY)
    await pool.execute("UPDATE recordings SET audio_state = 'erased', insights_state = 'erased', title = NULL")

    await tell(pool, Saying("insights", "2027", {"title": "again"}, {"Summary": ["s"]}))

    (row,) = await rows(pool)
    assert (row["audio_state"], row["insights_state"], row["title"], row["insights"]) == ("erased", "erased", None, {})


async def claimed(pool: Pool, clock: StandingClock) -> Claim:
    claim = await take_claim(pool, clock, JOB, uuid.uuid4())
    assert claim is not None
    return claim


async def test_one_of_many_claims_a_recording(pool: Pool, clock: StandingClock) -> None:
    await tell(pool, ENTRY)

    claims = await asyncio.gather(*(take_claim(pool, clock, JOB, uuid.uuid4()) for _ in range(6)))

    assert sum(claim is not None for claim in claims) == 1


async def test_a_job_that_meets_a_living_claim_falls_due_when_that_would_end(pool: Pool, clock: StandingClock) -> None:
    await tell(pool, ENTRY)
    await pool.execute("UPDATE recordings SET audio_announced_at = $1", NOW)
    await claimed(pool, clock)

    before = await pool.fetchval("SELECT clock_timestamp()")
    assert await take_claim(pool, clock, JOB, uuid.uuid4()) is None
    after = await pool.fetchval("SELECT clock_timestamp()")

    (row,) = await rows(pool)
    assert before <= row["audio_claimed_until"] - (row["audio_due_at"] - NOW) <= after
    assert row["audio_announced_at"] is None
    assert row["audio_attempts"] == 0


async def test_who_lost_the_claim_can_write_nothing(pool: Pool, clock: StandingClock) -> None:
    await tell(pool, ENTRY)
    first = await claimed(pool, clock)
    await pool.execute("UPDATE recordings SET audio_claimed_until = clock_timestamp() - interval '1 second'")
    await claimed(pool, clock)

    for write in (
        first.check(),
        first.note_upload("u"),
        first.fix_object("name"),
        first.store(StoredObject(1, SHA256), "audio/mpeg", 1000),
        first.quarantine(StoredObject(1, SHA256), "audio/mpeg", 1000, "reason", NOW, {}),
        first.retry_later("reason", NOW, {}),
        first.hand_back(NOW, None),
    ):
        with pytest.raises(ClaimLost):
            await write


async def test_the_objects_name_is_fixed_once(pool: Pool, clock: StandingClock) -> None:
    await tell(pool, ENTRY)
    claim = await claimed(pool, clock)

    assert await claim.fix_object("first.mp3") == "first.mp3"
    assert await claim.fix_object("second.wav") == "first.mp3"


async def test_a_stored_recording_is_not_due_again(pool: Pool, clock: StandingClock) -> None:
    await tell(pool, ENTRY)
    claim = await claimed(pool, clock)
    await claim.fix_object("name.mp3")
    await claim.store(StoredObject(7, SHA256), "audio/mpeg", 1000)
    await tell(pool, Saying("call_log", "2027", {"audio_content_uri": "https://media.example/other"}))

    assert await take_claim(pool, clock, JOB, uuid.uuid4()) is None
    (row,) = await rows(pool)
    assert (row["audio_state"], row["audio_bytes"], row["audio_attempts"]) == ("stored", 7, 1)
    assert (row["audio_claim"], row["audio_due_at"], row["audio_upload_id"]) == (None, None, None)


async def test_a_failed_attempt_counts_and_is_due_later(pool: Pool, clock: StandingClock) -> None:
    await tell(pool, ENTRY)
    claim = await claimed(pool, clock)
    await claim.retry_later("why", NOW + timedelta(minutes=1), {})

    assert await take_claim(pool, clock, JOB, uuid.uuid4()) is None
    clock.time += timedelta(minutes=1)
    assert (await claimed(pool, clock)).attempts == 1


async def test_announcing_takes_the_most_urgent_and_none_twice(pool: Pool) -> None:
    async with pool.transaction() as connection:
        for number in range(5):
            said = [Said(("pbx", f"r{number}"), ENTRY)]
            await merge_sayings(connection, "42", said, NOW - timedelta(minutes=number))
    announce = statements("recordings")["announce"]
    no_spans: tuple[list[str], list[datetime], list[datetime]] = ([], [], [])
    old = NOW - timedelta(minutes=20)

    first = await pool.fetch(announce, "42", NOW, old, 3, *no_spans)
    second = await pool.fetch(announce, "42", NOW, old, 10, *no_spans)
    third = await pool.fetch(announce, "42", NOW, old, 10, *no_spans)
    later = await pool.fetch(announce, "42", NOW + timedelta(hours=1), NOW, 10, *no_spans)

    assert {row["source_record_id"] for row in first} == {"r4", "r3", "r2"}
    assert {row["source_record_id"] for row in second} == {"r1", "r0"}
    assert third == []
    assert later == []
    assert (
        len(await pool.fetch(announce, "42", NOW + timedelta(hours=1), NOW + timedelta(minutes=1), 10, *no_spans)) == 5
    )


@pytest.mark.parametrize("priority", [Priority.LIVE, Priority.RECONCILE, Priority.BACKFILL])
async def test_audio_is_asked_for_with_the_priority_that_made_it_due(
    pool: Pool, clock: StandingClock, priority: Priority
) -> None:
    async with pool.transaction() as connection:
        await merge_sayings(connection, "42", [Said(("pbx", "r1"), ENTRY)], NOW, priority=priority)
    await tell(pool, Saying("call_log", "2027", {"audio_content_uri": "https://media.example/r2"}))

    claim = await claimed(pool, clock)

    assert ask_for(claim.audio_content_uri, claim.priority, {}).priority == priority


async def test_what_was_erased_meanwhile_is_not_stored(pool: Pool, clock: StandingClock) -> None:
    await tell(pool, ENTRY)
    claim = await claimed(pool, clock)
    await pool.execute("UPDATE recordings SET audio_state = 'erased', insights_state = 'erased'")

    for write in (
        claim.check(),
        claim.fix_object("name"),
        claim.give_up("reason", "failed", {}),
        claim.hand_back(NOW, None),
    ):
        with pytest.raises(ClaimLost):
            await write

    assert await pool.fetchval("SELECT audio_state FROM recordings") == "erased"


async def test_nobody_but_the_owner_reads_a_row(pool: Pool, handle_events: Callable[..., Any]) -> None:
    await handle_events(received(event()))

    open_tables = await pool.fetch(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        " AND NOT relrowsecurity"
    )

    assert open_tables == []


async def test_a_time_with_an_offset_finds_its_partition(pool: Pool, handle_events: Callable[..., Any]) -> None:
    east = timezone(timedelta(hours=2))
    await handle_events(
        received(event(), datetime(2026, 4, 1, 1, tzinfo=east)), received(b"[1]", NOW), received(b"[]", NOW)
    )

    bodies = await pool.fetch("SELECT body, error FROM insight_events WHERE error IS NOT NULL ORDER BY length(raw)")
    assert [row["body"] for row in bodies] == [[], [1]]
    assert await pool.fetchval("SELECT count(*) FROM insight_events") == 3
