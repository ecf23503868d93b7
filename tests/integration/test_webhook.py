"""The receiver as its container runs it, against a real RabbitMQ and over a real socket."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aio_pika.abc import AbstractIncomingMessage

from private_servers.rabbitmq import RabbitMQ

TOKEN = "verification"
PATH = "/api/rc/webhook"
QUEUE = "insights.received"

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

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}"

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines]


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


@asynccontextmanager
async def receiving(rabbitmq: RabbitMQ, spool: Path, **settings: str) -> AsyncIterator[Receiver]:
    """A receiver for the block's time; unless the block has ended it, it ends well."""
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


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def arrived(taken: Takes) -> Callable[[set[int]], Awaitable[None]]:
    """Wait until these events, and no others, have come out of the queue; duplicates are allowed."""

    async def wait(numbers: set[int]) -> None:
        found: set[int] = set()
        while found != numbers:
            found |= {json.loads(message.body)["body"]["n"] for message in await taken(QUEUE)}
            assert found <= numbers
            await asyncio.sleep(0.05)

    return wait


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def connected(receiver: Receiver) -> None:
    while "broker_connected" not in receiver.events():  # noqa: ASYNC110 - it happens in another process
        await asyncio.sleep(0.02)


async def test_an_event_goes_to_the_queue_as_its_bytes(rabbitmq: RabbitMQ, spool: Path, taken: Takes) -> None:
    raw = event(1).replace(b'"n"', b' "t": "\\u0000\\ud800", "n"')
    async with receiving(rabbitmq, spool) as receiver:
        await connected(receiver)
        status, seconds = await receiver.post(raw)
        assert (status, seconds < 1) == (200, True)
        assert await receiver.has('ringvault_webhook_requests_total{outcome="published"} 1.0')

    [message] = await taken(QUEUE)
    assert message.body == raw
    assert message.headers["account_id"] == "4711"
    assert files(spool) == []


async def test_a_handshake_needs_no_broker_and_is_small_on_the_wire(rabbitmq: RabbitMQ, spool: Path) -> None:
    await asyncio.to_thread(rabbitmq.shut_down)
    head = (
        b"POST /api/rc/webhook HTTP/1.1\r\nHost: hooks.example.com\r\nConnection: close\r\n"
        b"Validation-Token: %s\r\nContent-Length: 0\r\n\r\n"
    )
    async with receiving(rabbitmq, spool) as receiver:
        answer = await receiver.raw(head % (b"e" * 512))
        chunked = head.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") % b"e3e5"
        answer_to_chunked = await receiver.raw(chunked, b"0\r\n\r\n")
        too_long = await receiver.raw(head % (b"e" * 2000))

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert len(answer) <= 1024
    assert b"\r\nValidation-Token: " + b"e" * 512 + b"\r\n" in answer
    assert b"\r\nContent-Type: application/json\r\n" in answer
    assert b"\r\nServer:" not in answer
    assert answer.endswith(b"\r\n\r\n")
    assert answer_to_chunked.startswith(b"HTTP/1.1 200 OK\r\n")
    assert too_long.startswith(b"HTTP/1.1 400")


async def test_two_hundred_events_at_once_are_answered_while_the_broker_is_stopped_and_none_is_lost(
    rabbitmq: RabbitMQ, spool: Path, arrived: Callable[[set[int]], Awaitable[None]], eventually: Any
) -> None:
    async with receiving(rabbitmq, spool) as receiver:
        await connected(receiver)
        await asyncio.to_thread(rabbitmq.shut_down)

        assert await receiver.post_all(range(200)) < 3

        assert await receiver.has("ringvault_spool_events 200.0")
        assert '"ok": true' in await receiver.admin("/readyz")
        await asyncio.to_thread(rabbitmq.start)
        await arrived(set(range(200)))
        await eventually(lambda: receiver.has("ringvault_spool_events 0.0"))


async def test_two_hundred_events_at_once_are_answered_while_the_broker_is_frozen_and_none_is_lost(
    rabbitmq: RabbitMQ, spool: Path, arrived: Callable[[set[int]], Awaitable[None]]
) -> None:
    async with receiving(rabbitmq, spool) as receiver:
        await connected(receiver)
        rabbitmq.pause()

        assert await receiver.post_all(range(200)) < 3
        assert await receiver.post_all(range(200, 250)) < 1  # the circuit is open: nobody waits for a confirm

        rabbitmq.resume()
        await arrived(set(range(250)))


async def test_after_sigkill_the_next_receiver_delivers_what_was_answered(
    rabbitmq: RabbitMQ, spool: Path, arrived: Callable[[set[int]], Awaitable[None]]
) -> None:
    await asyncio.to_thread(rabbitmq.shut_down)
    async with receiving(rabbitmq, spool) as receiver:
        await receiver.post_all(range(50))
        os.kill(receiver.process.pid, signal.SIGKILL)
    await asyncio.to_thread(rabbitmq.start)

    async with receiving(rabbitmq, spool):
        await arrived(set(range(50)))

    assert files(spool) == []


