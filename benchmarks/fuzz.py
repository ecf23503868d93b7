"""`make fuzz`: 100,000 odd requests against a real receiver and a real RabbitMQ.

Prints how each kind was answered, and ends with 1 when there was any 5xx, when the receiver ended or logged an error,
when its memory grew by more than 20 MB after the warm-up, or when less came into the queue than was answered for.
`--seed` repeats a run, `--only` one of its requests.
"""

import argparse
import asyncio
import re
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aio_pika

from benchmarks.fuzz_requests import Shot, shot
from benchmarks.receiver import Receiver, running
from common.messages import InsightsReceived
from private_servers.rabbitmq import RabbitMQ

REQUESTS: Final = 100_000
#: Requests after which memory counts: all code has run and all caches are full by then.
WARM_UP: Final = 20_000
#: Bytes by which memory may grow after that.
GROWTH: Final = 20_000_000
#: Connections at a time: enough to keep the receiver busy while some of them wait for what will not come.
AT_ONCE: Final = 100
#: Seconds for a run; a hundred thousand take three to eight minutes on two cores.
WITHIN: Final = 1500.0
#: Seconds after which a sender gives up: the receiver must have answered or closed long before.
PATIENCE: Final = 20.0
#: Seconds in which a spool is drained and a quorum queue counts what it holds.
SETTLED_WITHIN: Final = 60.0
#: Addresses of this machine that are sent from, so that no two runs of ports meet.
_ADDRESSES: Final = 200
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([2-5]\d\d) ")


@dataclass(slots=True)
class Report:
    """What was sent and how it was answered: by kind and status, or `closed`, `left` or `silent`."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: The numbers of those that were answered with 5xx or not at all.
    bad: list[int] = field(default_factory=list)
    #: Requests so far, and bytes in memory then.
    memory: list[tuple[int, int]] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """Requests that are done."""
        return self.answers.total()


async def fire(port: int, seed: int, numbers: Iterator[int], report: Report) -> None:
    """Send the requests of these numbers, one after the other."""
    for number in numbers:
        one = shot(seed, number)
        answer = await _send(port, one, f"127.0.1.{1 + number % _ADDRESSES}")
        report.answers[one.kind, answer] += 1
        if answer.startswith("5") or answer == "silent":
            report.bad.append(number)


async def _send(port: int, one: Shot, address: str) -> str:
    """The status of the answer; of several, the worst."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    try:
        async with asyncio.timeout(PATIENCE):
            writer.write(one.data)
            if not one.answers:
                return "left"
            statuses = await _statuses(reader, one.answers)
    except ConnectionError:
        return "closed"
    except TimeoutError:
        return "silent"
    finally:
        writer.transport.abort()
    return max(statuses, default=b"closed").decode()


async def _statuses(reader: asyncio.StreamReader, count: int) -> list[bytes]:
    """The first so many, or fewer when the connection ends."""
    answer = b""
    while len(found := _STATUS.findall(answer)) < count and (more := await reader.read(65536)):
        answer += more
    return found


async def watch(receiver: Receiver, report: Report) -> None:
    """Look at the receiver's memory, about every hundredth of the way."""
    while receiver.process.is_alive():
        if report.sent >= WARM_UP:
            report.memory.append((report.sent, receiver.memory()))
        await asyncio.sleep(1)


async def fuzz(receiver: Receiver, seed: int, numbers: Sequence[int], within: float = WITHIN) -> Report:
    """Send all of them, so many at a time, or as many as there is time for."""
    report, rest = Report(), iter(numbers)
    watching = asyncio.create_task(watch(receiver, report))
    try:
        async with asyncio.timeout(within), asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(fire(receiver.port, seed, rest, report))
    except TimeoutError:
        pass  # how many were sent is told.
    finally:
        watching.cancel()
    return report


