"""`make bench-constants`: what one recording costs each part, which `benchmarks.scaling` reckons with.

A company calls for half a minute at a pace that nothing limits, with real servers and one process of each service. CPU
is what the kernel counted until the last file was written, less what the same process takes while it idles; so a busy
machine does little harm. What Postgres' tables and log grow by is divided by recordings, calls and events. It judges
nothing.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.memory import peak_mb
from common.database.pool import Pool, open_pool
from demo.pipeline import Pipeline, Servers
from private_servers.postgres import Postgres
from private_servers.rabbitmq import RabbitMQ

#: A window lasts a second: with four users forty recordings a second are allowed, more than come.
COMPANY: Final = {"speed": 60, "span": 1500, "history": 1800, "begin_with_subscription": True}
USERS: Final = 4
#: Real seconds for which the idle processes are watched.
IDLE: Final = 15.0
#: Seconds between two polls when no calls come in: seldom enough to be no load.
POLL_INTERVAL: Final = 5
#: Seconds that all may take.
WITHIN: Final = 300.0
#: What works on events, and on recordings.
OF_EVENTS: Final = ("webhook", "insights")
OF_RECORDINGS: Final = ("poller", "downloader")
SERVERS: Final = ("RabbitMQ", "Postgres")
_DONE: Final = """
SELECT (SELECT count(*) FROM recordings WHERE audio_state = 'stored' AND audio_sidecar_of = updated_at) AS stored,
    (SELECT count(*) FROM insight_events WHERE applied_at IS NOT NULL AND source = 'event') AS applied
"""
_TRANSACTIONS: Final = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
_LOG: Final = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint"
_SIZES: Final = """
SELECT (SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_partition_tree('insight_events')) AS insight_events,
    pg_total_relation_size('calls') AS calls, pg_total_relation_size('recordings') AS recordings,
    (SELECT avg(octet_length(raw))::bigint FROM insight_events) AS event
"""


@dataclass(frozen=True, slots=True)
class Used:
    """What was used until now: CPU seconds by process; transactions and bytes of log of Postgres."""

    at: float
    cpu: dict[str, float]
    transactions: int
    log: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stretch of `seconds` has used."""

    seconds: float
    cpu: dict[str, float]
    transactions: float
    log: float

    @classmethod
    def between(cls, before: Used, after: Used) -> "Cost":
        """From one moment to another; a process that came in between counts from its start."""
        cpu = {name: seconds - before.cpu.get(name, 0.0) for name, seconds in after.cpu.items()}
        transactions, log = after.transactions - before.transactions, after.log - before.log
        return cls(after.at - before.at, cpu, transactions, log)

    def less(self, idle: "Cost") -> "Cost":
        """Without what would have been used idling, at the pace of `idle`."""
        part = self.seconds / idle.seconds
        cpu = {name: max(0.0, seconds - part * idle.cpu.get(name, 0.0)) for name, seconds in self.cpu.items()}
        return Cost(
            self.seconds,
            cpu,
            max(0.0, self.transactions - part * idle.transactions),
            max(0.0, self.log - part * idle.log),
        )


