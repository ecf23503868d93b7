"""Looking through dead letters without taking any: all are held unacknowledged, and go back when the connection closes.

Then they stand where they stood, in order, on RabbitMQ 3.10 and 4 alike; one `basic.nack` each or one for all would
mix them, and one `basic.get` each takes time with the square of their number.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aiormq.exceptions import ChannelLockedResource

from common.amqp.connection import close, connect
from common.amqp.dead_letters import DeadLetter
from common.amqp.topology import dead_letter_queue

#: Unacknowledged messages of one consumer: the most that AMQP can say. Every further 65,535 need one more consumer.
PREFETCH: Final = 65_535
#: Seconds without any delivery after which the broker is taken for frozen.
DELIVERED_WITHIN: Final = 5.0
#: Seconds in which the broker takes a hundred acknowledgements, with tens of thousands of messages held: 4 s were seen.
ACKNOWLEDGED_WITHIN: Final = 60.0
#: An exclusive queue that whoever reads dead letters holds: of two at a time each would see a part only.
LOCK: Final = "ringvault.dead-letters"
#: Bytes of messages that are kept in memory to be settled together, and what a message takes beside its body: beyond
#: that, those that are settled make room for the next.
KEPT_BYTES: Final = 64 * 2**20
_OVERHEAD: Final = 4096
#: Messages that are settled at the same time: enough to hide the broker's confirm, which waits for its disk.
TOGETHER: Final = 100


class BeingRead(Exception):
    """Somebody else reads the dead letters just now."""


@asynccontextmanager
async def alone(url: str) -> AsyncIterator[None]:
    """Nobody else reads dead letters while the block lasts; raises `BeingRead`, or one of `BROKER_AWAY`."""
    connection = await connect(url, "dead letters lock")
    try:
        channel = await connection.channel()
        try:
            lock = await channel.declare_queue(LOCK, exclusive=True)
        except ChannelLockedResource:
            raise BeingRead from None
        yield
        await lock.delete()  # the broker does so itself, but only after it has said goodbye
    finally:
        await close(connection)


@dataclass(slots=True)
class _Shown:
    """Shows deliveries to `look` until it has had enough or `wanted` were shown."""

    look: Callable[[AbstractIncomingMessage], bool]
    wanted: int
    count: int = 0
    until: int = 0
    enough: bool = False
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, delivery: AbstractIncomingMessage) -> None:
        """Show one more; what comes later than it should stays unseen, and goes back with the others."""
        if self.enough or self.count == self.wanted:
            return
        self.count += 1
        self.enough = not self.look(delivery)
        if self.enough or self.count == self.until:
            self.reached.set()

    async def wait(self, until: int) -> None:
        """Wait for so many, or for enough; raises `TimeoutError` when nothing moves any more."""
        self.until = until
        self.reached.clear()
        while self.count < until and not self.enough:
            before = self.count
            with suppress(TimeoutError):
                await asyncio.wait_for(self.reached.wait(), DELIVERED_WITHIN)
            if self.count == before:
                raise TimeoutError


@asynccontextmanager
async def held(
    url: str, queue: str, look: Callable[[AbstractIncomingMessage], bool], at_most: int | None = None
) -> AsyncIterator[int]:
    """Show the dead letters of a queue to `look`, the oldest first, until it answers False or all were shown.

    Yields how many there were, `at_most` at most; those that arrive later are not shown. Inside the block they are held
    and may be acknowledged; what was not goes back when it ends. `look` must not raise. Raises one of `BROKER_AWAY`.
    """
    connection = await connect(url, "dead letters")
    try:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        yield await _show(channel, dead_letter_queue(queue), look, at_most)
    finally:
        await close(connection)


async def look_through(url: str, queue: str, look: Callable[[DeadLetter], None]) -> None:
    """Show every dead letter of a queue to `look`, and keep none. As `held`."""

    def show(delivery: AbstractIncomingMessage) -> bool:
        look(DeadLetter.read(queue, delivery))
        return True

    async with held(url, queue, show):
        pass


async def _show(
    channel: AbstractChannel, name: str, look: Callable[[AbstractIncomingMessage], bool], at_most: int | None
) -> int:
    queue = await channel.declare_queue(name, passive=True)
    waiting = queue.declaration_result.message_count or 0
    shown = _Shown(look, waiting if at_most is None else min(waiting, at_most))
    tags: list[str] = []
    while shown.count < shown.wanted and not shown.enough:
        # The broker hands back in the order of these names.
        tags.append(await queue.consume(shown.take, consumer_tag=f"{len(tags):04}", timeout=DELIVERED_WITHIN))
        await shown.wait(min(shown.wanted, PREFETCH * len(tags)))
    for tag in tags:
        await queue.cancel(tag, timeout=DELIVERED_WITHIN)
    return shown.wanted


@dataclass(slots=True)
class _Kept:
    """The chosen messages, as many as there is room for."""

    queue: str
    chosen: Callable[[DeadLetter], bool]
    room: int
    letters: list[tuple[AbstractIncomingMessage, DeadLetter]] = field(default_factory=list)

    def look(self, delivery: AbstractIncomingMessage) -> bool:
        letter = DeadLetter.read(self.queue, delivery)
        if self.chosen(letter):
            self.letters.append((delivery, letter))
            self.room -= len(delivery.body) + _OVERHEAD
        return self.room > 0


async def settle(
    url: str, queue: str, chosen: Callable[[DeadLetter], bool], act: Callable[[DeadLetter], Awaitable[None]]
) -> None:
    """Do something with each chosen dead letter that lies there now, and then acknowledge it; the others stay in order.

    When `act` raises, its message stays, too, and the error is raised. A crash between the two leaves a message whose
    act is done: it may happen twice, never not at all. Raises one of `BROKER_AWAY` as well.
    """
    left: int | None = None
    while True:
        kept = _Kept(queue, chosen, KEPT_BYTES)
        async with held(url, queue, kept.look, left) as waiting:
            for start in range(0, len(kept.letters), TOGETHER):
                await _settle_together(kept.letters[start : start + TOGETHER], act)
        if kept.room > 0:
            return
        left = waiting - len(kept.letters)


async def _settle_together(
    letters: list[tuple[AbstractIncomingMessage, DeadLetter]], act: Callable[[DeadLetter], Awaitable[None]]
) -> None:
    results = await asyncio.gather(*(act(letter) for _, letter in letters), return_exceptions=True)
    for (delivery, _), result in zip(letters, results, strict=True):
        if result is None:
            await delivery.ack()
    # An answer on the same channel: all of them were taken. Closing does not wait so long for a busy broker, which
    # would then hand the messages back and have them settled again.
    await letters[0][0].channel.basic_qos(prefetch_count=PREFETCH, timeout=ACKNOWLEDGED_WITHIN)
    for result in results:
        if result is not None:
            raise result
