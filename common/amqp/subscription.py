"""A consume loop's subscription: made, and made again after whatever ends it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import structlog
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from common.amqp.connection import BROKER_AWAY, close, connect, pauses
from common.amqp.pace import first_of
from common.amqp.topology import declare

#: Seconds that a subscription must have lasted for the next one to be made at once: longer than the longest pause, so
#: that a broker that takes subscriptions and drops them again is not asked without end.
LASTED: Final = 10.0


@dataclass(slots=True)
class Subscription:
    """What arrives from one queue, at most `prefetch` unacknowledged messages at a time."""

    queue: str
    prefetch: int
    connected: bool = False
    deliveries: asyncio.Queue[AbstractIncomingMessage] = field(default_factory=asyncio.Queue)

    async def stay(self, url: str, name: str, stop: asyncio.Event) -> None:
        """Stay subscribed until cancelled; after the stop, keep the channel for acknowledgements still to come."""
        log = structlog.get_logger().bind(queue=self.queue)
        waits = pauses()
        while True:
            connection: AbstractConnection | None = None
            began = time.monotonic()
            try:
                connection = await connect(url, f"{name} consumer")
                lost = asyncio.Event()
                cancel = await self._subscribe(connection, lost)
                self.connected = True
                log.info("broker_connected", role="consumer")
                await first_of(stop, lost)
                if stop.is_set() and not lost.is_set():
                    await cancel()
                await lost.wait()
                log.warning("broker_lost", role="consumer")
            except BROKER_AWAY as error:
                log.warning("broker_away", role="consumer", error=type(error).__name__)
            finally:
                self.connected = False
                if connection is not None:
                    await close(connection)
            if time.monotonic() - began > LASTED:
                waits = pauses()
            await asyncio.sleep(next(waits))

    async def _subscribe(self, connection: AbstractConnection, lost: asyncio.Event) -> Callable[[], Awaitable[object]]:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=self.prefetch)
        queue = await declare(channel, self.queue)
        # The broker may also end the subscription alone, when the queue is deleted or moved.
        (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(lambda *_: lost.set())
        for closable in (connection, channel):
            closable.close_callbacks.add(lambda *_: lost.set())
        # What a lost connection had delivered comes again on this one; kept, it would add up.
        while not self.deliveries.empty():
            self.deliveries.get_nowait()

        async def take(delivery: AbstractIncomingMessage) -> None:
            self.deliveries.put_nowait(delivery)

        tag = await queue.consume(take)
        return lambda: queue.cancel(tag)
