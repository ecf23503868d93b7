"""The loss clock on real rows: what it reads, the order that follows from it, and that no other order saves more."""

import asyncio
import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
import structlog

from common.amqp.publisher import Publisher
from common.database.loss_clock import read_loss_clock
from common.database.pool import Pool
from common.database.recordings import Said, merge_sayings
from common.database.statements import statements
from common.loss_clock import AUDIO_SHARE, SOON, Retention, Span
from common.merge import Saying
from common.messages import DownloadRecording
from common.ringcentral.budget import Budget, Priority
from common.ringcentral.client import RingCentral
from common.telemetry.metrics import CATCH_UP_SECONDS, FIRST_LOSS, LOSSES_EXPECTED, REGISTRY
from services.poller.announce import announce
from services.poller.leadership import Leadership
from services.poller.loss_clock import READ_EVERY, LossClock, silence
from tests.clocks import StandingClock

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
USUAL = [Retention("automatic", 90 * DAY, 100_000), Retention("on_demand", 90 * DAY, 200)]


class Account:
    """What announcing needs to know of RingCentral: whose calls, and how large the budget is."""

    account_id = "42"

    def __init__(self, pool: Pool) -> None:
        self.budget = Budget(pool, "app")


async def recorded(
    pool: Pool,
    ids: Sequence[str],
    starts: Sequence[datetime],
    *,
    of: str = "Automatic",
    priority: Priority = Priority.LIVE,
    due_at: datetime = NOW,
) -> None:
    """The call log tells of recordings that began then."""
    said = [
        Said(
            ("pbx", name),
            Saying(
                "call_log",
                "1",
                {"audio_content_uri": "uri", "recording_type": of, "started_at": start.isoformat()},
            ),
        )
        for name, start in zip(ids, starts, strict=True)
    ]
    async with pool.transaction() as connection:
        await merge_sayings(connection, "42", said, due_at, priority=priority)


async def stored(pool: Pool, ids: Sequence[str]) -> None:
    await pool.execute(
        """
        UPDATE recordings SET audio_state = 'stored', audio_object = 'name', audio_bytes = 1,
            audio_sha256 = repeat('0', 64), audio_stored_at = now(), audio_due_at = NULL
        WHERE source_record_id = ANY($1::text[])
        """,
        ids,
    )


async def test_the_clock_reads_age_cap_rate_and_what_waits(pool: Pool) -> None:
    hours = range(1, 251)
    await recorded(pool, [f"d{n}" for n in hours], [NOW - n * HOUR for n in hours], of="OnDemand")
    await stored(pool, [f"d{n}" for n in hours if n not in {150, 230}])
    await recorded(pool, ["a1", "a2", "a3"], [NOW - 80 * DAY, NOW - 89 * DAY, NOW - 91 * DAY])
    await stored(pool, ["a2"])

    reading = await read_loss_clock(pool, "42", USUAL, NOW, 1.0)

    automatic, on_demand = reading.kept
    assert (automatic.count, automatic.rate) == (2, 0.0)
    assert on_demand.count == 200
    assert on_demand.rate * 3600 == pytest.approx(1.0, rel=0.05)
    assert (reading.waiting, reading.too_late) == (2, 2), "d230 is beyond the cap, a3 too old"
    assert reading.first_loss["automatic"] == NOW + 10 * DAY
    assert reading.first_loss["on_demand"] - NOW == pytest.approx(51 * HOUR, abs=3 * HOUR)


async def test_other_domains_fill_no_cap(pool: Pool) -> None:
    async with pool.transaction() as connection:
        told = Saying("insights", "1", {"started_at": (NOW - HOUR).isoformat()})
        await merge_sayings(connection, "42", [Said(("rcv", "meeting"), told)], NOW)

    reading = await read_loss_clock(pool, "42", USUAL, NOW, 1.0)

    assert [kept.count for kept in reading.kept] == [0, 0]
    assert (reading.waiting, reading.first_loss, reading.is_near) == (0, {}, False)


