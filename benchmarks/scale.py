"""`make bench-scale`: what each hot statement costs with 50 thousand, 500 thousand and 5 million recordings.

Fills a private Postgres with a hundredth, a tenth and all of `--rows`, and prints of each statement the processor time,
which other work on the machine does not change, the buffers (8 KiB each) and the indexes of its plan. Exits with 0 when
no plan reads all of `recordings`, `calls` or `insight_events`, the ledger of a month and the readings of the loss clock
take less than a second, and nothing else grows by more than half.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg

from benchmarks.scale_clockwork import of_the_clockwork
from benchmarks.scale_statements import BLOCKS, Measured, ids_of, measured
from common.database.migrate import migrate
from common.database.pool import open_pool
from common.database.statements import statements
from private_servers.postgres import Postgres

#: A year of an account that uses up the budget of one service user: 13,000 recordings a day (facts 6).
USUAL: Final = 5_000_000
#: Each statement is run so often, and the quickest run counts: other processes slow it down, also by what they take of
#: a processor's cache.
RUNS: Final = 15
#: What a statement that is no report may grow by from the first size to the last.
MOST_GROWTH: Final = 1.5
#: Milliseconds that a growth must have to count: below is noise.
NOISE: Final = 1.0
#: Milliseconds that a report may take.
LONGEST_REPORT: Final = 1000.0
#: Recordings below which Postgres rightly reads a table as a whole.
SMALL: Final = 50_000
#: Tables of which no plan may read all rows.
LARGE: Final = ("recordings", "calls", "insight_events")
#: Rows of a partition below which that holds for it alone: 60 days of the journal may begin on the last of a month.
FEW: Final = 1000


@dataclass(slots=True)
class Cost:
    """What a statement took: milliseconds of the server's processor time, buffers, and what its plan uses."""

    milliseconds: float
    buffers: int
    indexes: set[str] = field(default_factory=set)
    scanned: set[str] = field(default_factory=set)


Costs = dict[str, dict[int, Cost]]


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    parser.add_argument("--rows", type=int, default=USUAL, help=f"recordings in the end (default {USUAL:,})")
    rows: int = parser.parse_args().rows
    with Postgres() as postgres:
        asyncio.run(migrate(postgres.url))
        return asyncio.run(_measure(postgres.url, [rows // 100, rows // 10, rows]))


async def _measure(url: str, sizes: Sequence[int]) -> int:
    costs: Costs = {}
    reports: set[str] = set()
    now = datetime.now(UTC)
    filled = 0
    async with open_pool(url, "benchmark") as pool, _connected(url) as connection:
        await connection.execute(BLOCKS["unlog"])
        await connection.execute(BLOCKS["subscribe"], now)
        for size in sizes:
            await _fill(connection, filled + 1, size, now)
            filled = size
            few = {row["relname"] for row in await connection.fetch(BLOCKS["small_tables"], FEW)}
            for one in (*await measured(pool, size, now), *of_the_clockwork(ids_of(size), now)):
                runs = [await _run(connection, one, few) for _ in range(RUNS)]
                costs.setdefault(one.name, {})[size] = min(runs, key=lambda cost: cost.milliseconds)
                reports |= {one.name} if one.report else set()
    _print(costs, sizes)
    faults = list(faults_of(costs, sizes, reports))
    sys.stdout.write("\n".join([*faults, f"{len(faults)} faults"]) + "\n")
    return 1 if faults else 0


@asynccontextmanager
async def _connected(url: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """A connection of its own, whose server process does all the work by itself, so that nothing goes uncounted."""
    settings = {"max_parallel_workers_per_gather": "0", "maintenance_work_mem": "512MB"}
    connection = await asyncpg.connect(url, server_settings=settings, statement_cache_size=0)
    try:
        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
        yield connection
    finally:
        await connection.close()


async def _fill(connection: "asyncpg.Connection[asyncpg.Record]", first: int, last: int, now: datetime) -> None:
    started = time.monotonic()
    indexes = await connection.fetch(BLOCKS["secondary_indexes"])
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    for days in (60, 31, 0):
        await connection.execute(statements("insight_events")["ensure_partition"], now - timedelta(days=days))
    for name in ("fill_calls", "fill_recordings", "fill_insight_events"):
        await connection.execute(BLOCKS[name], first, last, now)
    for index in indexes:
        await connection.execute(index["definition"])
    await connection.execute("VACUUM ANALYZE")
    size = await connection.fetchval("SELECT pg_database_size(current_database())")
    sys.stdout.write(f"{last:,} recordings in {time.monotonic() - started:.0f} s, {size / 1e9:.1f} GB\n")
    sys.stdout.flush()


async def _run(connection: "asyncpg.Connection[asyncpg.Record]", one: Measured, few: AbstractSet[str]) -> Cost:
    """Run a statement as it is, and take back what it did."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        server = Path(f"/proc/{connection.get_server_pid()}/schedstat")
        before = _nanoseconds(server)
        text = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {one.sql}", *one.values)
        taken = _nanoseconds(server) - before
    finally:
        await transaction.rollback()
    (told,) = json.loads(text)
    return cost_of(told["Plan"], taken, few)


def cost_of(plan: Mapping[str, Any], nanoseconds: int, few: AbstractSet[str]) -> Cost:
    """What a statement cost, by its plan and the processor time it took; the tables `few` may be read as a whole."""
    cost = Cost(nanoseconds / 1e6, plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
    for node in _nodes(plan):
        if "Index Name" in node:
            cost.indexes.add(node["Index Name"])
        if node["Node Type"] == "Seq Scan" and (table := node["Relation Name"]).startswith(LARGE) and table not in few:
            cost.scanned.add(table)
    return cost


def _nanoseconds(schedstat: Path) -> int:
    """Processor time that a process has had."""
    return int(schedstat.read_text(encoding="ascii").split()[0])


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)


def _print(costs: Costs, sizes: Sequence[int]) -> None:
    heads = "".join(f"{size:>12,} rows{'':>10}" for size in sizes)
    lines = [f"{'':<28}{heads}", f"{'':<28}" + f"{'ms':>12}{'buffers':>15}" * len(sizes) + "  indexes"]
    for name, by_size in costs.items():
        numbers = "".join(f"{by_size[size].milliseconds:>12.2f}{by_size[size].buffers:>15,}" for size in sizes)
        lines.append(f"{name:<28}{numbers}  {', '.join(sorted(by_size[sizes[-1]].indexes)) or '-'}")
    sys.stdout.write("\n".join(lines) + "\n")


def faults_of(costs: Costs, sizes: Sequence[int], reports: set[str]) -> Iterator[str]:
    """A sentence for each statement that does not keep its cost; `reports` are the names of those that may grow."""
    for name, by_size in costs.items():
        first, last = by_size[sizes[0]], by_size[sizes[-1]]
        for size in sizes:
            for table in sorted(by_size[size].scanned if size >= SMALL else ()):
                yield f"FAULT {name}: reads all of {table} at {size:,} rows"
        if name in reports:
            if last.milliseconds > LONGEST_REPORT:
                yield f"FAULT {name}: takes longer than a second"
        elif last.milliseconds > first.milliseconds * MOST_GROWTH and last.milliseconds - first.milliseconds > NOISE:
            yield f"FAULT {name}: grows by {last.milliseconds / first.milliseconds:.1f} times"


if __name__ == "__main__":
    sys.exit(main())
