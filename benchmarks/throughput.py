"""`make bench-throughput`: how many events a second go through one receiver, RabbitMQ, and one `insights`.

First events are sent to a receiver as fast as it answers, with nobody behind it; then one `insights` works the queue
off into Postgres; then the same bytes are published by our own publisher. Everything is on one machine, the sender
included, so each figure is a lower bound. It judges that every event was answered with 200 and applied.
"""

import argparse
import asyncio
import json
import logging
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import structlog

from benchmarks.fuzz_requests import event
from benchmarks.memory import cpu_seconds
from benchmarks.receiver import ACCOUNT
from common.amqp.publisher import open_publisher
from common.database.pool import open_pool
from common.messages import InsightsReceived
from demo.pipeline import TOKEN, Pipeline, Servers
from private_servers.postgres import Postgres
from private_servers.rabbitmq import RabbitMQ

#: Events under way at once, to the receiver and to the broker: beyond some hundred only the waiting grows.
AT_ONCE: Final = 64
#: Utterances of an event's transcript: an event of some 10 kB, a call of ten minutes.
UTTERANCES: Final = 60
#: Seconds in which `insights` must be through.
WITHIN: Final = 300.0
_APPLIED: Final = "SELECT count(*) FROM insight_events WHERE applied_at IS NOT NULL"


def main() -> int:
    """Run once and print; 1 when an event was refused."""
    parser = argparse.ArgumentParser(prog="benchmarks.throughput", description=__doc__)
    parser.add_argument("--events", type=int, default=5_000, help="events that are sent (default 5000)")
    number = parser.parse_args().events
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))  # our own publisher's lines
    with (
        tempfile.TemporaryDirectory(prefix="ringvault-throughput-") as folder,
        Servers(RabbitMQ(), Postgres(durable=True)).started() as servers,
        Pipeline(Path(folder), servers=servers, settings={"RC_ACCOUNT_ID": ACCOUNT}) as pipeline,
    ):
        pipeline.migrate()
        pipeline.start("webhook")
        return asyncio.run(_run(pipeline, _events(number)))


async def _run(pipeline: Pipeline, bodies: Sequence[bytes]) -> int:
    number = len(bodies)
    print(f"{number} events of {sum(map(len, bodies)) / number / 1e3:.1f} kB, {AT_ONCE} at once; one process of each")
    began, answers = time.monotonic(), await _send(pipeline.webhook_url, bodies)
    _print("through the receiver", number, time.monotonic() - began, cpu_seconds(pipeline.services["webhook"].pid))
    if set(answers) != {200}:
        print(f"FAILED: answers {sorted(set(answers))}, all should be 200")
        return 1
    seconds = await _worked_off(pipeline, number)
    _print("through insights, into Postgres", number, seconds, cpu_seconds(pipeline.services["insights"].pid))
    pipeline.kill("insights")
    _print("into RabbitMQ, confirmed", number, await _published(pipeline, bodies), None)
    return 0


async def _send(url: str, bodies: Sequence[bytes]) -> list[int]:
    headers = {"Content-Type": "application/json", "Verification-Token": TOKEN}
    waiting = iter(bodies)
    answers: list[int] = []

    async def sender(session: aiohttp.ClientSession) -> None:
        for body in waiting:
            async with session.post(url, data=body, headers=headers) as answer:
                answers.append(answer.status)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:
        await asyncio.gather(*(sender(session) for _ in range(AT_ONCE)))
    return answers


async def _worked_off(pipeline: Pipeline, number: int) -> float:
    """Seconds from the first event that is applied to the last."""
    pipeline.launch("insights")
    async with open_pool(pipeline.environment["DATABASE_URL"], "benchmark", size=1) as pool:
        deadline, began = time.monotonic() + WITHIN, None
        while (applied := await pool.fetchval(_APPLIED)) < number:
            if applied and began is None:
                began = time.monotonic()
            if time.monotonic() > deadline:
                sys.exit(f"{applied} of {number} events were applied within {WITHIN:.0f} s")
            await asyncio.sleep(0.02)
    return time.monotonic() - (began or deadline - WITHIN)


async def _published(pipeline: Pipeline, bodies: Sequence[bytes]) -> float:
    """Seconds until all are confirmed."""
    waiting = iter(bodies)
    async with open_publisher(pipeline.environment["AMQP_URL"], "benchmark") as publisher:
        await publisher.wait_connected()

        async def sender() -> None:
            for body in waiting:
                wire = InsightsReceived(body, ACCOUNT, datetime.now(UTC)).to_wire()
                await publisher.publish(InsightsReceived.QUEUE, wire)

        began = time.monotonic()
        await asyncio.gather(*(sender() for _ in range(AT_ONCE)))
        return time.monotonic() - began


def _events(number: int) -> list[bytes]:
    chance = random.Random(1)
    return [json.dumps(_long(event(chance))).encode() for _ in range(number)]


def _long(one: dict[str, Any]) -> dict[str, Any]:
    """With a transcript of many utterances instead of one."""
    said = one["body"]["insights"]["Transcript"][0]
    text = said["text"][:80]
    one["body"]["insights"]["Transcript"] = [
        {**said, "text": text, "start": 6.0 * place, "end": 6.0 * place + 3.5} for place in range(UTTERANCES)
    ]
    return one


def _print(what: str, number: int, seconds: float, cpu: float | None) -> None:
    told = "" if cpu is None else f", CPU {cpu / number * 1e3:.1f} ms each, its start included"
    print(f"{what:<34}{number / seconds:7,.0f} a second{told}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
