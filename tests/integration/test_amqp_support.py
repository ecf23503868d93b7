"""What the tests of publisher and consumer share: events that they publish, and facts that they wait for."""

import contextlib
from datetime import UTC, datetime

from common.amqp.publisher import NotConfirmed, Publisher
from common.messages import InsightsReceived

QUEUE = InsightsReceived.QUEUE
DEAD = f"{QUEUE}.dead"
WHEN = datetime(2026, 3, 1, tzinfo=UTC)


def event(number: int) -> InsightsReceived:
    return InsightsReceived(str(number).encode(), "4711", WHEN)


async def publish(publisher: Publisher, *numbers: int) -> None:
    for number in numbers:
        await publisher.publish(QUEUE, event(number).to_wire())


async def publish_at_last(publisher: Publisher, number: int) -> None:
    """As every sender must that may lose its connection at any time: a broker that starts takes some and drops them."""
    while True:
        await publisher.wait_connected()
        with contextlib.suppress(NotConfirmed):
            return await publish(publisher, number)


async def fact(holds: object) -> object:
    """What `eventually` awaits, for a fact of this process."""
    return holds


async def waits(publisher: Publisher, count: int) -> bool:
    """Whether so many messages wait in the queue for somebody to take them."""
    return await publisher.waiting(QUEUE) == count
