"""`make bench-storms`: a company under every fault that ends, seed after seed, held against the simulator's truth.

Faults of token, budget, call log and HTTP, events that are lost, duplicated, delayed, reordered or odd, and a
subscription that is refused at first and blacklisted in the midst, all at once. A seed is good when every obtainable
recording is stored and equal by sha256, every other one is in a final state with its reason, every insight that was
delivered or that RingCentral gives when asked is merged, and the call log is read by the sync endpoint in the end. All
together are good when each kind of fault has happened, in one seed or another.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import httpx

from benchmarks.storm_end import faults_at_the_end
from benchmarks.storm_report import Report, report_of
from common.database.pool import Pool, open_pool
from common.storage.open import open_storage
from demo.check import Verdict, check
from demo.pipeline import SERVICES, Pipeline, Servers
from private_servers.postgres import Postgres
from private_servers.rabbitmq import RabbitMQ
from services.poller.windows import WINDOWS_FOR
from simulator.options import ORDERS

#: What is switched on; `storm_report` tells why the others are not.
FAULTS: Final = (
    "token,budget,call-log,http,events:duplicated,events:copied,events:delayed,events:reordered,"
    "events:nulls,events:unknown-kind,events:lost,events:other-domains,events:handshake-refused,events:blacklisted"
)
#: One business hour in a minute; a fault at more than every second request, and stalls that a person can sit through.
COMPANY: Final = {
    "speed": 60,
    "history": 3600,
    "span": 1500,
    "faults": FAULTS,
    "fault_rate": 0.6,
    "stall_seconds": 3,
    "begin_with_subscription": True,
    # The list has four pages then: with RingCentral's 1000 there would be only one, and nothing to shift.
    "largest_page": 100,
}
#: All domains, so that events of others than telephony come.
SETTINGS: Final = {"RC_DOMAINS": "pbx,rcv,rcx,ms-teams,nice-incontact"}
#: Seconds until a seed counts as failed: three failed attempts of one recording take more than six minutes of its
#: schedule, and two faults come on top of audio that is not ready.
WITHIN: Final = 600.0
#: Time that windows are used here before the sync endpoint is tried again, instead of a day: some dozens of requests,
#: so that the faults of the list come up.
WINDOWS_WITHIN: Final = timedelta(minutes=1)
#: The day passes for the poller when the end that it wrote down comes nearer.
_END_WINDOWS: Final = """
UPDATE call_log_cursors SET windows_until = $1 WHERE windows_until > $1 AND windows_until <= $1::timestamptz + $2
"""
#: The longer steps of a recording's schedules pass as fast as the company's time: so many faults meet some recordings
#: that it takes days, as it does until RingCentral's 404 is final, and until insights are asked for once more.
_HASTEN: Final = """
UPDATE recordings
SET audio_due_at = $1::timestamptz + (audio_due_at - $1::timestamptz) / 60
WHERE audio_state IN ('pending', 'quarantined') AND audio_due_at > $2
"""
#: RingCentral has made all insights that it will ever make: one more answer about each recording tells of all.
_MADE: Final = """
CREATE TABLE IF NOT EXISTS asked_before AS SELECT domain, source_record_id, insights_attempts FROM recordings
"""
_HASTEN_INSIGHTS: Final = """
UPDATE recordings r SET insights_due_at = $1
WHERE r.insights_due_at > $2 AND r.insights_attempts = coalesce((
    SELECT a.insights_attempts FROM asked_before a
    WHERE a.domain = r.domain AND a.source_record_id = r.source_record_id
), 0)
"""
#: What the call log did not show when it was asked singly was first seen four days ago, and is asked for a last time.
_GROWN_OLD: Final = """
UPDATE recordings SET first_seen_at = $1::timestamptz - interval '4 days', audio_due_at = $1
WHERE audio_state = 'unknown' AND audio_due_at > $2
"""
_ROWS: Final = """
SELECT domain, source_record_id, audio_state, audio_reason, audio_due_at, insights FROM recordings WHERE account_id = $1
"""
#: Shorter steps than this pass as they are.
_SHORT: Final = timedelta(seconds=20)
_WINDOWS: Final = "SELECT count(*) FROM call_log_cursors WHERE windows_since IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Seed:
    """How one seed ended; `counts` are the simulator's, `polls` whether each was by windows."""

    number: int
    order: str
    verdict: Verdict
    counts: Mapping[str, Any]
    polls: Sequence[bool]
    seconds: float


