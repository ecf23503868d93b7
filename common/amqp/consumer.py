"""The one consume loop: deliveries in, a handler's word out, every settlement explicit.

| the handler | the message |
|---|---|
| returns | acknowledged |
| raises one of `away` | held; handled again after a pause, until what is away is back |
| raises anything else | published to the dead letters with the reason, then acknowledged |
| is not asked: the message cannot be decoded | the same |
| is cancelled (stopping, grace used up) | left unsettled, so the broker hands it to somebody else |

A handler gets a batch: one message, or up to `batch` of them when there is a backlog. When a batch fails, its messages
are handled one by one, so that a bad one never harms the others. When nearly everything fails, the loop slows down (see
`Pace`). A handler may see a message twice, also while its
first handling still runs: the broker redelivers what it cannot see acknowledged.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic

import structlog
from aio_pika.abc import AbstractIncomingMessage

from common.amqp.connection import BROKER_AWAY, pauses
from common.amqp.dead_letters import dead_letter, wire_of
from common.amqp.pace import Pace
from common.amqp.publisher import NotConfirmed, Publisher
from common.amqp.subscription import Subscription
from common.messages import M, NotDecodable
from common.tasks import end
from common.telemetry.health import Health, Work
from common.telemetry.metrics import HANDLED, HANDLING_SECONDS


@dataclass(frozen=True, slots=True)
class Consumption(Generic[M]):
    """What to consume, and how."""

    kind: type[M]
    handle: Callable[[Sequence[M], Work], Awaitable[None]]
    #: Errors that mean "what the handler needs is away for now"; their text is logged.
    away: tuple[type[Exception], ...] = ()
    #: Handlers that run at the same time.
    concurrency: int = 1
    #: Messages that one handler call may take together.
    batch: int = 1
    #: Seconds that work in hand may take after the stop.
    grace: float = 25.0


async def consume(
    url: str, name: str, consumption: Consumption[M], publisher: Publisher, health: Health, stop: asyncio.Event
) -> None:
    """Consume until `stop` is set; then take nothing new, let work in hand finish within its grace, and return.

    Reconnects by itself for as long as it runs.
    """
    queue = consumption.kind.QUEUE
    subscription = Subscription(queue, prefetch=consumption.concurrency * consumption.batch)
    health.conditions[f"{queue} is being consumed"] = lambda: subscription.connected
    subscriber = asyncio.create_task(subscription.stay(url, name, stop))
    loop = _Loop(consumption, publisher, health, subscription, Pace(queue, stop), stop)
    workers = [asyncio.create_task(loop.work()) for _ in range(consumption.concurrency)]
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([stopping, subscriber, *workers], return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        _, late = await asyncio.wait(workers, timeout=consumption.grace)
        if late:
            structlog.get_logger().warning("work_handed_back", queue=queue, count=len(late))
    finally:
        await end(*workers, stopping, subscriber)
        results = await asyncio.gather(*workers, subscriber, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


@dataclass(frozen=True, slots=True)
class _Loop(Generic[M]):
    """What the workers of one loop share, and what each of them does."""

    consumption: Consumption[M]
    publisher: Publisher
    health: Health
    subscription: Subscription
    pace: Pace
    stop: asyncio.Event

    async def work(self) -> None:
        stopping = asyncio.create_task(self.stop.wait())
        deliveries = self.subscription.deliveries
        taking: asyncio.Task[AbstractIncomingMessage] | None = None
        try:
            while not self.stop.is_set():
                taking = asyncio.create_task(deliveries.get())
                await asyncio.wait([taking, stopping], return_when=asyncio.FIRST_COMPLETED)
                if not taking.done():
                    return
                batch = [taking.result()]
                while len(batch) < self.consumption.batch and not deliveries.empty():
                    batch.append(deliveries.get_nowait())
                # What a lost connection had delivered comes again on the next: handling it here would be for nothing.
                batch = [delivery for delivery in batch if not delivery.channel.is_closed]
                if batch and not self.stop.is_set():
                    with self.health.work() as work, HANDLING_SECONDS.labels(self.subscription.queue).time():
                        await self._settle(work, batch)
        finally:
            stopping.cancel()
            if taking is not None:
                taking.cancel()

    async def _settle(self, work: Work, batch: Sequence[AbstractIncomingMessage]) -> None:
        decoded: list[tuple[AbstractIncomingMessage, M]] = []
        for delivery in batch:
            try:
                decoded.append((delivery, self.consumption.kind.from_wire(wire_of(delivery))))
            except NotDecodable as reason:
                await self._bury(work, delivery, f"not decodable: {reason}")
        groups = [decoded] if decoded else []
        while groups:
            group = groups.pop(0)
            error = await _handle(self.consumption, work, [message for _, message in group])
            if error is None:
                for delivery, _ in group:
                    await _acknowledge(self.subscription.queue, delivery, "handled")
                self.pace.succeeded()
            elif len(group) > 1:
                groups = [[one] for one in group] + groups
            else:
                await self._bury(work, group[0][0], type(error).__name__)

    async def _bury(self, work: Work, delivery: AbstractIncomingMessage, reason: str) -> None:
        queue, waits = self.subscription.queue, pauses()
        with work.waiting():  # for the broker: until it is there, and for its confirm.
            while True:
                try:
                    await dead_letter(self.publisher, queue, wire_of(delivery), reason)
                    break
                except NotConfirmed:
                    await asyncio.sleep(next(waits))
        structlog.get_logger().error("message_dead_lettered", queue=queue, reason=reason)
        await _acknowledge(queue, delivery, "dead_lettered")
        await self.pace.failed(work)


async def _handle(consumption: Consumption[M], work: Work, messages: Sequence[M]) -> Exception | None:
    """Handle messages until it has worked or failed for good; what failed is returned."""
    log = structlog.get_logger().bind(queue=consumption.kind.QUEUE, messages=len(messages))
    waits = pauses()
    started = time.monotonic()
    while True:
        try:
            await consumption.handle(messages, work)
        except consumption.away as error:
            log.warning("handling_waited", error=type(error).__name__, reason=str(error))
            with work.waiting():
                await asyncio.sleep(next(waits))
        except Exception as error:
            log.exception("handling_failed", seconds=round(time.monotonic() - started, 3))
            return error
        else:
            log.debug("handled", seconds=round(time.monotonic() - started, 3))
            return None


async def _acknowledge(queue: str, delivery: AbstractIncomingMessage, outcome: str) -> None:
    try:
        await delivery.ack()
        HANDLED.labels(queue, outcome).inc()
    except BROKER_AWAY:
        # The connection is gone: the broker redelivers, and the handler finds that the work is done.
        HANDLED.labels(queue, "unsettled").inc()
        structlog.get_logger().info("acknowledgement_lost", queue=queue)
