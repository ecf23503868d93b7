"""A receiver as its container runs it, for tests that hurt it."""

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aio_pika.abc import AbstractIncomingMessage

from private_servers.rabbitmq import RabbitMQ

TOKEN = "verification"
PATH = "/api/rc/webhook"
QUEUE = "insights.received"

#: Seconds in which everybody is answered: the 3 that RingCentral waits (facts 2.1), and as many for a machine that
#: holds up this process or the receiver. That its own limits are below three seconds, unit tests say.
IN_TIME = 6.0

#: What the fixture `taken` gives: all messages that are ready in a queue.
Takes = Callable[[str], Awaitable[list[AbstractIncomingMessage]]]


def event(number: int) -> bytes:
    path = "/ai/ringsense/v1/public/accounts/4711/domains/pbx/insights"
    return json.dumps({"uuid": str(number), "event": path, "body": {"n": number}}).encode()


@dataclass
class Receiver:
    """A running receiver."""

    process: asyncio.subprocess.Process
    port: int
    admin_port: int
    lines: list[dict[str, Any]]

    async def post(self, body: bytes) -> tuple[int, float]:
        """The status and the seconds of one delivery."""
        headers = {"Content-Type": "application/json", "Verification-Token": TOKEN}
        started = time.monotonic()
        async with aiohttp.ClientSession() as http, http.post(self.url, data=body, headers=headers) as response:
            return response.status, time.monotonic() - started

    async def post_all(self, numbers: range) -> float:
        """Deliver events at the same time; all are answered with 200; returns the seconds of the slowest."""
        headers = {"Content-Type": "application/json", "Verification-Token": TOKEN}
        connector = aiohttp.TCPConnector(limit=0)

        async def one(http: aiohttp.ClientSession, number: int) -> float:
            started = time.monotonic()
            async with http.post(self.url, data=event(number), headers=headers) as response:
                assert response.status == 200
            return time.monotonic() - started

        async with aiohttp.ClientSession(connector=connector) as http:
            return max(await asyncio.gather(*(one(http, number) for number in numbers)))

    async def raw(self, *parts: bytes, reads: int = -1) -> bytes:
        """Send bytes and read the answer until the connection ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            with contextlib.suppress(ConnectionError):
                for part in parts:
                    writer.write(part)
                    await writer.drain()
            return await reader.read(reads)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def admin(self, path: str) -> str:
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            return await response.text()

    async def has(self, metric: str) -> bool:
        return f"\n{metric}\n" in await self.admin("/metrics")

    async def sample(self, metric: str) -> float:
        """The value of a metric."""
        lines = (await self.admin("/metrics")).splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{metric} "))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}"

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines]

    def free_disk(self, spool: Path) -> None:
        """Give back what fills the disk; it is looked for where the process sees it."""
        Path(f"/proc/{self.process.pid}/root{spool}/ballast").unlink()


async def _port(lines: list[dict[str, Any]], name: str) -> int:
    while True:
        for line in lines:
            if line["event"] == name:
                return int(line["port"])
        await asyncio.sleep(0.02)


async def _read(process: asyncio.subprocess.Process, lines: list[dict[str, Any]]) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        lines.append(json.loads(line))  # noqa: PERF401 - each is wanted as it comes


#: Makes a disk of a megabyte of the folder and what is in it, seen by the process alone, and leaves not a byte free.
ON_FULL_DISK = """
mkdir -p "$0" && (cd "$0" && mount -t tmpfs -o size=1m none "$0" && cp . -r "$0") &&
! dd if=/dev/zero of="$0/ballast" bs=4096 2>/dev/null && exec "$@"
"""


@asynccontextmanager
async def receiving(
    rabbitmq: RabbitMQ, spool: Path, *, descriptors: int | None = None, on_full_disk: bool = False, **settings: str
) -> AsyncIterator[Receiver]:
    """A receiver for the block's time, with so many descriptors, or a full disk for its spool.

    Unless the block has ended it, it ends well.
    """
    limited = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh"] if descriptors else []
    if on_full_disk:
        limited = ["unshare", "-Urm", "sh", "-c", ON_FULL_DISK, str(spool)]
    environment = {
        "AMQP_URL": rabbitmq.url,
        "RC_ACCOUNT_ID": "4711",
        "RC_WEBHOOK_TOKEN": f"older,{TOKEN}",
        "SPOOL_DIR": str(spool),
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": "0",
        "ADMIN_PORT": "0",
        **settings,
    }
    process = await asyncio.create_subprocess_exec(
        *limited,
        sys.executable,
        "-m",
        "services.webhook",
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    lines: list[dict[str, Any]] = []
    reading = asyncio.create_task(_read(process, lines))
    try:
        ports = await _port(lines, "endpoint_opened"), await _port(lines, "admin_port_opened")
        yield Receiver(process, *ports, lines)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()
        await reading
    assert process.returncode in {0, -signal.SIGKILL}


async def leave_in_spool(rabbitmq: RabbitMQ, spool: Path, numbers: range) -> None:
    """Let a receiver spool these events while the broker is stopped, and kill it; the broker is there again."""
    await asyncio.to_thread(rabbitmq.shut_down)
    async with receiving(rabbitmq, spool) as receiver:
        await receiver.post_all(numbers)
        receiver.process.kill()
    await asyncio.to_thread(rabbitmq.start)


async def connected(receiver: Receiver) -> None:
    while "broker_connected" not in receiver.events():  # noqa: ASYNC110 - it happens in another process
        await asyncio.sleep(0.02)