async def test_at_sigterm_what_waits_is_delivered_or_kept(
    rabbitmq: RabbitMQ, spool: Path, arrived: Callable[[set[int]], Awaitable[None]]
) -> None:
    # Given a receiver that is stopped while the broker is away
    await asyncio.to_thread(rabbitmq.shut_down)
    async with receiving(rabbitmq, spool, GRACE_PERIOD="1") as receiver:
        await receiver.post_all(range(20))
    assert receiver.process.returncode == 0
    assert "events_left_in_spool" in receiver.events()
    assert files(spool)

    # When the next one is stopped right after it has found the broker
    await asyncio.to_thread(rabbitmq.start)
    async with receiving(rabbitmq, spool) as second:
        await connected(second)

    # Then nothing is left
    assert second.process.returncode == 0
    await arrived(set(range(20)))
    assert files(spool) == []


async def test_a_broker_that_comes_back_after_sigterm_still_gets_what_waits(
    rabbitmq: RabbitMQ, spool: Path, arrived: Callable[[set[int]], Awaitable[None]]
) -> None:
    await asyncio.to_thread(rabbitmq.shut_down)
    async with receiving(rabbitmq, spool) as receiver:
        await receiver.post_all(range(20))
        receiver.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(rabbitmq.start)

        assert await receiver.process.wait() == 0

    await arrived(set(range(20)))
    assert files(spool) == []


async def answer_to_a_request_in_hand_at_sigterm(rabbitmq: RabbitMQ, spool: Path, body: bytes) -> bytes:
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nVerification-Token: {TOKEN}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    async with receiving(rabbitmq, spool) as receiver:
        await connected(receiver)
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        try:
            writer.write(head + body[:10])
            await writer.drain()
            while await receiver.has("never"):  # one round trip later, the head has been read
                pass
            receiver.process.send_signal(signal.SIGTERM)
            writer.write(body[10:])
            answer = await reader.read(12)
        finally:
            writer.close()
            await writer.wait_closed()
        assert await receiver.process.wait() == 0
    return answer


async def test_a_request_in_hand_is_finished_at_sigterm(rabbitmq: RabbitMQ, spool: Path, taken: Takes) -> None:
    body = event(1)
    answer = b"HTTP/1.1 408"
    while answer == b"HTTP/1.1 408":  # this machine took longer than the receiver waits for a body: that shows nothing
        answer = await answer_to_a_request_in_hand_at_sigterm(rabbitmq, spool, body)

    assert answer == b"HTTP/1.1 200"
    assert [message.body for message in await taken(QUEUE)] == [body]


@pytest.mark.parametrize("framing", ["Content-Length: 9437184", "Transfer-Encoding: chunked"])
async def test_whoever_sends_too_much_gets_to_see_the_413(rabbitmq: RabbitMQ, spool: Path, framing: str) -> None:
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Verification-Token: {TOKEN}\r\n{framing}\r\n\r\n"
    ).encode()
    mebibyte = b" " * (1 << 20)
    chunks = [mebibyte] * 9 if "Length" in framing else [b"100000\r\n" + mebibyte + b"\r\n"] * 9
    async with receiving(rabbitmq, spool) as receiver:
        answer = await receiver.raw(head, *chunks, *([] if "Length" in framing else [b"0\r\n\r\n"]), reads=12)

    assert answer == b"HTTP/1.1 413"


async def test_a_body_that_dribbles_is_answered_within_three_seconds(rabbitmq: RabbitMQ, spool: Path) -> None:
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Verification-Token: {TOKEN}\r\nContent-Length: 100\r\n\r\n{{"
    ).encode()
    async with receiving(rabbitmq, spool) as receiver:
        started = time.monotonic()
        answer = await receiver.raw(head, reads=12)

        assert answer == b"HTTP/1.1 408"
        assert time.monotonic() - started < 3


async def test_a_flood_of_nonsense_leaves_the_log_short(rabbitmq: RabbitMQ, spool: Path) -> None:
    async with receiving(rabbitmq, spool) as receiver:
        await connected(receiver)
        before = len(receiver.lines)
        for _ in range(20):
            assert (await receiver.raw(b"\x16\x03\x01 Jane\r\n\r\n")).startswith(b"HTTP/1.")
            assert (await receiver.raw(b"GET / HTTP/1.1\r\nHost: a\r\nJane Doe\r\n\r\n")).startswith(b"HTTP/1.")
            await receiver.raw(b"GET /api/rc/webhook?Jane HTTP/1.0\r\n\r\n")
        shown = receiver.lines[before:]

    assert len(shown) <= 1
    assert "Jane" not in json.dumps(shown)