def main() -> int:
    """Run the seeds and print a line for each; 1 when one does not end with the truth, or a fault never happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds (default 20)")
    parser.add_argument("--first", type=int, default=1, help="the first of them (default 1)")
    parser.add_argument("--recordings", type=int, default=300, help="recordings of each company (default 300)")
    parser.add_argument("--at-once", type=int, default=1, help="seeds that run side by side (default 1)")
    options = parser.parse_args()
    report = report_of(FAULTS)
    faults = 0
    print("seed  order   obtainable  stored  gone  merged  events  refused  of these on the wire  seconds", flush=True)
    with ThreadPoolExecutor(options.at_once) as threads:
        numbers = range(options.first, options.first + options.seeds)
        for seed in threads.map(partial(_run, recordings=options.recordings), numbers):
            _print(seed, report)
            faults += len(seed.verdict.faults)
    print("\n".join(report.lines()))
    never = list(report.faults())
    for fault in never:
        print(f"FAILED: {fault}")
    return 1 if faults or never else 0


def _run(number: int, *, recordings: int) -> Seed:
    """One company on servers of its own."""
    started = time.monotonic()
    order = ORDERS[number % len(ORDERS)]
    with (
        tempfile.TemporaryDirectory(prefix="ringvault-storm-") as folder,
        Servers(RabbitMQ(), Postgres()).started() as servers,
        Pipeline(Path(folder), servers=servers, settings=SETTINGS) as pipeline,
    ):
        pipeline.migrate()
        pipeline.start_simulator(**COMPANY, seed=number, recordings=recordings, call_log_order=order)
        pipeline.start_all(*SERVICES)
        verdict, counts = asyncio.run(_wait(pipeline))
        polls = [line["by_windows"] for line in pipeline.told("poller", "call_log_polled")]
        counts["by_seed"].append(_blacklisting(pipeline))
    return Seed(number, order, verdict, counts, polls, time.monotonic() - started)


def _blacklisting(pipeline: Pipeline) -> dict[str, Any]:
    """The only one that each company has, as a row of what was planned; it has happened when the guardian met it."""
    told = pipeline.told("poller", "subscription_outage_began")
    met = int(any(line["reason"] == "blacklisted" for line in told))
    return {"name": "events:blacklisted", "place": "subscriptions", "planned": 1, "happened": met, "left": 1 - met}


def _print(seed: Seed, report: Report) -> None:
    """The seed's line, what is wrong with it, and what it has left."""
    verdict = seed.verdict
    shown = (verdict.recordings - verdict.gone, verdict.stored, verdict.gone, verdict.merged, verdict.events)
    wire = seed.counts["refused_on_the_wire"]
    print(
        f"{seed.number:4}  {seed.order:6}  {shown[0]:10}  {shown[1]:6}  {shown[2]:4}  {shown[3]:6}  {shown[4]:6}  ",
        end="",
    )
    print(f"{verdict.refused:7}  {wire:20}  {seed.seconds:7.0f}")
    begun, ended = windows_of(seed.polls)
    lines = [*verdict.faults[:10], *report.add(seed.counts, begun=begun, ended=ended)]
    print("\n".join(f"      {line}" for line in lines), flush=True)


def windows_of(polls: Sequence[bool]) -> tuple[int, int]:
    """How often polls that ended well went over to windows, and how often back to the sync endpoint."""
    changes = [after for before, after in pairwise([False, *polls]) if before != after]
    return changes.count(True), changes.count(False)


async def _wait(pipeline: Pipeline) -> tuple[Verdict, dict[str, Any]]:
    deadline = time.monotonic() + WITHIN
    environment = pipeline.environment
    async with (
        httpx.AsyncClient(base_url=pipeline.simulator["url"], timeout=60) as simulator,
        open_pool(environment["DATABASE_URL"], "storms", size=2) as pool,
        open_storage(environment["STORAGE_URL"]) as storage,
    ):
        while True:
            truth = (await simulator.get("/simulator/truth")).json()
            counts = (await simulator.get("/simulator/counts")).json()
            for event in truth["events"]:  # what was never sent, as there was no subscription to send it to
                event["lost"] |= event["tries"] == 0
            # A request that was on the wire when a penalty began cannot be called back.
            counts["refused"] -= counts["refused_on_the_wire"]
            by_windows, late = await _by_windows(pool), time.monotonic() > deadline
            now = datetime.now(UTC)
            for statement in (_HASTEN, _GROWN_OLD):
                await pool.execute(statement, now, now + _SHORT)
            if truth["finished"]:
                await pool.execute(_MADE)
                await pool.execute(_HASTEN_INSIGHTS, now, now + _SHORT)
            if truth["finished"] or late:
                verdict = await check(truth, counts, pool, storage)
                verdict.faults += faults_at_the_end(
                    truth, [dict(row) for row in await pool.fetch(_ROWS, truth["account_id"])]
                )
                if by_windows:
                    verdict.faults.append("the call log is still read by windows")
                if late or not verdict.faults:
                    return verdict, counts
            await asyncio.sleep(2)


async def _by_windows(pool: Pool) -> bool:
    """Whether the sync endpoint is given up for now; what is left of the day passes once windows were used enough."""
    await pool.execute(_END_WINDOWS, datetime.now(UTC), WINDOWS_FOR - WINDOWS_WITHIN)
    return bool(await pool.fetchval(_WINDOWS))


if __name__ == "__main__":
    sys.exit(main())
