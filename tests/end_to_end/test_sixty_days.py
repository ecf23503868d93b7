"""Sixty days of a company, lived by the real services with a moved clock: what is dark heals, and nothing is missing.

Before the clock is moved again, all that the last move has brought is done. Near an accident it is moved by one pass of
the guardian, in quiet times by hours.
"""

import os
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from common.database.outages import read_outages
from common.database.pool import open_pool
from demo.pipeline import Servers
from private_servers.postgres import Postgres
from private_servers.rabbitmq import RabbitMQ
from simulator import Simulator, SimulatorOptions, control
from tests.end_to_end.company_days import Company
from tests.end_to_end.conftest import isolated
from tests.end_to_end.facts import ACCOUNT, open_rows
from tests.end_to_end.ledger_truth import told_by, truth_of
from tests.end_to_end.long_life import HOUR, MINUTE, LongLife, long_life

#: Repeats a run.
SEED = "SIXTY_DAYS_SEED"
#: Nobody calls unless told to, and time goes as fast as ours.
COMPANY = SimulatorOptions(recordings=0, extensions=8, history=3600, elapsed=3600, speed=1)
ZONE = "Asia/Kathmandu"
SETTINGS = {"POLL_INTERVAL": "60", "LEDGER_TIME_ZONE": ZONE, "RC_DOMAINS": "pbx,rcv"}
OLD_TOKEN = {"RC_WEBHOOK_TOKEN": "old-verification-token"}
BOTH_TOKENS = {"RC_WEBHOOK_TOKEN": "new-verification-token,old-verification-token"}
NEW_TOKEN = {"RC_WEBHOOK_TOKEN": "new-verification-token"}


@dataclass(frozen=True)
class Dark:
    """An interval in which nothing could reach us, as the test knows it."""

    reason: str
    began: float
    ended: float


@pytest.fixture
async def company(rabbitmq: RabbitMQ, postgres: Postgres, tmp_path: Path) -> AsyncIterator[Company]:
    seed = os.environ.get(SEED) or str(random.SystemRandom().randrange(2**32))
    print(f"{SEED}={seed}")  # noqa: T201 - pytest shows it when the test fails.
    async with (
        isolated(Servers(rabbitmq, postgres), tmp_path) as pipeline,
        open_rows(pipeline) as rows,
        Simulator(COMPANY) as simulator,
        long_life(pipeline, rows, simulator) as life,
    ):
        await life.neighbour.subscribe()
        await life.start("webhook", "insights", "downloader", **OLD_TOKEN)
        await life.start("poller", **SETTINGS, **OLD_TOKEN)
        yield Company(life, random.Random(seed), simulator.world.clock.now())


@pytest.mark.timeout(900)
async def test_sixty_days_with_every_death_end_with_the_simulators_truth_in_every_cell(company: Company) -> None:
    """That there never are two subscriptions of ours after a pass, nor none after two, is checked in each step."""
    await company.everybody_calls()
    await company.days(4)
    blacklisted = await be_blacklisted(company)
    await company.days(3)
    deleted = await be_deleted_by_hand(company)
    await company.days(3)
    await change_the_token(company)
    await company.days(8)
    await company.lose_events(3)
    await company.days(6)
    expired = await leave_the_poller_away(company)
    await company.days(3)
    failed = await fail_to_receive(company)
    await company.days(2)
    await company.lose_events(2)
    await company.quiet_until(60)

    await assert_the_ledger_is_the_truth(company)
    await assert_each_dark_interval_is_listed(company, [blacklisted, deleted, expired, failed])
    neighbour, made = company.life.neighbour, company.life.world.company
    told = f"{len(made.calls)} calls, {len(made.recordings)} recordings, {len(company.life.counts)} passes"
    print(told)  # noqa: T201 - pytest shows it when the test fails.
    (foreign,) = neighbour.subscriptions
    assert (foreign.id, foreign.status) == (neighbour.subscription_id, "Active")


async def be_blacklisted(company: Company) -> Dark:
    return await _die(company, "blacklisted")


async def be_deleted_by_hand(company: Company) -> Dark:
    return await _die(company, "gone")


