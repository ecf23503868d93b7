"""The ledger on a real Postgres: whatever the rows say, each recording is in exactly one cell of the right line."""

import asyncio
import csv
import io
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.database.ledger import AUDIO, INSIGHTS, set_time_zone
from common.database.pool import Pool
from common.process import CannotStart
from common.telemetry.metrics import LEDGER_CALLS, LEDGER_RECORDINGS, REGISTRY
from services.poller.ledger import choose_time_zone, silence_ledger, tell_ledger
from tests.clocks import StandingClock

#: Havana and the Azores turn their clocks back to midnight, so that it comes twice; Kathmandu is 45 minutes off.
ZONES = ("UTC", "Europe/Berlin", "America/Havana", "Atlantic/Azores", "Asia/Kathmandu", "Pacific/Apia")
#: Sentences as they stand in a row, and what the ledger counts them as.
REASONS = {
    "RingCentral offers no audio for this domain": "no_audio_in_domain",
    "the recording is too short to be kept": "too_short",
    "the extension has no licence": "no_licence",
    "403 RAH-3005: the user may not read insights": "no_permission",
    "it is older than the 90 days that RingCentral keeps recordings": "retention_ended",
    "RingCentral has nothing there: it was deleted, or never made": "nothing_there",
    "404 RAH-3001": "nothing_there",
    "RingCentral had none 7 days after the call (the answer holds none)": "nothing_there",
    "its extension seems to have no licence: no insights within 30 days, and none when asked once": "no_licence",
    "RingCentral has nothing there (CMN-102): the call is older than the 90 days that it keeps": "retention_ended",
    "the sky fell": "other",
}
STATES = tuple(cell for cell in AUDIO if cell != "verified")


@dataclass(frozen=True)
class Recorded:
    """A row of `recordings`, as far as the ledger is concerned."""

    account_id: str
    extension_id: str | None
    started_at: datetime | None
    audio_state: str
    verified: bool
    audio_reason: str
    insights_state: str
    insights_reason: str | None


@dataclass(frozen=True)
class Called:
    """A row of `calls`."""

    account_id: str
    extension_id: str | None
    started_at: datetime | None
    deleted: bool


accounts = st.sampled_from(["42", "43"])
extensions = st.sampled_from([None, "1", "2"])
#: Around both changes of the clocks of 2025, to the minute, so that midnights are met.
times = st.none() | st.sampled_from(
    [datetime(2025, month, day, tzinfo=UTC) for month, day in ((3, 8), (10, 25))]
).flatmap(lambda begin: st.integers(0, 16 * 24 * 60).map(lambda minutes: begin + timedelta(minutes=minutes)))
recorded = st.builds(
    Recorded,
    accounts,
    extensions,
    times,
    st.sampled_from(STATES),
    st.booleans(),
    st.sampled_from(list(REASONS)),
    st.sampled_from(INSIGHTS),
    st.none() | st.sampled_from(list(REASONS)),
)
called = st.builds(Called, accounts, extensions, times, st.booleans())


@given(
    recordings=st.lists(recorded, max_size=40), calls=st.lists(called, max_size=20), time_zone=st.sampled_from(ZONES)
)
@settings(max_examples=60)
async def test_every_recording_is_in_one_cell_of_its_day_and_extension(
    pool: Pool, recordings: list[Recorded], calls: list[Called], time_zone: str
) -> None:
    async with pool.transaction() as connection:
        rows_of_the_example = connection.transaction()
        await rows_of_the_example.start()
        await insert(connection, recordings, calls)
        for account_id in ("42", "43"):
            await connection.execute("INSERT INTO ledger_settings VALUES ($1, $2)", account_id, time_zone)
        rows = await connection.fetch("SELECT * FROM ledger")
        narrowed = await connection.fetch("SELECT * FROM ledger WHERE day BETWEEN '2025-03-09' AND '2025-10-26'")
        await rows_of_the_example.rollback()

    assert found(rows) == expected(recordings, calls, ZoneInfo(time_zone))
    assert found(narrowed) == found([row for row in rows if row["day"] and within(row["day"])])
    for row in rows:
        assert sum(row[f"audio_{cell}"] for cell in AUDIO) == row["recordings"]
        assert sum(row[f"insights_{cell}"] for cell in INSIGHTS) == row["recordings"]
        assert sum(row["audio_unavailable_by"].values()) == row["audio_unavailable"]
        assert sum(row["insights_unavailable_by"].values()) == row["insights_unavailable"]
        assert row["insights_present"] + row["insights_partial"] <= row["insights_expected"] <= row["recordings"]


def within(day: date) -> bool:
    return date(2025, 3, 9) <= day <= date(2025, 10, 26)


