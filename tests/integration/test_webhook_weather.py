"""The receiver under floods, trickles, odd heads, bombs, and with nothing that could keep an event."""

import asyncio
import contextlib
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from private_servers.rabbitmq import RabbitMQ
from services.webhook.body import BODY_LIMIT
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

HANDSHAKE = (
    b"POST /api/rc/webhook HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    b"Validation-Token: e3e5\r\nContent-Length: 0\r\n\r\n"
)
#: How strangers keep a connection busy: with nothing, half a head, half a body that nobody may send, half a body.
HALVES = [
    b"",
    b"POST /api/rc/webhook HTTP/1.1\r\nHost: a\r\nX-",
    b"POST /api/rc/webhook HTTP/1.1\r\nHost: a\r\nValidation-Token: a\r\nContent-Length: 9\r\n\r\n",
    f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    f"Verification-Token: {TOKEN}\r\nContent-Length: 9\r\n\r\n{{".encode(),
]


async def test_more_half_open_connections_than_there_may_be_keep_out_neither_handshake_nor_event(
    rabbitmq: RabbitMQ, spool: Path, taken: Takes
) -> None:
    # Given a receiver that can afford 100 connections, and 150 that are half open
    async with receiving(rabbitmq, spool, descriptors=300) as receiver, contextlib.AsyncExitStack() as open_ones:
        await connected(receiver)
        for number in range(150):
            _, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
            open_ones.callback(writer.close)
            writer.write(HALVES[number % len(HALVES)])

        # When RingCentral comes
        shaken = await receiver.raw(HANDSHAKE)
        answered, _ = await receiver.post(event(1))

        # Then it is answered
        assert shaken.startswith(b"HTTP/1.1 200")
        assert answered == 200
        assert await receiver.sample("ringvault_webhook_connections") <= 100
        assert await receiver.sample('ringvault_webhook_connections_closed_total{reason="crowded"}') > 0
        assert "connection_not_accepted" not in receiver.events()
    assert len(await taken(QUEUE)) == 1


@pytest.mark.parametrize(
    "head",
    [
        b"X-Long: " + b"a" * 5000,
        b"\r\n".join(b"X-%d: a" % number for number in range(100)),
        b"Host: again",
        b"Transfer-Encoding: chunked",
        b"Content-Length: -1",
    ],
    ids=["a huge header", "a hundred headers", "two hosts", "two framings", "a negative length"],
)
async def test_an_odd_head_is_answered_with_400_and_the_next_request_as_ever(
    rabbitmq: RabbitMQ, spool: Path, head: bytes
) -> None:
    async with receiving(rabbitmq, spool) as receiver:
        odd = await receiver.raw(HANDSHAKE.replace(b"Connection: close", head), reads=12)

        assert odd.endswith(b" 400")
        assert (await receiver.raw(HANDSHAKE)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("expected", [b"100-continue", b"\xed\xa0\xbd", b"another time"])
async def test_whatever_a_sender_expects_his_event_is_kept(
    rabbitmq: RabbitMQ, spool: Path, taken: Takes, expected: bytes
) -> None:
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Verification-Token: {TOKEN}\r\nContent-Length: {len(event(1))}\r\nExpect: "
    ).encode()
    async with receiving(rabbitmq, spool) as receiver:
        await connected(receiver)
        answer = await receiver.raw(head, expected, b"\r\n\r\n", event(1))

    goes_on = b"HTTP/1.1 100 Continue\r\n\r\n" if expected == b"100-continue" else b""
    assert answer.startswith(goes_on + b"HTTP/1.1 200 OK\r\n")
    assert [message.body for message in await taken(QUEUE)] == [event(1)]


async def test_a_small_body_that_would_inflate_to_a_gigabyte_is_refused_as_it_is(
    rabbitmq: RabbitMQ, spool: Path
) -> None:
    squeezing = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(squeezing.compress(bytes(1 << 20)) for _ in range(1 << 10)) + squeezing.flush()
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip", "Verification-Token": TOKEN}
    async with receiving(rabbitmq, spool) as receiver:
        before = memory_peak(receiver.process.pid)
        async with aiohttp.ClientSession() as http, http.post(receiver.url, data=bomb, headers=headers) as response:
            status = response.status

        assert (status, len(bomb) < BODY_LIMIT) == (415, True)
        assert memory_peak(receiver.process.pid) - before < 16 << 20


