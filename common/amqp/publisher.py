"""The publisher: persistent, mandatory, confirmed. It keeps its own connection, because an alarm blocks it.

A publish that was not confirmed in time may have been delivered all the same: everything downstream expects duplicates.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, DeliveryMode

from common.amqp.connection import BROKER_AWAY, close, connect, pauses
from common.messages import Wire
from common.tasks import end
from common.telemetry.metrics import PUBLISHED

#: Seconds in which the broker confirms a message that it has taken: a thousand times the usual, well below every
#: deadline that a caller may have.
CONFIRM_TIMEOUT: Final = 10.0


class NotConfirmed(Exception):
    """The broker did not confirm: the message may or may not be in the queue, so publish it again or spool it."""


class Publisher:
    """Publishes to queues; connects by itself and again whenever the connection is lost. Use `open_publisher`."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        #: Of the present connection; each has its own, so that what an old one does late harms no new one.
        self._lost = asyncio.Event()
        self._ready = asyncio.Event()
        self._confirmed = False  # whether the present connection has brought anything into a queue

    @property
    def connected(self) -> bool:
        """Whether a publish has a chance right now."""
        return self._ready.is_set()

    async def wait_connected(self) -> None:
        """Return once the broker is there."""
        await self._ready.wait()

    async def publish(self, queue: str, wire: Wire, *, timeout: float = CONFIRM_TIMEOUT) -> None:
        """Return when the broker has confirmed; raises `NotConfirmed` after `timeout` seconds at the latest.

        While the broker is known to be away it raises at once, so that the receiver can spool without losing time.
        """
        channel, lost = self._channel, self._lost
        if channel is None or not self.connected:
            PUBLISHED.labels(queue, "away").inc()
            raise NotConfirmed("the broker is away")
        message = aio_pika.Message(
            wire.body,
            headers=dict(wire.headers),
            message_id=uuid.uuid4().hex,
            delivery_mode=DeliveryMode.PERSISTENT,
            content_type="application/json",
        )
        try:
            async with asyncio.timeout(timeout):
                await channel.default_exchange.publish(message, routing_key=queue, mandatory=True)
        except BROKER_AWAY as error:
            PUBLISHED.labels(queue, "unconfirmed").inc()
            if not isinstance(error, TimeoutError):
                self._lose(lost, type(error).__name__)
            raise NotConfirmed(f"the broker did not confirm: {type(error).__name__}") from None
        self._confirmed = True
        PUBLISHED.labels(queue, "confirmed").inc()

    async def waiting(self, queue: str) -> int:
        """How many messages of a queue wait for somebody to take them; raises `NotConfirmed` when that is not known."""
        channel, lost = self._channel, self._lost
        if channel is None or not self.connected:
            raise NotConfirmed("the broker is away")
        try:
            async with asyncio.timeout(CONFIRM_TIMEOUT):
                found = await channel.declare_queue(queue, passive=True)
        except BROKER_AWAY as error:
            self._lose(lost, type(error).__name__)
            raise NotConfirmed(f"the broker did not answer: {type(error).__name__}") from None
        return found.declaration_result.message_count or 0

    def _lose(self, lost: asyncio.Event, cause: str) -> None:
        if not lost.is_set():
            structlog.get_logger().warning("broker_lost", role="publisher", cause=cause)
        if lost is self._lost:
            self._ready.clear()
        lost.set()

    async def stay_connected(self) -> None:
        """Connect, and again after each loss, until cancelled."""
        log = structlog.get_logger()
        waits = pauses()
        while True:
            try:
                self._connection = await connect(self._url, f"{self._name} publisher")
                self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
            except BROKER_AWAY as error:
                log.warning("broker_away", role="publisher", error=type(error).__name__)
                await self._close()
                await asyncio.sleep(next(waits))
                continue
            lost = self._lost = asyncio.Event()
            self._confirmed = False
            for closable in (self._connection, self._channel):
                closable.close_callbacks.add(lambda _, error=None, lost=lost: self._lose(lost, type(error).__name__))
            self._ready.set()
            log.info("broker_connected", role="publisher")
            await lost.wait()
            await self._close()
            if self._confirmed:
                waits = pauses()
            # A broker that takes connections but no messages would otherwise be asked again without end.
            await asyncio.sleep(next(waits))

    async def aclose(self) -> None:
        """Close the connection."""
        self._ready.clear()
        await self._close()

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await close(connection)


@asynccontextmanager
async def open_publisher(url: str, name: str) -> AsyncIterator[Publisher]:
    """A publisher for as long as the block lasts. A broker that is away is no error: see `Publisher.connected`."""
    publisher = Publisher(url, name)
    task = asyncio.create_task(publisher.stay_connected())
    try:
        yield publisher
    finally:
        await end(task)
        await publisher.aclose()