async def _die(company: Company, reason: str) -> Dark:
    """The subscription dies right before an event, which is lost."""
    life = company.life
    (event,) = company.events_of(await company.call(insights_after=8 * MINUTE))
    await life.pass_time(5 * MINUTE)
    began, dying = life.world.clock.now(), life.only
    if reason == "gone":
        life.world.subscriptions.remove(dying.id)
    else:
        await control.blacklist(life.world, {"id": dying.id})
    await life.pass_time(event.at - began)
    await life.pass_time(MINUTE)
    assert not life.has_heard(event)
    return Dark(reason, began, life.only.created_at)


async def change_the_token(company: Company) -> None:
    """First whoever receives knows both tokens, then whoever subscribes, and soon neither the old one: no moment is
    dark.
    """
    life, before = company.life, company.life.only
    await _restart_with(life, BOTH_TOKENS)
    changed = life.only
    assert changed.id != before.id
    assert changed.verification_token == "new-verification-token"
    await _restart_with(life, NEW_TOKEN)
    assert life.only.id == changed.id
    (event,) = company.events_of(await company.call(insights_after=2 * MINUTE))
    await life.pass_time(5 * MINUTE)
    assert life.has_heard(event)


async def _restart_with(life: LongLife, token: Mapping[str, str]) -> None:
    for service in ("webhook", "poller"):
        await life.stop(service)
        await life.start(service, **SETTINGS, **token)
    await life.pass_time(MINUTE)


async def leave_the_poller_away(company: Company) -> Dark:
    """For longer than the subscription lives; events come until it ends, and calls go on."""
    life, ending = company.life, company.life.only
    await life.stop("poller")
    while life.world.clock.now() < ending.expires_at + HOUR:
        await company.days(1, changes=False)
    await life.start("poller", **SETTINGS, **NEW_TOKEN)
    await life.pass_time(MINUTE)
    return Dark("gone", ending.expires_at, life.only.created_at)


async def fail_to_receive(company: Company) -> Dark:
    """RingCentral gets no answer to its events for ten minutes, and gives up."""
    life, dying = company.life, company.life.only
    for minutes in (2, 6, 11, 13):
        await company.call(insights_after=minutes * MINUTE)
    await life.stop("webhook")
    while dying.status == "Active":
        await life.pass_time(MINUTE)
    await life.start("webhook", **SETTINGS, **NEW_TOKEN)
    for _ in range(2):
        await life.pass_time(MINUTE)
    assert dying.failing_since is not None
    return Dark("blacklisted", dying.failing_since, life.only.created_at)


async def assert_the_ledger_is_the_truth(company: Company) -> None:
    """In every cell of every day and extension; and what is stored is what RingCentral had."""
    life = company.life
    truth = truth_of(life.world.company, ZONE, life.world.clock.now(), company.quarantined)
    assert told_by(await life.rows.all("SELECT * FROM ledger")) == truth
    stored = await life.rows.all("SELECT source_record_id, audio_sha256 FROM recordings WHERE audio_state = 'stored'")
    known = {one["id"]: one["sha256"] for one in (await life.simulator.truth())["recordings"]}
    assert len(stored) > len(known) / 2
    for row in stored:
        assert row["audio_sha256"] == known[row["source_record_id"]]


async def assert_each_dark_interval_is_listed(company: Company, intervals: Sequence[Dark]) -> None:
    """Each with its reason, from begin to end, and all whose insights were lost in it have been asked for."""
    life = company.life
    async with open_pool(life.pipeline.environment["DATABASE_URL"], "test") as pool:
        listed: list[Mapping[str, Any]] = [dict(row) for row in await read_outages(pool, ACCOUNT, life.clock.now())]
    assert [outage["reason"] for outage in reversed(listed)] == [dark.reason for dark in intervals]
    for outage, dark in zip(reversed(listed), intervals, strict=True):
        heard = [event.at for event in life.world.company.events if event.at <= dark.began and life.has_heard(event)]
        assert max(heard) <= outage["began_at"].timestamp() <= dark.began
        assert dark.ended <= outage["ended_at"].timestamp() <= dark.ended + 2 * MINUTE
        events = [event for event in life.world.company.events if dark.began <= event.at <= dark.ended]
        lost = {event.recording.id for event in events if not life.has_heard(event)}
        began_at, ended_at = (outage[name].timestamp() for name in ("began_at", "ended_at"))
        recordings = life.world.company.recordings.values()
        within = [
            one for one in recordings if began_at - 4 * HOUR <= one.ended_at and one.ready_at <= ended_at + 4 * HOUR
        ]
        assert 0 < len(lost) <= outage["recordings_healed"] <= len(within)
        assert outage["recordings_due"] == 0
