"""A database is lost: storage alone brings back what it can know, and the services the rest."""

import asyncio
import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from common.database.pool import Pool, open_pool
from demo.pipeline import SERVICES, Pipeline
from services.downloader.journal_archive import archive_piece
from services.downloader.sidecars import AT_ONCE, write_sidecars
from tests.clocks import ShiftedClock
from tests.end_to_end.facts import Rows, open_rows, storage_of, until, until_told

#: Calls of every shape, hours ago: it is clear who has no licence. A minute's budget is there again after a second.
COMPANY = {"recordings": 30, "extensions": 6, "span": 300, "history": 14400, "elapsed": 14400, "speed": 60, "seed": 11}
LIMITS = {"heavy": 50, "light": 200}
#: Seconds of business after which RingCentral has all of the calls that are ordered.
LATER = 1800

MEETINGS = 2
#: What no audio will come of: one is not there yet, one never will be, one arrives as noise.
ODD: tuple[dict[str, object], ...] = ({"kind": "not_ready"}, {"kind": "status", "status": 410}, {"kind": "noise"})
SETTLED = """
SELECT count(*) = 30 + $1::integer + $2::integer
    AND count(*) FILTER (WHERE audio_state = 'stored') = 30
    AND count(*) FILTER (WHERE audio_state = 'pending' AND audio_attempts > 0) = 1
    AND count(*) FILTER (WHERE audio_state = 'quarantined') = 1
    AND count(*) FILTER (WHERE audio_state = 'unavailable' AND domain = 'pbx') = 1
    AND count(*) FILTER (WHERE insights_state = 'present') = $3
    AND count(*) FILTER (WHERE insights_state = 'unavailable') = 30 + $1 + $2 - $3
FROM recordings
"""
#: What the schedule would ask for in some hours.
ASK_NOW = "UPDATE recordings SET insights_due_at = now() WHERE insights_state = 'absent'"
#: All that a row says, but for when it was written, looked at or tried, and for what only the next look can tell. What
#: comes from the journal is seen first when it is restored.
KNOWN = """
SELECT to_jsonb(r) - ARRAY['updated_at', 'audio_sidecar_of', 'audio_verified_at', 'audio_cell', 'audio_attempts',
    'insights_attempts', 'insights_due_at', 'insights_state', 'insights_reason', 'insights_cell']
    - CASE domain WHEN 'pbx' THEN '' ELSE 'first_seen_at' END AS row
FROM recordings r WHERE audio_state = 'stored' OR domain <> 'pbx'
"""
#: What the ledger can know from storage: each cell of audio that is there, and each of insights that were delivered.
FROM_STORAGE = ("audio_stored", "insights_present", "insights_partial")

pytestmark = [
    pytest.mark.parametrize("servers", ["direct"], indirect=True),  # it takes a while, and says nothing of a pooler.
    pytest.mark.timeout(600),
]


