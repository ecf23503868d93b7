"""The consume loop when nearly everything fails, and after what breaks its subscription and not the broker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aio_pika.abc import AbstractIncomingMessage
from structlog.testing import capture_logs

from common.amqp import connection, consumer, pace
from common.amqp.consumer import Consumption, consume
from common.amqp.dead_letters import dead_letter
from common.amqp.pace import LAST, Pace
from common.amqp.publisher import Publisher
from common.amqp.subscription import Subscription
from common.messages import InsightsReceived
from common.telemetry.health import Health, Work
from private_servers.rabbitmq import RabbitMQ
from tests.integration.test_amqp_support import DEAD, QUEUE, fact, publish, publish_at_last, waits

Takes = Callable[[str], Awaitable[list[AbstractIncomingMessage]]]


class DatabaseAwayError(Exception):
    """What a handler raises that has lost its database."""


@dataclass
class Handler:
    """Fails, waits or works as it is told."""

    broken: bool = False
    away: bool = False
    handled: list[int] = field(default_factory=list)
    failed: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, messages: Sequence[InsightsReceived], _work: Work) -> None:
        if self.away:
            raise DatabaseAwayError
        if self.broken:
            self.failed += 1
            raise KeyError
        await self.gate.wait()
        self.handled += [int(message.raw) for message in messages]


@asynccontextmanager
async def consuming(
    rabbitmq: RabbitMQ, publisher: Publisher, handler: Handler, *, stalled_after: float = 600.0, **options: Any
) -> AsyncIterator[Health]:
    stop, health = asyncio.Event(), Health(stalled_after=stalled_after)
    consumption = Consumption(InsightsReceived, handler, away=(DatabaseAwayError,), **options)
    task = asyncio.create_task(consume(rabbitmq.url, "test", consumption, publisher, health, stop))
    try:
        yield health
    finally:
        stop.set()
        await task


@pytest.fixture
def endless_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause ends by itself, so that nothing here depends on how quick a machine is."""
    first_of = pace.first_of

    async def wait(*events: asyncio.Event, within: float) -> None:
        assert within > 0
        await first_of(*events)

    monkeypatch.setattr(pace, "first_of", wait)


@pytest.mark.usefixtures("endless_pauses")
async def test_when_all_fails_the_loop_pauses_after_twenty_and_says_so_once(
    rabbitmq: RabbitMQ, publisher: Publisher, taken: Takes, eventually: Any
) -> None:
    handler = Handler(broken=True)
    with capture_logs() as lines:
        async with consuming(rabbitmq, publisher, handler, concurrency=2) as health:
            await publish(publisher, *range(40))
            await eventually(lambda: fact(handler.failed == LAST + 1))  # the other worker was at its next already
            assert health.live()

    told = [line for line in lines if line["event"] == "consumer_slowed_down"]
    assert [(line["queue"], line["failed"], line["log_level"]) for line in told] == [(QUEUE, LAST, "error")]
    assert len(await taken(DEAD)) == LAST + 1
    assert len(await taken(QUEUE)) == 40 - LAST - 1


@pytest.mark.usefixtures("endless_pauses")
async def test_one_success_ends_every_pause(
    rabbitmq: RabbitMQ, publisher: Publisher, taken: Takes, eventually: Any
) -> None:
    handler = Handler()
    async with consuming(rabbitmq, publisher, handler, concurrency=2) as health:
        # Given one worker that has long work in hand, while all others' work fails
        await publish(publisher, 0)
        await eventually(lambda: fact(health._work))
        handler.broken = True
        await publish(publisher, *range(1, 40))
        await eventually(lambda: fact(handler.failed == LAST))

        handler.broken = False
        handler.gate.set()
        await eventually(lambda: fact(len(handler.handled) == 40 - LAST))

    assert len(await taken(DEAD)) == LAST


