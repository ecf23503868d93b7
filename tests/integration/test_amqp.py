"""Publisher and consume loop against a real RabbitMQ that restarts, freezes and raises alarms."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from common.amqp.consumer import Consumption, consume
from common.amqp.publisher import CONFIRM_TIMEOUT, NotConfirmed, Publisher, open_publisher
from common.amqp.ready import check_credentials
from common.messages import InsightsReceived, Wire
from common.process import CannotStart
from common.telemetry.health import Health, Work
from private_servers.rabbitmq import RabbitMQ
from tests.integration.test_amqp_support import DEAD, QUEUE, WHEN, event, fact, publish, publish_at_last, waits

#: Seconds in which a publish gives up that is told to, or that has no connection: below what it waits for a confirm
#: otherwise, and long enough for a test that is held up.
GIVEN_UP_WITHIN = CONFIRM_TIMEOUT / 2

Takes = Callable[[str], Awaitable[list[AbstractIncomingMessage]]]


class DatabaseAwayError(Exception):
    """What a handler raises that has lost its database."""


@dataclass
class Handler:
    """Handles events as told; knows what it was given."""

    calls: list[list[bytes]] = field(default_factory=list)
    bad: set[bytes] = field(default_factory=set)
    away: bool = False
    #: How often it was called in vain.
    waited: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def handled(self) -> list[bytes]:
        return [raw for call in self.calls for raw in call]

    async def __call__(self, messages: Sequence[InsightsReceived], _work: Work) -> None:
        await self.gate.wait()
        if self.away:
            self.waited += 1
            raise DatabaseAwayError
        raws = [message.raw for message in messages]
        if self.bad & set(raws):
            raise ValueError("secret text of the call")
        self.calls.append(raws)


@asynccontextmanager
async def consuming(
    rabbitmq: RabbitMQ, publisher: Publisher, handler: Handler, **options: Any
) -> AsyncIterator[tuple[asyncio.Event, "asyncio.Task[None]", Health]]:
    stop, health = asyncio.Event(), Health()
    consumption = Consumption(InsightsReceived, handler, away=(DatabaseAwayError,), **options)
    task = asyncio.create_task(consume(rabbitmq.url, "test", consumption, publisher, health, stop))
    try:
        yield stop, task, health
    finally:
        stop.set()
        await task


async def test_a_confirmed_message_is_in_its_queue_persistent_and_as_it_was(publisher: Publisher, taken: Takes) -> None:
    raw = b'\x00\xff {"odd": "\\ud800"}'
    await publisher.publish(QUEUE, InsightsReceived(raw, "4711", WHEN).to_wire())

    [message] = await taken(QUEUE)

    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    headers = {key: str(value) for key, value in message.headers.items()}
    assert InsightsReceived.from_wire(Wire(headers, message.body)) == InsightsReceived(raw, "4711", WHEN)


async def test_a_frozen_broker_does_not_confirm_in_time_but_has_the_message_after_the_thaw(
    rabbitmq: RabbitMQ, publisher: Publisher, taken: Takes, eventually: Any
) -> None:
    rabbitmq.pause()
    started = time.monotonic()
    with pytest.raises(NotConfirmed):
        await publisher.publish(QUEUE, event(1).to_wire(), timeout=0.5)
    assert time.monotonic() - started < GIVEN_UP_WITHIN

    rabbitmq.resume()

    found: list[bytes] = []

    async def arrived() -> list[bytes]:
        found.extend(message.body for message in await taken(QUEUE))
        return found

    await eventually(arrived)
    assert found == [b"1"]
    await publish(publisher, 2)


async def test_a_message_for_a_queue_that_is_gone_is_not_confirmed_and_the_queue_comes_back(
    rabbitmq: RabbitMQ, publisher: Publisher, taken: Takes
) -> None:
    async with await aio_pika.connect(rabbitmq.url) as connection:
        await (await connection.channel()).queue_delete(QUEUE)

    with pytest.raises(NotConfirmed):
        await publish(publisher, 1)

    await publish_at_last(publisher, 2)
    assert [message.body for message in await taken(QUEUE)] == [b"2"]


async def test_publisher_and_consumer_come_back_after_a_restart_of_the_broker(
    rabbitmq: RabbitMQ, publisher: Publisher, eventually: Any
) -> None:
    handler = Handler()
    async with consuming(rabbitmq, publisher, handler) as (_, _, health):
        await publish(publisher, 1)
        await eventually(lambda: fact(handler.handled == [b"1"]))

        await asyncio.to_thread(rabbitmq.shut_down)
        await eventually(lambda: fact(not publisher.connected and health.unready()))
        started = time.monotonic()
        with pytest.raises(NotConfirmed):
            await publisher.publish(QUEUE, event(0).to_wire())
        assert time.monotonic() - started < GIVEN_UP_WITHIN

        await asyncio.to_thread(rabbitmq.start)
        await publish_at_last(publisher, 2)
        await eventually(lambda: fact(b"2" in handler.handled and not health.unready()))


async def test_what_was_handled_is_acknowledged(
    rabbitmq: RabbitMQ, publisher: Publisher, taken: Takes, eventually: Any
) -> None:
    handler = Handler()
    async with consuming(rabbitmq, publisher, handler, concurrency=2):
        await publish(publisher, *range(20))
        await eventually(lambda: fact(len(handler.handled) == 20))

    assert await taken(QUEUE) == []
    assert await taken(DEAD) == []


async def test_what_fails_is_dead_lettered_with_its_reason_and_without_its_text(
    rabbitmq: RabbitMQ, publisher: Publisher, taken: Takes, eventually: Any
) -> None:
    handler = Handler(bad={b"1"})
    async with consuming(rabbitmq, publisher, handler):
        await publish(publisher, 1)
        await publisher.publish(QUEUE, Wire({"kind": "something else"}, b"junk"))
        await publish(publisher, 2)
        await eventually(lambda: fact(handler.handled == [b"2"]))

    first, second = await taken(DEAD)
    assert (first.body, first.headers["dead_reason"], first.headers["dead_times"]) == (b"1", "ValueError", "1")
    assert first.headers["account_id"] == "4711"
    assert second.body == b"junk"
    assert "not decodable" in str(second.headers["dead_reason"])
    assert await taken(QUEUE) == []


async def test_while_what_the_handler_needs_is_away_messages_are_held_and_handled_later(
    rabbitmq: RabbitMQ, publisher: Publisher, taken: Takes, eventually: Any
) -> None:
    handler = Handler(away=True)
    async with consuming(rabbitmq, publisher, handler):
        await publish(publisher, 1, 2)
        await eventually(lambda: fact(handler.waited >= 4))
        assert handler.calls == []

        handler.away = False
        await eventually(lambda: fact(handler.handled == [b"1", b"2"]))

    assert await taken(DEAD) == []


async def test_one_bad_message_does_not_harm_the_others_of_its_batch(
    rabbitmq: RabbitMQ, publisher: Publisher, taken: Takes, eventually: Any
) -> None:
    # Given a backlog of ten with a bad and an undecodable one, waiting behind a first that holds the handler
    handler = Handler(bad={b"5"})
    handler.gate.clear()
    async with consuming(rabbitmq, publisher, handler, batch=20):
        await publish(publisher, *range(5))
        await publisher.publish(QUEUE, Wire({}, b"junk"))
        await publish(publisher, *range(5, 10))
        handler.gate.set()
        await eventually(lambda: fact(len(handler.handled) == 9))

    assert sorted(handler.handled) == [b"0", b"1", b"2", b"3", b"4", b"6", b"7", b"8", b"9"]
    assert sorted(message.body for message in await taken(DEAD)) == [b"5", b"junk"]
    assert await taken(QUEUE) == []


async def test_a_backlog_is_handled_in_batches(rabbitmq: RabbitMQ, publisher: Publisher, eventually: Any) -> None:
    await publish(publisher, *range(60))
    handler = Handler()
    handler.gate.clear()
    async with consuming(rabbitmq, publisher, handler, batch=20):
        await eventually(lambda: waits(publisher, 40))  # the others are on their way, or held by the handler.
        handler.gate.set()
        await eventually(lambda: fact(len(handler.handled) == 60))

    assert len(handler.calls) < 60
    assert max(map(len, handler.calls)) <= 20


async def test_at_the_stop_work_in_hand_may_finish(
    rabbitmq: RabbitMQ, publisher: Publisher, taken: Takes, eventually: Any
) -> None:
    handler = Handler()
    handler.gate.clear()
    async with consuming(rabbitmq, publisher, handler, concurrency=2) as (stop, task, health):
        await publish(publisher, 1, 2, 3, 4)
        await eventually(lambda: fact(len(health._work) == 2))
        stop.set()
        handler.gate.set()
        await task

    assert sorted(handler.handled) == [b"1", b"2"]
    assert sorted(message.body for message in await taken(QUEUE)) == [b"3", b"4"]  # handed back in any order


async def test_work_that_outlives_the_grace_is_handed_back_unsettled(
    rabbitmq: RabbitMQ, publisher: Publisher, taken: Takes, eventually: Any
) -> None:
    handler = Handler()
    handler.gate.clear()
    async with consuming(rabbitmq, publisher, handler, grace=0.1) as (stop, task, health):
        await publish(publisher, 1)
        await eventually(lambda: fact(health._work))
        stop.set()
        await task

    assert [message.body for message in await taken(QUEUE)] == [b"1"]
    assert await taken(DEAD) == []


async def test_a_cancelled_consumer_leaves_its_messages_to_others(
    rabbitmq: RabbitMQ, publisher: Publisher, taken: Takes, eventually: Any
) -> None:
    handler, health = Handler(), Health()
    handler.gate.clear()
    consumption = Consumption(InsightsReceived, handler)
    task = asyncio.create_task(consume(rabbitmq.url, "test", consumption, publisher, health, asyncio.Event()))
    await publish(publisher, 1)
    await eventually(lambda: fact(health._work))

    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert [message.body for message in await taken(QUEUE)] == [b"1"]
    assert len(asyncio.all_tasks()) <= 8  # none of the consumer's is left; the publisher's connection has some


async def test_a_subscription_that_the_broker_ends_is_made_again(
    rabbitmq: RabbitMQ, publisher: Publisher, eventually: Any
) -> None:
    handler = Handler()
    async with consuming(rabbitmq, publisher, handler) as (_, _, health):
        await eventually(lambda: fact(not health.unready()))
        async with await aio_pika.connect(rabbitmq.url) as connection:
            await (await connection.channel()).queue_delete(QUEUE)
        await eventually(lambda: fact(health.unready()))
        await eventually(lambda: fact(not health.unready()))

        await publish(publisher, 1)
        await eventually(lambda: fact(handler.handled == [b"1"]))


async def test_a_broker_that_is_killed_is_found_again_by_both(eventually: Any) -> None:
    # Given a broker of its own: one whose queues were deleted and made again just before may lose them to a SIGKILL
    server, handler = RabbitMQ(), Handler()
    await asyncio.to_thread(server.start)
    try:
        async with open_publisher(server.url, "test") as publisher, consuming(server, publisher, handler):
            await publish_at_last(publisher, 1)
            await eventually(lambda: fact(handler.handled))

            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)

            await publish_at_last(publisher, 2)
            await eventually(lambda: fact(b"2" in handler.handled))
    finally:
        await asyncio.to_thread(server.stop)


async def test_an_alarm_blocks_the_publisher_and_not_the_consumer(
    rabbitmq: RabbitMQ, publisher: Publisher, eventually: Any
) -> None:
    handler = Handler()
    handler.gate.clear()
    async with consuming(rabbitmq, publisher, handler):
        await publish(publisher, 1, 2, 3)
        await asyncio.to_thread(rabbitmq.ctl, "set_vm_memory_high_watermark", "0")
        try:
            with pytest.raises(NotConfirmed):
                await publisher.publish(QUEUE, event(4).to_wire(), timeout=1)
            handler.gate.set()
            await eventually(lambda: fact(len(handler.handled) == 3))
        finally:
            await asyncio.to_thread(rabbitmq.ctl, "set_vm_memory_high_watermark", "absolute", "1GB")

        await eventually(lambda: fact(b"4" in handler.handled))  # it was on its way all the time
        await publish(publisher, 5)


async def test_credentials_that_the_broker_refuses_are_told_in_one_sentence(rabbitmq: RabbitMQ) -> None:
    with pytest.raises(CannotStart, match=r"^AMQP_URL is refused by RabbitMQ: check [^\n]+\.$"):
        await check_credentials(rabbitmq.url.replace("ringvault:", "nobody:"), "test")


async def test_a_broker_that_is_away_refuses_nobody(rabbitmq: RabbitMQ) -> None:
    await check_credentials(rabbitmq.url, "test")
    await check_credentials("amqp://nobody@127.0.0.1:1/", "test")