async def insert(connection: Any, recordings: Sequence[Recorded], calls: Sequence[Called]) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    await connection.executemany(
        """
        INSERT INTO recordings (account_id, domain, source_record_id, extension_id, started_at, audio_state,
            audio_verified_at, audio_reason, insights_state, insights_reason, audio_content_uri, audio_due_at,
            audio_object, audio_bytes, audio_sha256, audio_stored_at, first_seen_at, updated_at)
        VALUES ($1, 'pbx', $2, $3, $4, $5, $6, $7, $8, $9, 'uri', $10, 'name', 1, repeat('0', 64), $10, $10, $10)
        """,
        [
            (
                one.account_id,
                f"r{number}",
                one.extension_id,
                one.started_at,
                one.audio_state,
                now if one.verified else None,
                one.audio_reason,
                one.insights_state,
                one.insights_reason,
                now,
            )
            for number, one in enumerate(recordings)
        ],
    )
    await connection.executemany(
        """
        INSERT INTO calls (account_id, call_log_id, extension_id, started_at, deleted, has_recording, entry,
            first_seen_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, false, '{}', $6, $6)
        """,
        [
            (one.account_id, f"c{number}", one.extension_id, one.started_at, one.deleted, now)
            for number, one in enumerate(calls)
        ],
    )


def expected(recordings: Sequence[Recorded], calls: Sequence[Called], zone: ZoneInfo) -> Counter[tuple[Any, ...]]:
    cells: Counter[tuple[Any, ...]] = Counter()
    for call in calls:
        if not call.deleted:
            cells[*line_of(call, zone), "calls"] += 1
    for one in recordings:
        audio = "verified" if one.audio_state == "stored" and one.verified else one.audio_state
        for kind, cell, reason in (
            ("audio", audio, REASONS[one.audio_reason]),
            ("insights", one.insights_state, REASONS.get(one.insights_reason or "", "unexplained")),
        ):
            cells[*line_of(one, zone), f"{kind}_{cell}"] += 1
            if cell == "unavailable":
                cells[*line_of(one, zone), f"{kind}_unavailable_by", reason] += 1
    return cells


def line_of(row: Recorded | Called, zone: ZoneInfo) -> tuple[str, date | None, str | None]:
    return row.account_id, row.started_at and row.started_at.astimezone(zone).date(), row.extension_id


def found(rows: Sequence[asyncpg.Record]) -> Counter[tuple[Any, ...]]:
    cells: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        line = (row["account_id"], row["day"], row["extension_id"])
        names = ["calls", *(f"audio_{cell}" for cell in AUDIO), *(f"insights_{cell}" for cell in INSIGHTS)]
        cells.update({(*line, name): row[name] for name in names if row[name]})
        for name in ("audio_unavailable_by", "insights_unavailable_by"):
            cells.update({(*line, name, reason): number for reason, number in row[name].items()})
    return cells


async def test_insights_are_expected_of_extensions_that_have_some_within_thirty_days(pool: Pool) -> None:
    def on(day: int, extension: str, state: str) -> Recorded:
        started_at = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(days=day)
        return Recorded("42", extension, started_at, "stored", False, "", state, None)

    async with pool.transaction() as connection:
        rows = [on(0, "1", "absent"), on(30, "1", "present"), on(60, "1", "absent"), on(61, "1", "absent")]
        await insert(connection, [*rows, on(60, "1", "erased"), on(30, "2", "absent"), on(30, "1", "absent")], [])

    expectations = await pool.fetch("SELECT day, extension_id, insights_expected FROM ledger ORDER BY 1, 2")
    first = date(2026, 1, 1)
    assert [(row["extension_id"], (row["day"] - first).days, row["insights_expected"]) for row in expectations] == [
        ("1", 0, 1),
        ("1", 30, 2),
        ("2", 30, 0),
        ("1", 60, 1),
        ("1", 61, 0),
    ]


async def test_a_reader_sees_only_what_policies_let_him_see(pool: Pool) -> None:
    async with pool.transaction() as connection:
        await insert(connection, [Recorded("42", "1", None, "unknown", False, "", "absent", None)], [])
        await connection.execute("CREATE ROLE browser LOGIN PASSWORD 'browser'")
        await connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO browser")
        await connection.execute("SET ROLE browser")
        try:
            seen = await connection.fetchval("SELECT count(*) FROM ledger")
        finally:
            await connection.execute("RESET ROLE")
            await connection.execute("DROP OWNED BY browser")
            await connection.execute("DROP ROLE browser")

    assert (seen, await pool.fetchval("SELECT count(*) FROM ledger")) == (0, 1)


async def test_a_time_zone_that_postgres_does_not_know_stops_the_poller(pool: Pool) -> None:
    with pytest.raises(CannotStart, match=r"^LEDGER_TIME_ZONE is not valid"):
        await choose_time_zone(pool, "42", "Europe/Atlantis", asyncio.Event())

    assert await pool.fetchval("SELECT count(*) FROM ledger_settings") == 0