async def ringvault(pipeline: Pipeline, *arguments: str) -> str:
    """Run the command as an operator does; what it says."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "cli", *arguments],
        env=pipeline.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


async def ledger(pipeline: Pipeline) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = json.loads(await ringvault(pipeline, "ledger", "--json", "--by", "both"))
    return sorted(lines, key=lambda line: (line["day"] or "", line["extension_id"] or ""))


def cells(lines: list[dict[str, Any]], names: tuple[str, ...]) -> dict[tuple[str, str], dict[str, int]]:
    """Some cells of each line, where there is anything in one."""
    chosen = {(line["day"], line["extension_id"]): {name: line[name] for name in names} for line in lines}
    return {line: numbers for line, numbers in chosen.items() if any(numbers.values())}


async def settle(pipeline: Pipeline, rows: Rows, present: int) -> None:
    """Let the services come to an end with everything, insights that nobody will ever have included."""
    odd, meetings = len(ODD), MEETINGS

    async def settled() -> bool:
        await rows.ask(ASK_NOW)
        return bool(await rows.ask(SETTLED, odd, meetings, present))

    await until(lambda: rows.ask("SELECT count(*) >= 33 FROM recordings"), what="the call log's recordings")
    await asyncio.to_thread(pipeline.services["poller"].end, signal.SIGTERM)
    await rows.ask(ASK_NOW)
    pipeline.start("poller")  # which looks at once what insights are due, and not after its half minute
    await until(settled, what="an end with everything", within=240)


async def archive(pipeline: Pipeline) -> None:
    """Half a minute passes, and the day."""
    two_days_later = ShiftedClock(2 * 86_400)
    async with open_pool(pipeline.environment["DATABASE_URL"], "test") as pool, storage_of(pipeline) as storage:
        while await write_sidecars(pool, storage) == AT_ONCE:
            pass
        while await archive_piece(pool, storage, two_days_later):
            pass


async def known(pool_url: str) -> list[str]:
    pool: Pool
    async with open_pool(pool_url, "test") as pool:
        return sorted(json.dumps(row["row"], sort_keys=True) for row in await pool.fetch(KNOWN))


def order_what_never_comes(pipeline: Pipeline) -> None:
    """Three calls whose audio meets a fault each time, and meetings, which have none."""
    order = {"count": len(ODD), "appears_after": 900, "audio_after": 0, "insights_after": 600}
    calls = pipeline.ask_simulator("/simulator/calls", order)["calls"]
    for call, fault in zip(calls, ODD, strict=True):
        (recording,) = call["recordings"]
        pipeline.ask_simulator(
            "/simulator/faults",
            {"endpoint": "recording.content", "match": f"/{recording}/", "times": 9999, **fault},
        )
    pipeline.ask_simulator("/simulator/conversations", {"domain": "rcv", "count": MEETINGS})


async def test_a_lost_database_is_rebuilt_from_storage_and_completed_by_the_services(pipeline: Pipeline) -> None:
    # Given a company that was kept to the last recording, some of which nobody can have, and that was verified
    pipeline.settings["RC_DOMAINS"] = "pbx,rcv"
    pipeline.start_simulator(**COMPANY)
    pipeline.ask_simulator("/simulator/limits", LIMITS)
    pipeline.start_all(*SERVICES)
    await until_told(pipeline, "poller", "subscription_recorded")
    order_what_never_comes(pipeline)
    pipeline.ask_simulator("/simulator/clock", {"advance": LATER})
    pipeline.ask_simulator("/simulator/events", {})
    truth = pipeline.ask_simulator("/simulator/truth")
    present = len(truth["insights"])
    async with open_rows(pipeline) as rows:
        await settle(pipeline, rows, present)
    url, name = pipeline.environment["DATABASE_URL"], pipeline.environment["DATABASE_URL"].rsplit("/", 1)[1]
    await ringvault(pipeline, "verify")
    before, rows_before = await ledger(pipeline), await known(url)
    for service in pipeline.services.values():
        await asyncio.to_thread(service.end, signal.SIGTERM)
    await archive(pipeline)

    # When the database is lost, and rebuilt by the one command
    pipeline.postgres.drop_database(name)
    pipeline.postgres.create_database(name)
    pipeline.migrate()
    said = await ringvault(pipeline, "rebuild")

    # Then every row that storage can know is what it was, and every object is what its row says
    assert said.startswith("30 recordings (0 of them without their audio) and ")
    assert said.endswith("0 objects not readable\n")
    assert await known(url) == rows_before
    assert len(rows_before) == 30 + MEETINGS
    digests = {one["id"]: one["sha256"] for one in truth["recordings"]}
    for row in map(json.loads, rows_before):
        assert row["domain"] != "pbx" or row["audio_sha256"] == digests[row["source_record_id"]]
    assert (await ringvault(pipeline, "verify")).startswith("30 of 30 objects, ")
    rebuilt = await ledger(pipeline)
    names = ("audio_verified", *FROM_STORAGE)
    assert cells(rebuilt, names) == cells(before, names)

    # And with the services at work the whole ledger is what it was, in every cell
    pipeline.start_all(*SERVICES)
    async with open_rows(pipeline) as rows:
        await settle(pipeline, rows, present)
    await ringvault(pipeline, "verify")
    assert await ledger(pipeline) == before
    assert rebuilt != before  # or nothing was left for them
