"""The one consume loop: deliveries in, a handler's word out, every settlement explicit.

| the handler | the message |
|---|---|
| returns | acknowledged |
| raises one of `away` | held; handled again after a pause, until what is away is back |
| raises anything else | published to the dead letters with the reason, then acknowledged |
| is not asked: the message cannot be decoded | the same |
| is cancelled (stopping, grace used up) | left unsettled, so the broker hands it to somebody else |

A handler gets a batch: one message, or up to `batch` of them when there is a backlog. When a batch fails, its messages
are handled one by one, so that a bad one never harms the others. A handler may see a message twice, also while its
first handling still runs: the broker redelivers what it cannot see acknowledged.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic

import structlog
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from common.amqp.connection import BROKER_AWAY, close, connect, pauses
from common.amqp.dead_letters import dead_letter
from common.amqp.publisher import NotConfirmed, Publisher
from common.amqp.topology import declare
from common.messages import M, NotDecodable, Wire
from common.tasks import end
from common.telemetry.health import Health, Work
from common.telemetry.metrics import HANDLED, HANDLING_SECONDS


@dataclass(frozen=True, slots=True)
class Consumption(Generic[M]):
    """What to consume, and how."""

    kind: type[M]
    handle: Callable[[Sequence[M], Work], Awaitable[None]]
    #: Errors that mean "what the handler needs is away for now".
    away: tuple[type[Exception], ...] = ()
    #: Handlers that run at the same time.
    concurrency: int = 1
    #: Messages that one handler call may take together.
    batch: int = 1
    #: Seconds that work in hand may take after the stop.
    grace: float = 25.0


@dataclass(slots=True)
class _State:
    """What the loop's tasks share."""

    deliveries: asyncio.Queue[AbstractIncomingMessage] = field(default_factory=asyncio.Queue)
    connected: bool = False


