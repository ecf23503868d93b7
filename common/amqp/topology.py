"""The queues, declared by whoever connects first. All travel on the default exchange, so a queue's name is its address.

Works on RabbitMQ 3.10 to 4.x alike: quorum queues, no plugins, no policies needed.
"""

from typing import Final

from aio_pika.abc import AbstractChannel, AbstractQueue

from common.messages import DownloadRecording, InsightsReceived

QUEUES: Final = (InsightsReceived.QUEUE, DownloadRecording.QUEUE)

#: Deliveries before the broker itself dead-letters a message. Ours are settled long before; this only stops a message
#: that kills its process each time. Generous, because up to 4.2 every requeue counts, a broker restart included.
DELIVERY_LIMIT: Final = 100

#: The same for dead letters, which reading hands back and thereby counts, and which have nowhere to go: in effect none.
#: Without a number RabbitMQ 4 drops them at the 21st look, and -1, which says "none" there, drops them at once on 3.10.
DEAD_LETTER_DELIVERY_LIMIT: Final = 2**31 - 1


def dead_letter_queue(queue: str) -> str:
    """Where messages of a queue go that cannot be handled."""
    return f"{queue}.dead"


async def declare(channel: AbstractChannel, queue: str) -> AbstractQueue:
    """Declare a queue and its dead-letter queue. May run any number of times."""
    dead = dead_letter_queue(queue)
    await channel.declare_queue(
        dead, durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": DEAD_LETTER_DELIVERY_LIMIT}
    )
    return await channel.declare_queue(
        queue,
        durable=True,
        arguments={
            "x-queue-type": "quorum",
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dead,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
            "x-delivery-limit": DELIVERY_LIMIT,
        },
    )