async def arrived(rabbitmq: RabbitMQ, kept: int) -> int:
    """Events in the queue, once there are as many as were kept; or how many there are in the end."""
    deadline = time.monotonic() + SETTLED_WITHIN
    async with await aio_pika.connect(rabbitmq.url) as connection:
        channel = await connection.channel()
        while True:
            queue = await channel.declare_queue(InsightsReceived.QUEUE, passive=True)
            found = queue.declaration_result.message_count or 0
            if found >= kept or time.monotonic() > deadline:
                return found
            await asyncio.sleep(0.5)


def faults_of(report: Report, wanted: int, *, growth: int, errors: Sequence[str]) -> list[str]:
    """What must not be, in words; nothing when all is well."""
    return [
        text
        for wrong, text in (
            (report.sent < wanted, f"only {report.sent} of {wanted} were sent in time"),
            (report.bad, f"5xx or no answer at all: --only {' '.join(map(str, report.bad[:20]))}"),
            (errors, f"errors in the receiver's log: {', '.join(sorted(set(errors)))}"),
            (growth > GROWTH, f"memory grew by {growth / 1e6:.1f} MB, more than {GROWTH / 1e6:.0f}"),
        )
        if wrong
    ]


def main() -> int:
    """Run it; 1 when something is wrong."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--seed", type=int, default=None, help="repeat a run (default: by chance)")
    parser.add_argument("--only", type=int, nargs="+", default=None, help="numbers of single requests of that seed")
    options = parser.parse_args()
    seed = secrets.randbelow(10**9) if options.seed is None else options.seed
    numbers = options.only or range(options.requests)
    print(f"fuzz: {len(numbers)} requests, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder, RabbitMQ() as rabbitmq, running(rabbitmq, Path(folder)) as receiver:
        began = time.monotonic()
        report = asyncio.run(fuzz(receiver, seed, numbers))
        seconds = time.monotonic() - began
        faults = _judge(receiver, rabbitmq, report, len(numbers))
        receiver.process.end(signal.SIGTERM)
        faults += [f"the receiver ended with {code}"] if (code := receiver.process.exit_code) != 0 else []
    print(f"  {report.sent / seconds:.0f} requests a second, {seconds:.0f} s")
    for fault in faults:
        print(f"fuzz: {fault}")
    print("fuzz: " + ("FAILED, repeat with --seed " + str(seed) if faults else "nothing found"))
    return 1 if faults else 0


def _judge(receiver: Receiver, rabbitmq: RabbitMQ, report: Report, wanted: int) -> list[str]:
    if not receiver.process.is_alive():
        return [f"the receiver ended: {receiver.process.log_tail()}"]
    memory = [*report.memory, (report.sent, receiver.memory())]
    growth = memory[-1][1] - memory[0][1]
    outcomes = receiver.answers()
    kept = outcomes.get("published", 0) + outcomes.get("spooled", 0)
    in_queue = asyncio.run(arrived(rabbitmq, kept))
    show(report)
    for sent, size in [*memory[:: max(1, len(memory) // 8)], memory[-1]]:
        print(f"  memory after {sent:6} requests: {size / 1e6:6.1f} MB")
    print(f"  growth {growth / 1e6:.1f} MB; the most at any time {receiver.memory_peak() / 1e6:.1f} MB")
    print(f"  events answered for: {kept}, in the queue: {in_queue}")
    faults = faults_of(report, wanted, growth=growth, errors=receiver.errors())
    return faults + ([f"{kept - in_queue} events answered with 200 are not in the queue"] if in_queue < kept else [])


def show(report: Report) -> None:
    """One line per kind, one column per answer."""
    answers = sorted({answer for _, answer in report.answers})
    print(f"  {'':12}" + "".join(f"{answer:>8}" for answer in answers))
    for kind in [*sorted({kind for kind, _ in report.answers}), "all"]:
        counts = [
            sum(count for (of, got), count in report.answers.items() if got == answer and kind in {of, "all"})
            for answer in answers
        ]
        print(f"  {kind:12}" + "".join(f"{count or '':>8}" for count in counts))


if __name__ == "__main__":
    sys.exit(main())