async def test_pauses_grow_and_begin_anew_after_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def note(*_events: asyncio.Event, within: float) -> None:
        pauses.append(within)

    monkeypatch.setattr(pace, "first_of", note)
    one, work = Pace(QUEUE, asyncio.Event()), Work()
    with capture_logs() as lines:
        for _ in range(LAST + 6):
            await one.failed(work)
        one.succeeded()
        await one.failed(work)  # 19 of the last 20
        for _ in range(2):
            one.succeeded()
        await one.failed(work)  # 17
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 1]
    assert [line["event"] for line in lines] == ["consumer_slowed_down", "consumer_at_full_speed"]


async def test_a_few_bad_messages_slow_nothing_down() -> None:
    one, work = Pace(QUEUE, asyncio.Event()), Work()
    for number in range(200):
        if number % 5 == 0:
            one.succeeded()
        else:
            await one.failed(work)
    assert not one.slow


@contextmanager
def acknowledging_within(rabbitmq: RabbitMQ, milliseconds: int) -> Iterator[None]:
    """The broker closes the channel of whoever takes longer."""
    setting = "application:set_env(rabbit, {}, {})."
    for name, value in (("consumer_timeout", milliseconds), ("channel_tick_interval", 300)):
        rabbitmq.ctl("eval", setting.format(name, value))
    try:
        yield
    finally:
        for name, value in (("consumer_timeout", 1_800_000), ("channel_tick_interval", 60_000)):
            rabbitmq.ctl("eval", setting.format(name, value))


async def test_a_channel_that_the_broker_closes_is_opened_again(
    rabbitmq: RabbitMQ, publisher: Publisher, taken: Takes, eventually: Any
) -> None:
    handler = Handler()
    with capture_logs() as lines, acknowledging_within(rabbitmq, 3_000):
        async with consuming(rabbitmq, publisher, handler):
            await publish(publisher, 1)
            await eventually(lambda: fact(any(line["event"] == "broker_lost" for line in lines)))
            handler.gate.set()
            await publish(publisher, 2)
            await eventually(lambda: fact({1, 2} <= set(handler.handled) and handler.handled.count(1) > 1))

    assert handler.handled.count(1) >= 2  # its first acknowledgement came too late
    assert await taken(QUEUE) == []
    assert await taken(DEAD) == []


async def test_a_frozen_broker_is_left_and_found_again_after_the_thaw(
    rabbitmq: RabbitMQ, publisher: Publisher, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEARTBEAT", 1)
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 1.0)
    handler = Handler()
    handler.gate.set()
    async with consuming(rabbitmq, publisher, handler) as health:
        await publish(publisher, 1)
        await eventually(lambda: fact(handler.handled))
        rabbitmq.pause()
        await eventually(lambda: fact(health.unready()))
        rabbitmq.resume()
        await eventually(lambda: fact(not health.unready()))
        await publish_at_last(publisher, 2)  # with such heartbeats a pause of this process loses the connection, too.
        await eventually(lambda: fact(2 in handler.handled))


