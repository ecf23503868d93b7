"""`make bench-storms`: a company under every fault that ends, seed after seed, held against the simulator's truth.

Faults of token, budget, call log and HTTP, and duplicated, delayed and reordered events, all at once. A seed is good
when every obtainable recording is stored and equal by sha256 and every delivered event is merged.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import httpx

from common.database.pool import open_pool
from common.storage.open import open_storage
from demo.check import Verdict, check
from demo.pipeline import SERVICES, Pipeline, Servers
from private_servers.postgres import Postgres
from private_servers.rabbitmq import RabbitMQ

#: What is switched on; events that are lost are the business of the insights GET, audio that is gone of nobody.
FAULTS: Final = "token,budget,call-log,http,events:duplicated,events:copied,events:delayed,events:reordered"
#: One business hour in a minute; a fault at more than every second request, and stalls that a person can sit through.
COMPANY: Final = {
    "speed": 60,
    "history": 3600,
    "span": 1500,
    "faults": FAULTS,
    "fault_rate": 0.6,
    "stall_seconds": 3,
    "begin_with_subscription": True,
}
#: Seconds until a seed counts as failed: three failed attempts of one recording take more than six minutes of its
#: schedule, and two faults come on top of audio that is not ready.
WITHIN: Final = 600.0


def main() -> int:
    """Run the seeds and print a line for each; 1 when one of them does not end with the truth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--recordings", type=int, default=300)
    options = parser.parse_args()
    faults = 0
    print("seed  obtainable  stored  gone  merged  events  refused  of these on the wire  seconds")
    with Servers(RabbitMQ(), Postgres()).started() as servers:
        for seed in range(options.first, options.first + options.seeds):
            faults += _run(servers, seed, options.recordings)
    return 1 if faults else 0


def _run(servers: Servers, seed: int, recordings: int) -> int:
    started = time.monotonic()
    database = servers.postgres.create_database(f"storm_{seed}")
    settings = {"DATABASE_URL": database}
    with (
        tempfile.TemporaryDirectory(prefix="ringvault-storm-") as folder,
        Pipeline(Path(folder), servers=servers, settings=settings) as pipeline,
    ):
        pipeline.migrate()
        pipeline.start_simulator(**COMPANY, seed=seed, recordings=recordings)
        pipeline.start_all(*SERVICES)
        verdict, counts = asyncio.run(_wait(pipeline))
    shown = (verdict.recordings - verdict.gone, verdict.stored, verdict.gone, verdict.merged, verdict.events)
    wire = counts["refused_on_the_wire"]
    print(f"{seed:4}  {shown[0]:10}  {shown[1]:6}  {shown[2]:4}  {shown[3]:6}  {shown[4]:6}  ", end="")
    print(f"{verdict.refused:7}  {wire:20}  {time.monotonic() - started:7.0f}", flush=True)
    for fault in verdict.faults[:10]:
        print(f"      {fault}")
    return len(verdict.faults)


async def _wait(pipeline: Pipeline) -> tuple[Verdict, dict[str, int]]:
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
            # A request that was on the wire when a penalty began cannot be called back.
            counts["refused"] -= counts["refused_on_the_wire"]
            verdict = await check(truth, counts, pool, storage)
            if (truth["finished"] and not verdict.faults) or time.monotonic() > deadline:
                return verdict, counts
            await asyncio.sleep(2)


if __name__ == "__main__":
    sys.exit(main())