def memory_peak(pid: int) -> int:
    """The most bytes that a process has held in memory."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


async def test_a_flood_without_a_token_leaves_handshakes_and_events_their_answer(
    rabbitmq: RabbitMQ, spool: Path
) -> None:
    async with receiving(rabbitmq, spool) as receiver:
        await connected(receiver)

        async def flood(http: aiohttp.ClientSession) -> None:
            while True:
                async with http.post(receiver.url, data=event(1), headers={"Content-Type": "application/json"}) as no:
                    assert no.status == 401

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            flooding = [asyncio.create_task(flood(http)) for _ in range(200)]
            shaken = await receiver.raw(HANDSHAKE)
            answered, _ = await receiver.post(event(1))
            for task in flooding:
                task.cancel()
            ends = await asyncio.gather(*flooding, return_exceptions=True)

        assert shaken.startswith(b"HTTP/1.1 200")
        assert answered == 200
        assert {type(end) for end in ends} == {asyncio.CancelledError}


async def test_a_receiver_that_starts_on_a_full_disk_serves_with_the_broker_and_spools_once_there_is_room(
    rabbitmq: RabbitMQ, spool: Path, taken: Takes, arrived: Callable[[set[int]], Awaitable[None]]
) -> None:
    # Given a receiver that was started while the disk of its spool is full
    async with receiving(rabbitmq, spool, on_full_disk=True) as receiver:
        await connected(receiver)
        assert "spool_failing" in receiver.events()

        # When events come, then the broker has them
        assert (await receiver.post(event(1)))[0] == 200
        assert '"ok": true' in await receiver.admin("/readyz")
        assert [message.body for message in await taken(QUEUE)] == [event(1)]

        # When the broker is away as well, then nothing is called kept
        await asyncio.to_thread(rabbitmq.shut_down)
        assert (await receiver.post(event(2)))[0] == 503

        # When there is room, then the spool has what comes
        receiver.free_disk(spool)
        assert (await receiver.post(event(3)))[0] == 200
        assert await receiver.has("ringvault_spool_events 1.0")

        await asyncio.to_thread(rabbitmq.start)
        await arrived({3})


async def test_what_a_killed_receiver_left_on_a_disk_that_is_full_now_is_delivered_by_the_one_that_starts(
    rabbitmq: RabbitMQ, spool: Path, arrived: Callable[[set[int]], Awaitable[None]], eventually: Any
) -> None:
    # Given events that a receiver has spooled before it was killed
    await leave_in_spool(rabbitmq, spool, range(3))

    # When one starts while the disk is full, then it delivers them
    async with receiving(rabbitmq, spool, on_full_disk=True) as receiver:
        await arrived({0, 1, 2})
        assert "spool_failing" in receiver.events()
        assert await receiver.has("ringvault_spool_events 3.0")

        # When there is room, then they are deleted
        receiver.free_disk(spool)
        await eventually(lambda: receiver.has("ringvault_spool_events 0.0"))


async def test_neither_disk_nor_broker_is_a_503_and_a_loud_line_and_never_a_200(
    rabbitmq: RabbitMQ, spool: Path, arrived: Callable[[set[int]], Awaitable[None]], eventually: Any
) -> None:
    # Given a broker that is away and a disk with room for a few events
    await asyncio.to_thread(rabbitmq.shut_down)
    async with receiving(rabbitmq, spool, SPOOL_LIMIT_BYTES=str(5 * len(event(10)))) as receiver:
        # When more come
        answers = {number: await receiver.post(event(number)) for number in range(10, 20)}
        kept = {number for number, (status, _) in answers.items() if status == 200}

        # Then those that found no room were told so, loudly, and in time
        assert {status for status, _ in answers.values()} == {200, 503}
        assert len(kept) == 5
        assert max(seconds for _, seconds in answers.values()) < IN_TIME
        loud: list[dict[str, Any]] = []

        async def all_told() -> bool:  # a line may come later than its answer
            loud[:] = [line for line in receiver.lines if line["event"] == "event_not_durable"]
            return len(loud) >= 5

        await eventually(all_told)
        assert [line["level"] for line in loud] == ["error"] * 5
        assert '"ok": false' in await receiver.admin("/readyz")

        # And what was answered with 200 is there
        await asyncio.to_thread(rabbitmq.start)
        await arrived(kept)