async def test_the_metrics_tell_the_last_seven_days_of_one_account_without_an_extension(pool: Pool) -> None:
    days = [datetime(2025, 12, day, 23, tzinfo=UTC) for day in (24, 25, 26, 31)]
    failed = [Recorded("42", str(n), day, "failed", False, "", "absent", None) for n, day in enumerate(days)]
    other = Recorded("43", "1", days[-1], "failed", False, "", "absent", None)
    gone = Recorded("42", "1", days[-1], "unavailable", False, "older than the 90 days", "absent", None)
    async with pool.transaction() as connection:
        await insert(connection, [*failed, other, gone], [Called("42", "1", days[-1], False)])

    await tell_ledger(pool, "42", StandingClock(datetime(2026, 1, 1, tzinfo=UTC)))

    assert LEDGER_CALLS._value.get() == 1
    assert told() == {
        ("audio", "failed", ""): 2,  # the first of the seven is the 26th
        ("audio", "unavailable", "retention_ended"): 1,
        ("insights", "absent", ""): 3,
    }
    silence_ledger()
    assert told() == {}


def told() -> dict[tuple[str, ...], float]:
    name = LEDGER_RECORDINGS._name
    return {
        (one.labels["kind"], one.labels["cell"], one.labels["reason"]): one.value
        for metric in REGISTRY.collect()
        for one in metric.samples
        if one.name == name
    }


async def ringvault(database_url: str, *arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "cli", "ledger", *arguments),
        env={"PATH": os.environ["PATH"], "DATABASE_URL": database_url, "RC_ACCOUNT_ID": "42"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    return process.returncode, out.decode(), error.decode()


async def test_the_command_prints_a_table_json_and_csv(pool: Pool, database_url: str) -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    reasons = ("the extension has no licence", "404 RAH-3001")
    rows = [
        Recorded("42", "10", noon, "stored", True, "", "present", None),
        Recorded("42", "9", noon, "unavailable", False, "deleted", "unavailable", reasons[0]),
        Recorded("42", "9", noon + timedelta(days=1), "pending", False, "", "unavailable", reasons[1]),
        Recorded("42", None, None, "unknown", False, "", "partial", None),
    ]
    async with pool.transaction() as connection:
        await insert(connection, rows, [Called("42", "9", noon + timedelta(days=2), False)])
    await set_time_zone(pool, "42", "Asia/Kathmandu")
    span = ("--from", "2026-01-01", "--to", "2026-01-02")

    _, table, _ = await ringvault(database_url, *span)
    _, text, _ = await ringvault(database_url, *span, "--by", "extension", "--json")
    _, sheet, _ = await ringvault(database_url, *span, "--by", "both", "--csv")

    head, first, *_, last, zone = table.splitlines()
    assert head.split()[:4] == ["DAY", "CALLS", "RECORDINGS", "STORED"]
    assert first.split()[:5] == ["2026-01-01", "0", "2", "0", "1"]
    assert last.split()[:3] == ["all", "0", "4"]
    assert last.endswith("audio: nothing_there 1, insights: no_licence 1, insights: nothing_there 1")
    assert "Asia/Kathmandu" in zone
    by_extension = {line["extension_id"]: line for line in json.loads(text)}
    assert list(by_extension) == ["9", "10", None]
    assert by_extension["9"]["insights_unavailable_by"] == {"no_licence": 1, "nothing_there": 1}
    assert by_extension["10"]["audio_verified"] == by_extension[None]["audio_unknown"] == 1
    lines = list(csv.DictReader(io.StringIO(sheet)))
    assert [(line["day"], line["extension_id"]) for line in lines] == [
        ("2026-01-01", "9"),
        ("2026-01-01", "10"),
        ("2026-01-02", "9"),
        ("", ""),
    ]
    assert lines[0]["audio_unavailable_by"] == "nothing_there=1"


async def test_what_a_person_must_mend_is_one_sentence(pool: Pool, database_url: str) -> None:
    for url, arguments, sentence in (
        (database_url, ("--from", "2026-01-02", "--to", "2026-01-01"), "--from is later than --to"),
        (database_url, ("--csv", "--json"), "--json and --csv are both given"),
        ("postgresql://nobody@127.0.0.1:1/x", (), "DATABASE_URL names a Postgres that cannot be reached"),
    ):
        status, out, error = await ringvault(url, *arguments)
        assert (status, out) == (2, "")
        assert error.startswith(f"ringvault: {sentence}")
        assert len(error.splitlines()) == 1
    await pool.execute("DELETE FROM schema_migrations")
    _, _, error = await ringvault(database_url)
    assert "run `ringvault migrate`" in error


async def test_an_empty_ledger_says_so(pool: Pool, database_url: str) -> None:
    assert await pool.fetch("SELECT * FROM ledger") == []
    assert (await ringvault(database_url))[1] == "there are no calls and no recordings in these days\n"