async def test_what_is_lost_soon_goes_before_live_work_and_backfill_by_what_is_lost_earliest(
    pool: Pool, publisher: Publisher, leadership: Leadership
) -> None:
    ago = [80 * DAY, 60 * DAY, 91 * DAY]
    await recorded(pool, ["fill80", "fill60", "too_late"], [NOW - one for one in ago], priority=Priority.BACKFILL)
    await recorded(pool, ["soon47", "soon2"], [NOW - 90 * DAY + n * HOUR for n in (47, 2)], priority=Priority.BACKFILL)
    await recorded(pool, ["heal"], [NOW - DAY], priority=Priority.RECONCILE)
    await recorded(pool, ["live", "live_earlier"], [NOW - HOUR, NOW - 2 * HOUR])
    await pool.execute(
        "UPDATE recordings SET audio_due_at = audio_due_at - $1::interval WHERE source_record_id = 'live_earlier'", HOUR
    )
    await recorded(pool, ["demand1", "demand2"], [NOW - 10 * DAY + HOUR, NOW - 10 * DAY + 3 * HOUR], of="OnDemand")
    await recorded(pool, ["later"], [NOW - 90 * DAY + HOUR], due_at=NOW + HOUR)
    spans = [
        Span("automatic", NOW - 90 * DAY, NOW - 88 * DAY),
        Span("on_demand", NOW - 10 * DAY, NOW - 8 * DAY),
    ]
    order = []

    while jobs := await marked(pool, spans):
        order += jobs

    assert order == [
        *("demand1", "soon2", "demand2", "soon47"),  # by the time that is left, whatever the type
        *("live_earlier", "live"),
        "heal",
        *("fill80", "fill60"),
        "too_late",
    ]
    priorities = {row[0]: row[1] for row in await pool.fetch("SELECT source_record_id, audio_priority FROM recordings")}
    assert [priorities[name] for name in ("soon2", "live", "heal", "fill80")] == [1, 1, 2, 3]
    client, clock = cast("RingCentral", Account(pool)), StandingClock(NOW)
    assert await announce(client, pool, publisher, clock, leadership, spans) == 0


async def marked(pool: Pool, spans: Sequence[Span], limit: int = 1, now: datetime = NOW) -> list[str]:
    """Announce so many as the poller does, and say which."""
    columns = [[getattr(span, name) for span in spans] for name in ("retention_type", "lost_before", "urgent_before")]
    rows = await pool.fetch(statements("recordings")["announce"], "42", now, now - HOUR, limit, *columns)
    return [row["source_record_id"] for row in sorted(rows, key=lambda row: (row["rank"], row["place"]))]


@dataclass(frozen=True)
class Backlog:
    """So many recordings each hour are lost between two hours from now, while four live ones an hour come in."""

    each: int
    first: int
    last: int
    losses: int