async def test_what_lost_connections_had_delivered_does_not_add_up(
    rabbitmq: RabbitMQ, publisher: Publisher, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a database that is away while the broker ends every connection again and again
    made: list[Subscription] = []

    def make(*arguments: Any, **options: Any) -> Subscription:
        made.append(Subscription(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(consumer, "Subscription", make)
    handler = Handler(away=True)
    handler.gate.set()
    await publish(publisher, *range(20))
    with capture_logs() as lines:
        async with consuming(rabbitmq, publisher, handler, batch=5) as health:
            await eventually(lambda: fact(_connects(lines) == 1 and health._work))
            for _ in range(3):
                before = _connects(lines)
                await asyncio.to_thread(rabbitmq.ctl, "close_all_connections", "for a test")
                await eventually(
                    lambda before=before: fact(_connects(lines) > before and made[0].deliveries.qsize() >= 5)
                )
            assert made[0].deliveries.qsize() == 5
            handler.away = False
            await eventually(lambda: fact(set(handler.handled) == set(range(20))))


def _connects(lines: Sequence[Any]) -> int:
    return sum(line["event"] == "broker_connected" and line.get("role") == "consumer" for line in lines)


async def test_no_more_is_taken_than_can_be_handled(
    rabbitmq: RabbitMQ, publisher: Publisher, taken: Takes, eventually: Any
) -> None:
    await publish(publisher, *range(20))
    handler = Handler()
    async with consuming(rabbitmq, publisher, handler, concurrency=2, batch=3) as health:
        await eventually(lambda: fact(len(health._work) == 2))
        await eventually(lambda: waits(publisher, 20 - 2 * 3))  # what was taken first came before the rest of it.

        assert len(await taken(QUEUE)) == 20 - 2 * 3

        handler.gate.set()
        await eventually(lambda: fact(len(handler.handled) == 2 * 3))


async def test_a_handler_that_hangs_makes_liveness_fail_until_it_moves(
    rabbitmq: RabbitMQ, publisher: Publisher, eventually: Any
) -> None:
    handler = Handler()
    async with consuming(rabbitmq, publisher, handler, stalled_after=0.1) as health:
        assert health.live()
        await publish(publisher, 1)
        await eventually(lambda: fact(not health.live()))

        handler.gate.set()
        await eventually(lambda: fact(handler.handled == [1] and health.live()))


async def test_a_handler_that_waits_for_what_is_away_never_makes_liveness_fail(
    rabbitmq: RabbitMQ, publisher: Publisher, eventually: Any
) -> None:
    # Given pauses that are longer than what counts as a stall
    handler, stalled_after = Handler(away=True), 0.3
    with capture_logs() as lines:
        async with consuming(rabbitmq, publisher, handler, stalled_after=stalled_after) as health:
            await publish(publisher, 1)
            lives: list[bool] = []

            async def waited_long() -> bool:
                lives.append(health.live())
                return _told(lines, "handling_waited") >= 5

            await eventually(waited_long)
            handler.away = False
            handler.gate.set()
            await eventually(lambda: fact(handler.handled))

    assert all(lives)


async def test_a_dead_letter_that_waits_for_the_broker_never_makes_liveness_fail(
    rabbitmq: RabbitMQ, publisher: Publisher, taken: Takes, eventually: Any
) -> None:
    # Given a message that turns out to be bad while the broker is away, for longer than what counts as a stall
    handler, lives = Handler(away=True), list[bool]()
    with capture_logs() as lines:
        async with consuming(rabbitmq, publisher, handler, stalled_after=1.0) as health:
            await publish(publisher, 1)
            await eventually(lambda: fact(_told(lines, "handling_waited")))
            await asyncio.to_thread(rabbitmq.shut_down)
            await eventually(lambda: fact(not publisher.connected))
            handler.away, handler.broken = False, True
            await eventually(lambda: fact(handler.failed))
            starting = asyncio.create_task(asyncio.to_thread(rabbitmq.start))

            async def buried() -> bool:
                lives.append(health.live())
                return _told(lines, "message_dead_lettered") > 0

            await eventually(buried)
            await starting

    assert all(lives)
    assert {message.body for message in await taken(DEAD)} == {b"1"}


async def test_a_dead_letter_that_waits_for_its_confirm_is_no_stall(
    rabbitmq: RabbitMQ, publisher: Publisher, taken: Takes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, confirmed = asyncio.Event(), asyncio.Event()

    async def confirmed_late(*letter: Any) -> None:
        asked.set()
        await confirmed.wait()
        await dead_letter(*letter)

    monkeypatch.setattr(consumer, "dead_letter", confirmed_late)
    async with consuming(rabbitmq, publisher, Handler(broken=True), stalled_after=0.0) as health:
        await publish(publisher, 1)
        await asked.wait()
        assert health.live(), "whatever does not wait is stalled at once here"
        confirmed.set()

    assert {message.body for message in await taken(DEAD)} == {b"1"}


def _told(lines: Sequence[Any], event: str) -> int:
    return sum(line["event"] == event for line in lines)
