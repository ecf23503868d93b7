"""Making an event durable in time: the broker first, the spool when that takes too long."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from common.amqp.publisher import NotConfirmed
from common.messages import Message, Wire
from services.webhook.answers import Outcome, Refused
from services.webhook.spool import Spool, SpoolUnusable

#: Seconds for an answer in all, counted from the request's head; RingCentral gives up after 3 (facts 2.1).
ANSWER_WITHIN: Final = 2.0
#: Seconds that the spool may take, kept free of the above: an fsync on a busy disk, behind one that is under way. Added
#: to a body that took all of `ANSWER_WITHIN`, it still ends before the third second.
SPOOL_WITHIN: Final = 0.9
#: Seconds that the broker may take: a thousand times the usual.
PUBLISH_WITHIN: Final = 1.0
#: Seconds that it must have, or it is not asked: a healthy broker under load may miss less, and that would open the
#: circuit for everyone.
PUBLISH_AT_LEAST: Final = 0.25


class Publishes(Protocol):
    """What is needed of `common.amqp.publisher.Publisher`."""

    @property
    def connected(self) -> bool:
        """Whether a publish has a chance right now."""

    async def wait_connected(self) -> None:
        """Return once the broker is there."""

    async def publish(self, queue: str, wire: Wire, *, timeout: float = ...) -> None:
        """Return when the broker has confirmed; raises `NotConfirmed`."""


@dataclass(slots=True)
class Circuit:
    """Whether the broker confirmed last time. While open, events go to the spool at once, and the drain tries."""

    open: bool = False

    def failed(self) -> None:
        """Note that the broker did not confirm."""
        if not self.open:
            structlog.get_logger().warning("circuit_opened")
        self.open = True

    def confirmed(self) -> None:
        """Note that it did."""
        if self.open:
            structlog.get_logger().info("circuit_closed")
        self.open = False


@dataclass(frozen=True, slots=True)
class Keeper:
    """Keeps events: see `keep`."""

    publisher: Publishes
    spool: Spool
    circuit: Circuit

    def accepts(self) -> bool:
        """Whether there is a place for the next event, as far as is known."""
        return (self.publisher.connected and not self.circuit.open) or self.spool.accepts

    async def keep(self, message: Message, elapsed: float) -> Outcome:
        """Return where the message is durable, `PUBLISHED` or `SPOOLED`; raises `Refused` when it is nowhere.

        `elapsed` is the time that the request has taken already. The same message may end in both places.
        """
        within = min(PUBLISH_WITHIN, ANSWER_WITHIN - SPOOL_WITHIN - elapsed)
        if self.publisher.connected and not self.circuit.open and within >= PUBLISH_AT_LEAST:
            outcome = await self._publish(message, within) or await self._spool(message)
        else:
            started = time.monotonic()
            outcome = await self._spool(message)
            if outcome is None:
                # The broker gets the time that the spool has left over, whatever is known of it.
                left = max(within, 0.0) + SPOOL_WITHIN - (time.monotonic() - started)
                outcome = await self._publish(message, min(PUBLISH_WITHIN, left))
        if outcome is not None:
            return outcome
        structlog.get_logger().error(
            "event_not_durable", hint="neither the broker nor the spool takes events: RingCentral's event may be lost"
        )
        raise Refused(Outcome.NOT_DURABLE, "the event cannot be kept now")

    async def _publish(self, message: Message, seconds: float) -> Outcome | None:
        if seconds < PUBLISH_AT_LEAST:
            return None
        try:
            await self.publisher.publish(message.QUEUE, message.to_wire(), timeout=seconds)
        except NotConfirmed:
            self.circuit.failed()
            return None
        self.circuit.confirmed()
        return Outcome.PUBLISHED

    async def _spool(self, message: Message) -> Outcome | None:
        try:
            async with asyncio.timeout(SPOOL_WITHIN):
                await self.spool.put(message.QUEUE, message.to_wire())
        except (SpoolUnusable, TimeoutError) as error:
            structlog.get_logger().warning("spooling_failed", error=type(error).__name__)
            return None
        return Outcome.SPOOLED