def main() -> int:
    """Run once and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.constants", description=__doc__)
    parser.add_argument("--recordings", type=int, default=600, help="recordings of the company (default 600)")
    parser.add_argument("--seed", type=int, default=1, help="decides the company (default 1)")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="ringvault-constants-") as folder,
        Servers(RabbitMQ(), Postgres(durable=True)).started() as servers,
        Pipeline(Path(folder), servers=servers) as pipeline,
    ):
        pipeline.migrate()
        jwts = ",".join(f"benchmark.jwt.{number}" for number in range(USERS))
        pipeline.start_simulator(**COMPANY, seed=options.seed, recordings=options.recordings, jwt=jwts)
        pipeline.settings["POLL_INTERVAL"] = str(POLL_INTERVAL)
        pipeline.start_all(*OF_EVENTS, *OF_RECORDINGS)
        print("\n".join(asyncio.run(_measured(pipeline))))
    return 0


async def _measured(pipeline: Pipeline) -> list[str]:
    async with open_pool(pipeline.environment["DATABASE_URL"], "benchmark", size=1) as pool:
        begin = await _used(pipeline, pool)
        truth = await _all_done(pipeline, pool)
        work = Cost.between(begin, await _used(pipeline, pool))
        resting = await _used(pipeline, pool)
        await asyncio.sleep(IDLE)
        idle = Cost.between(resting, await _used(pipeline, pool))
        await pool.execute("VACUUM")
        sizes = dict(await pool.fetchrow(_SIZES) or {})
    peaks = {name: peak_mb(process.pid) for name, process in pipeline.services.items()}
    return [*_work_lines(truth, work.less(idle), sizes), *_idle_lines(idle), *_memory_lines(peaks)]


async def _all_done(pipeline: Pipeline, pool: Pool) -> dict[str, Any]:
    """The simulator's truth, once all of it has happened, is stored and merged, and the files beside it are written."""
    deadline = time.monotonic() + WITHIN
    while True:
        truth: dict[str, Any] = await asyncio.to_thread(pipeline.ask_simulator, "/simulator/truth")
        done = await pool.fetchrow(_DONE)
        if truth["finished"] and done and tuple(done) == (len(truth["recordings"]), _delivered(truth)):
            return truth
        if time.monotonic() > deadline:
            sys.exit(f"not all was done within {WITHIN:.0f} s: {done}")
        await asyncio.sleep(1.0)


def _delivered(truth: dict[str, Any]) -> int:
    return sum(event["delivered"] for event in truth["events"])


async def _used(pipeline: Pipeline, pool: Pool) -> Used:
    pids = {name: process.pid for name, process in pipeline.services.items()}
    pids |= dict(zip(SERVERS, (pipeline.rabbitmq.pid, pipeline.postgres.pid), strict=True))
    cpu = {name: sum(_cpu(process) for process in _family(pid)) for name, pid in pids.items()}
    return Used(time.monotonic(), cpu, await pool.fetchval(_TRANSACTIONS), await pool.fetchval(_LOG))


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has ended; its parent has its time.
        return
    for child in children:
        yield from _family(int(child))


def _cpu(pid: int) -> float:
    """CPU seconds of a process and of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / 100  # clock ticks are hundredths on every Linux we run on


def _work_lines(truth: dict[str, Any], net: Cost, sizes: dict[str, int]) -> Iterator[str]:
    recordings, events = len(truth["recordings"]), _delivered(truth)
    minutes = sum(one["duration_ms"] for one in truth["recordings"]) / 60_000 / recordings
    megabytes = sum(one["bytes"] for one in truth["recordings"]) / 1e6 / recordings
    yield (
        f"{recordings} recordings of {minutes:.1f} min and {megabytes:.2f} MB, {truth['calls']} calls, "
        f"{events} events of {sizes['event'] / 1e3:.1f} kB at the mean"
    )
    for name in OF_EVENTS:
        yield _line(f"{name}, CPU ms an event", net.cpu[name] / events * 1e3)
    for name in (*OF_RECORDINGS, *SERVERS):
        yield _line(f"{name}, CPU ms a recording", net.cpu[name] / recordings * 1e3)
    yield _line("transactions a recording", net.transactions / recordings)
    yield _line("log (WAL) kB a recording", net.log / recordings / 1e3)
    for table, rows in (("recordings", recordings), ("calls", truth["calls"]), ("insight_events", events)):
        yield _line(f"{table}, kB a row with its indexes", sizes[table] / rows / 1e3)


def _idle_lines(idle: Cost) -> Iterator[str]:
    for name, seconds in idle.cpu.items():
        yield _line(f"{name}, idle, CPU ms a second", seconds / idle.seconds * 1e3)
    yield _line("transactions a second, idle", idle.transactions / idle.seconds)


def _memory_lines(peaks: dict[str, float]) -> Iterator[str]:
    for name, peak in peaks.items():
        yield _line(f"{name}, most memory in MB", peak)


def _line(what: str, number: float) -> str:
    return f"{what:<44}{number:8.1f}"


if __name__ == "__main__":
    sys.exit(main())