@pytest.mark.parametrize(
    "backlog",
    [
        pytest.param(Backlog(each=14, first=20, last=59, losses=0), id="all of it can be saved"),
        pytest.param(Backlog(each=590, first=60, last=60, losses=0), id="only if live work waits from the beginning"),
        pytest.param(Backlog(each=30, first=10, last=49, losses=710), id="more than can be saved"),
    ],
)
async def test_what_is_lost_is_what_the_clock_announced_and_no_order_saves_more(pool: Pool, backlog: Backlog) -> None:
    """Ten downloads an hour; recordings of both types are lost in turn, hour by hour, until all are stored or lost."""
    retentions = [Retention("automatic", 90 * DAY, 100_000), Retention("on_demand", 30 * DAY, 100_000)]
    lost_at: dict[str, datetime] = {}
    for hour in range(backlog.first, backlog.last + 1):
        kind, retention = [("Automatic", retentions[0]), ("OnDemand", retentions[1])][hour % 2]
        names = [f"{kind}{hour}.{n}" for n in range(backlog.each)]
        lost_at |= dict.fromkeys(names, NOW + hour * HOUR)
        starts = [NOW + hour * HOUR - retention.lifetime] * backlog.each
        await recorded(pool, names, starts, of=kind, priority=Priority.BACKFILL)
    before = [f"before{n}" for n in range(96)]
    await recorded(pool, before, [NOW - (n // 4) * HOUR for n in range(96)])
    await stored(pool, before)
    rate = 10 / 3600 / AUDIO_SHARE

    told = await read_loss_clock(pool, "42", retentions, NOW, rate)
    saved: set[str] = set()
    for hour in range(backlog.last + 1):
        now = NOW + hour * HOUR
        await recorded(pool, [f"live{hour}.{n}" for n in range(4)], [now] * 4, due_at=now)
        reading = await read_loss_clock(pool, "42", retentions, now, rate)
        jobs = await marked(pool, reading.spans, 10, now)
        saved |= {name for name in jobs if name in lost_at and lost_at[name] > now}
        await stored(pool, jobs)

    assert told.expected_losses == backlog.losses
    assert len(lost_at) - len(saved) == told.expected_losses


async def test_the_leader_tells_a_loss_that_is_near_and_the_order_goes_on_between_readings(pool: Pool) -> None:
    clock = StandingClock(NOW)
    loss_clock = LossClock(cast("RingCentral", Account(pool)), pool, clock, USUAL)
    await recorded(pool, ["r1"], [NOW - 90 * DAY + 5 * HOUR])

    with structlog.testing.capture_logs() as logs:
        first = await loss_clock.spans()
        clock.time += READ_EVERY / 2
        between = await loss_clock.spans()
        await stored(pool, ["r1"])
        clock.time += READ_EVERY
        await loss_clock.spans()

    near, calm = logs
    assert (near["event"], near["log_level"], near["hours_to_first_loss"]) == (
        "loss_is_near",
        "warning",
        {"automatic": 5.0},
    )
    assert (calm["event"], calm["log_level"], calm["hours_to_first_loss"]) == ("loss_clock_read", "info", {})
    assert between == [span.after(READ_EVERY / 2) for span in first]
    assert first[0].urgent_before == NOW - 90 * DAY + SOON + timedelta.resolution
    assert REGISTRY.get_sample_value("ringvault_first_loss_timestamp_seconds", {"retention_type": "automatic"}) is None


async def test_the_metrics_tell_what_the_clock_shows(pool: Pool) -> None:
    loss_clock = LossClock(cast("RingCentral", Account(pool)), pool, StandingClock(NOW), USUAL)
    late = NOW - 90 * DAY + HOUR
    await recorded(pool, [f"r{n}" for n in range(500)], [late] * 500)
    await recorded(pool, ["lost"], [NOW - 95 * DAY])

    await loss_clock.spans()

    assert FIRST_LOSS.labels("automatic")._value.get() == (late + 90 * DAY).timestamp()
    # Ten heavy requests a minute, eight of them for audio: 480 in the hour that is left.
    assert LOSSES_EXPECTED._value.get() == 20
    assert CATCH_UP_SECONDS._value.get() == pytest.approx(500 / (DEFAULT_AUDIO_RATE))
    assert REGISTRY.get_sample_value("ringvault_audio_waiting", {"chance": "too_late"}) == 1
    assert REGISTRY.get_sample_value("ringvault_retention_kept", {"retention_type": "automatic"}) == 500
    silence()
    assert REGISTRY.get_sample_value("ringvault_retention_kept", {"retention_type": "automatic"}) is None
    assert not math.isinf(CATCH_UP_SECONDS._value.get())


DEFAULT_AUDIO_RATE = 10 / 60 * AUDIO_SHARE


async def test_jobs_are_published_in_that_order(
    pool: Pool, publisher: Publisher, leadership: Leadership, taken: object
) -> None:
    await recorded(pool, [f"live{n}" for n in range(3)], [NOW - n * HOUR for n in range(3)])
    await recorded(pool, ["soon"], [NOW - 89 * DAY], priority=Priority.BACKFILL)
    spans = [Span("automatic", NOW - 90 * DAY, NOW - 88 * DAY)]

    await announce(cast("RingCentral", Account(pool)), pool, publisher, StandingClock(NOW), leadership, spans)

    assert callable(taken)
    jobs = [message.body for message in await taken(DownloadRecording.QUEUE)]
    assert b"soon" in jobs[0]


async def ringvault(database_url: str, *arguments: str) -> str:
    account = {"DATABASE_URL": database_url, "RC_ACCOUNT_ID": "42", "RETENTION_AUTOMATIC_DAYS": "30"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "cli", "loss-clock", *arguments),
        env={"PATH": os.environ["PATH"], **account},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


async def test_the_command_shows_the_clock_for_the_plan_that_is_set(pool: Pool, database_url: str) -> None:
    now = datetime.now(UTC)
    await recorded(pool, ["r1", "r2"], [now - 30 * DAY + 20.2 * HOUR, now - 40 * DAY])

    shown = json.loads(await ringvault(database_url, "--json"))
    text = await ringvault(database_url)

    automatic, on_demand = shown["types"]
    assert automatic["hours_until_first_loss"] == pytest.approx(19.7, abs=0.6)  # counted by the hour of the beginning
    assert (automatic["days"], automatic["cap"], automatic["kept"]) == (30, 100_000, 1)
    assert (on_demand["days"], on_demand["cap"], on_demand["hours_until_first_loss"]) == (90, 200, None)
    assert (shown["waiting"], shown["too_late"], shown["losses_expected"]) == (1, 1, 0)
    assert "1 recordings wait; 1 more are probably lost" in text
    assert "nothing waits" in text
