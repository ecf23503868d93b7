"""`make bench-trickle`: genuine events and handshakes while a thousand others keep their connections half open.

Some of those send nothing, some half a head, some a byte of a head or a body now and then, some hold back the body of
an event that could be genuine; whoever is closed comes again at once. Prints how long a genuine sender waits from
opening his connection to the answer, without and with them; ends with 1 when one was not answered with 200, or the 99th
percentile is not below a second.
"""

import argparse
import asyncio
import contextlib
import json
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Final

from benchmarks.fuzz_requests import PATH, event, head, request
from benchmarks.receiver import Receiver, running
from private_servers.process import Process
from private_servers.rabbitmq import RabbitMQ

#: Connections that are kept half open.
OTHERS: Final = 1_000
#: Genuine events, and as many handshakes: enough for a 99th percentile that is not one request alone.
GENUINE: Final = 600
#: Seconds between two of them: together twenty a second, a company of thousands at its busiest.
EVERY: Final = 0.05
#: Seconds below which the 99th percentile must be, a third of what RingCentral waits.
LIMIT: Final = 1.0
#: Seconds between two bytes of those who trickle.
TRICKLE: Final = 1.0
#: Seconds until all of them have come.
GATHER: Final = 10.0

_HANDSHAKE: Final = f"POST {PATH} HTTP/1.1\r\nHost: a\r\nValidation-Token: e3e5\r\nContent-Length: 0\r\n\r\n".encode()
_HELD_BACK: Final = f"{head()}\r\nContent-Length: 5000\r\n\r\n".encode()
_STRANGER: Final = (
    f"POST {PATH} HTTP/1.1\r\nHost: a\r\nValidation-Token: guessed\r\nContent-Length: 5000\r\n\r\n".encode()
)
#: What each of the others sends at once, and what it sends after that, byte by byte.
_HALVES: Final = (
    (b"", b""),
    (b"POST /", b""),
    (head().encode(), b""),
    (b"", head().encode() * 10),
    (_STRANGER, b""),
    (_STRANGER, b" " * 5000),
    (_HELD_BACK, b""),
    (_HELD_BACK, b" " * 5000),
)


@dataclass(frozen=True, slots=True)
class Answered:
    """A genuine request: whether it was answered with 200, and after how many seconds."""

    well: bool
    seconds: float


async def ask(port: int, data: bytes) -> Answered:
    """Send it on a connection of its own."""
    began = time.monotonic()
    answer = b""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(data)
                answer = await reader.read(1024)
            finally:
                writer.transport.abort()
    return Answered(answer.startswith(b"HTTP/1.1 200 "), time.monotonic() - began)


async def ask_all(port: int, requests: Sequence[bytes]) -> list[Answered]:
    """Send them at a steady pace, whether or not the ones before were answered."""
    tasks = []
    for data in requests:
        tasks.append(asyncio.create_task(ask(port, data)))
        await asyncio.sleep(EVERY)
    return await asyncio.gather(*tasks)


async def trickle(port: int, number: int) -> None:
    """Keep one connection half open for ever, and open another whenever it is closed."""
    at_once, slowly = _HALVES[number % len(_HALVES)]
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(f"127.0.2.{number % 250}", 0))
        except OSError:
            await asyncio.sleep(0.1)
            continue
        try:
            writer.write(at_once)
            for byte in slowly:
                writer.write(bytes([byte]))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(_ended(reader), TRICKLE)
                    break
            await _ended(reader)
        except OSError:
            continue
        finally:
            writer.transport.abort()


async def _ended(reader: asyncio.StreamReader) -> None:
    while await reader.read(4096):
        pass


async def attack(port: int, count: int) -> None:
    """All of the others, until killed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    await asyncio.gather(*(trickle(port, number) for number in range(count)))


async def measure(port: int, seed: int) -> dict[str, list[Answered]]:
    """Genuine events and handshakes at the same time."""
    events = [request_of(seed, number) for number in range(GENUINE)]
    asked = await asyncio.gather(ask_all(port, events), ask_all(port, [_HANDSHAKE] * GENUINE))
    return dict(zip(("events", "handshakes"), asked, strict=True))


def request_of(seed: int, number: int) -> bytes:
    """A genuine event's request."""
    return request(json.dumps(event(random.Random(f"{seed}-{number}"))).encode())


def show(title: str, answered: Sequence[Answered]) -> list[str]:
    """Print a line; what must not be, in words."""
    steps = quantiles([one.seconds for one in answered], n=100)
    failed = sum(not one.well for one in answered)
    worst = max(one.seconds for one in answered)
    print(f"  {title:32}{steps[49]:9.4f}{steps[98]:9.4f}{worst:9.4f}{failed:12}")
    faults = [f"{title}: {failed} were not answered with 200"] if failed else []
    return faults + ([f"{title}: p99 is {steps[98]:.2f} s, not below {LIMIT:.0f}"] if steps[98] >= LIMIT else [])


def main() -> int:
    """Run it; 1 when a limit is not held."""
    parser = argparse.ArgumentParser(prog="make bench-trickle", description=__doc__)
    parser.add_argument("--attack", type=int, default=None, metavar="PORT", help="be the others")
    parser.add_argument("--others", type=int, default=OTHERS, help=f"connections half open (default {OTHERS})")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.attack is not None:
        asyncio.run(attack(options.attack, options.others))
        return 0
    others = options.others
    with (
        tempfile.TemporaryDirectory() as folder,
        RabbitMQ() as rabbitmq,
        running(rabbitmq, Path(folder)) as receiver,
    ):
        faults = _compare(receiver, Path(folder) / "others", others, options.seed)
    for fault in faults:
        print(f"bench-trickle: {fault}")
    print("bench-trickle: " + ("FAILED" if faults else "all answered in time"))
    return 1 if faults else 0


def _compare(receiver: Receiver, folder: Path, count: int, seed: int) -> list[str]:
    folder.mkdir()
    print(f"  {'seconds':32}{'p50':>9}{'p99':>9}{'max':>9}{'not 200':>12}")
    alone = asyncio.run(measure(receiver.port, seed))
    faults = [fault for what, answered in alone.items() for fault in show(f"{what}, alone", answered)]
    others = Process(
        [sys.executable, "-m", "benchmarks.trickle", "--attack", str(receiver.port), "--others", str(count)],
        folder=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    try:
        time.sleep(GATHER)
        crowded = asyncio.run(measure(receiver.port, seed + 1))
        samples = receiver.samples()
        faults += [] if others.is_alive() else [f"the others ended: {others.log_tail()}"]
    finally:
        others.end(signal.SIGKILL)
    faults += [
        fault for what, answered in crowded.items() for fault in show(f"{what}, beside {count} half open", answered)
    ]
    closed = {
        why: samples.get(f'ringvault_webhook_connections_closed_total{{reason="{why}"}}', 0)
        for why in ("crowded", "slow_head")
    }
    print(f"  connections {samples['ringvault_webhook_connections']:.0f}; closed so far: {closed}")
    print(f"  memory {receiver.memory() / 1e6:.1f} MB, the most at any time {receiver.memory_peak() / 1e6:.1f} MB")
    return faults + [f"errors in the receiver's log: {error}" for error in sorted(set(receiver.errors()))]


if __name__ == "__main__":
    sys.exit(main())