async def consume(
    url: str, name: str, consumption: Consumption[M], publisher: Publisher, health: Health, stop: asyncio.Event
) -> None:
    """Consume until `stop` is set; then take nothing new, let work in hand finish within its grace, and return.

    Reconnects by itself for as long as it runs.
    """
    state = _State()
    health.conditions[f"{consumption.kind.QUEUE} is being consumed"] = lambda: state.connected
    subscriber = asyncio.create_task(_stay_subscribed(url, name, consumption, state, stop))
    workers = [
        asyncio.create_task(_work(consumption, publisher, health, state, stop)) for _ in range(consumption.concurrency)
    ]
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([stopping, subscriber, *workers], return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        _, late = await asyncio.wait(workers, timeout=consumption.grace)
        if late:
            structlog.get_logger().warning("work_handed_back", queue=consumption.kind.QUEUE, count=len(late))
    finally:
        await end(*workers, stopping, subscriber)
        results = await asyncio.gather(*workers, subscriber, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def _stay_subscribed(
    url: str, name: str, consumption: Consumption[M], state: _State, stop: asyncio.Event
) -> None:
    """Keep a subscription alive; after the stop, keep its channel open for the acknowledgements still to come."""
    log = structlog.get_logger().bind(queue=consumption.kind.QUEUE)
    waits = pauses()
    while True:
        connection: AbstractConnection | None = None
        try:
            connection = await connect(url, f"{name} consumer")
            lost = asyncio.Event()
            cancel = await _subscribe(connection, consumption, state, lost)
            state.connected = True
            log.info("broker_connected", role="consumer")
            waits = pauses()
            await _first(stop, lost)
            if stop.is_set() and not lost.is_set():
                await cancel()
            await lost.wait()
            log.warning("broker_lost", role="consumer")
        except BROKER_AWAY as error:
            log.warning("broker_away", role="consumer", error=type(error).__name__)
        finally:
            state.connected = False
            if connection is not None:
                await close(connection)
        await asyncio.sleep(next(waits))


async def _subscribe(
    connection: AbstractConnection, consumption: Consumption[M], state: _State, lost: asyncio.Event
) -> Callable[[], Awaitable[object]]:
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=consumption.concurrency * consumption.batch)
    queue = await declare(channel, consumption.kind.QUEUE)
    # The broker may also end the subscription alone, when the queue is deleted or moved.
    (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(lambda *_: lost.set())
    for closable in (connection, channel):
        closable.close_callbacks.add(lambda *_: lost.set())

    async def take(delivery: AbstractIncomingMessage) -> None:
        state.deliveries.put_nowait(delivery)

    tag = await queue.consume(take)
    return lambda: queue.cancel(tag)


async def _first(*events: asyncio.Event) -> None:
    tasks = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _work(
    consumption: Consumption[M], publisher: Publisher, health: Health, state: _State, stop: asyncio.Event
) -> None:
    stopping = asyncio.create_task(stop.wait())
    taking: asyncio.Task[AbstractIncomingMessage] | None = None
    try:
        while not stop.is_set():
            taking = asyncio.create_task(state.deliveries.get())
            await asyncio.wait([taking, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not taking.done():
                return
            batch = [taking.result()]
            while len(batch) < consumption.batch and not state.deliveries.empty():
                batch.append(state.deliveries.get_nowait())
            # What a lost connection had delivered comes again on the next one: handling it here would be for nothing.
            batch = [delivery for delivery in batch if not delivery.channel.is_closed]
            if batch and not stop.is_set():
                with health.work() as work, HANDLING_SECONDS.labels(consumption.kind.QUEUE).time():
                    await _settle(consumption, publisher, work, batch)
    finally:
        stopping.cancel()
        if taking is not None:
            taking.cancel()


async def _settle(
    consumption: Consumption[M], publisher: Publisher, work: Work, batch: Sequence[AbstractIncomingMessage]
) -> None:
    decoded: list[tuple[AbstractIncomingMessage, M]] = []
    for delivery in batch:
        try:
            decoded.append((delivery, consumption.kind.from_wire(wire_of(delivery))))
        except NotDecodable as reason:
            await _bury(publisher, work, consumption.kind.QUEUE, delivery, f"not decodable: {reason}")
    groups = [decoded] if decoded else []
    while groups:
        group = groups.pop(0)
        error = await _handle(consumption, work, [message for _, message in group])
        if error is None:
            for delivery, _ in group:
                await _acknowledge(consumption.kind.QUEUE, delivery, "handled")
        elif len(group) > 1:
            groups = [[one] for one in group] + groups
        else:
            await _bury(publisher, work, consumption.kind.QUEUE, group[0][0], type(error).__name__)


async def _handle(consumption: Consumption[M], work: Work, messages: Sequence[M]) -> Exception | None:
    """Handle messages until it has worked or failed for good; what failed is returned."""
    log = structlog.get_logger().bind(queue=consumption.kind.QUEUE, messages=len(messages))
    waits = pauses()
    started = time.monotonic()
    while True:
        try:
            await consumption.handle(messages, work)
        except consumption.away as error:
            log.warning("handling_waited", error=type(error).__name__)
            with work.waiting():
                await asyncio.sleep(next(waits))
        except Exception as error:
            log.exception("handling_failed", seconds=round(time.monotonic() - started, 3))
            return error
        else:
            log.debug("handled", seconds=round(time.monotonic() - started, 3))
            return None


async def _bury(publisher: Publisher, work: Work, queue: str, delivery: AbstractIncomingMessage, reason: str) -> None:
    waits = pauses()
    while True:
        try:
            await dead_letter(publisher, queue, wire_of(delivery), reason)
            break
        except NotConfirmed:
            with work.waiting():
                await asyncio.sleep(next(waits))
    structlog.get_logger().error("message_dead_lettered", queue=queue, reason=reason)
    await _acknowledge(queue, delivery, "dead_lettered")


async def _acknowledge(queue: str, delivery: AbstractIncomingMessage, outcome: str) -> None:
    try:
        await delivery.ack()
        HANDLED.labels(queue, outcome).inc()
    except BROKER_AWAY:
        # The connection is gone: the broker redelivers, and the handler finds that the work is done.
        HANDLED.labels(queue, "unsettled").inc()
        structlog.get_logger().info("acknowledgement_lost", queue=queue)


def wire_of(delivery: AbstractIncomingMessage) -> Wire:
    """A delivery as our messages know it; headers that are no text (the broker's own) are left out."""
    return Wire({key: value for key, value in delivery.headers.items() if isinstance(value, str)}, delivery.body)
