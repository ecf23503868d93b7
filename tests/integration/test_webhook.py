"""The receiver as its container runs it, against a real RabbitMQ and over a real socket."""

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from private_servers.rabbitmq import RabbitMQ
from tests.integration.receiver_process import (
    IN_TIME,
    PATH,
    QUEUE,
    TOKEN,
    Takes,
    connected,
    event,
    leave_in_spool,
    receiving,
)

#: How many messages the broker was handed and has not confirmed.
UNCONFIRMED = 'ringvault_messages_published_total{outcome="unconfirmed",queue="insights.received"}'


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_an_event_goes_to_the_queue_as_its_bytes(rabbitmq: RabbitMQ, spool: Path, taken: Takes) -> None:
    raw = event(1).replace(b'"n"', b' "t": "\\u0000\\ud800", "n"')
    async with receiving(rabbitmq, spool) as receiver:
        await connected(receiver)
        status, seconds = await receiver.post(raw)
        assert (status, seconds < IN_TIME) == (200, True)
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

        assert await receiver.post_all(range(200)) < IN_TIME

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

        assert await receiver.post_all(range(200)) < IN_TIME
        before = await receiver.sample(UNCONFIRMED)
        assert await receiver.post_all(range(200, 250)) < IN_TIME
        assert await receiver.sample(UNCONFIRMED) - before < 10, "the circuit is open: nobody waits for a confirm"
        assert "circuit_opened" in receiver.events()

        rabbitmq.resume()
        await arrived(set(range(250)))


async def test_after_sigkill_the_next_receiver_delivers_what_was_answered(
    rabbitmq: RabbitMQ, spool: Path, arrived: Callable[[set[int]], Awaitable[None]]
) -> None:
    await leave_in_spool(rabbitmq, spool, range(50))

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


async def test_a_connection_that_was_taken_before_sigterm_still_brings_its_event(
    rabbitmq: RabbitMQ, spool: Path, taken: Takes
) -> None:
    async with receiving(rabbitmq, spool) as receiver:
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        assert (await receiver.post(event(1)))[0] == 200  # connections are taken in their order.
        receiver.process.send_signal(signal.SIGTERM)
        await _refused(receiver.port)
        body = event(2)
        head = f"POST {PATH} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nVerification-Token: {TOKEN}\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
        assert await receiver.process.wait() == 0
    assert len(await taken(QUEUE)) == 2


async def _refused(port: int) -> None:
    """Return once nothing new is taken."""
    with contextlib.suppress(ConnectionRefusedError):
        while True:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await asyncio.sleep(0.01)


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


async def test_a_body_that_dribbles_is_answered_in_time(rabbitmq: RabbitMQ, spool: Path) -> None:
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Verification-Token: {TOKEN}\r\nContent-Length: 100\r\n\r\n{{"
    ).encode()
    async with receiving(rabbitmq, spool) as receiver:
        started = time.monotonic()
        answer = await receiver.raw(head, reads=12)

        assert answer == b"HTTP/1.1 408"
        assert time.monotonic() - started < IN_TIME


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
