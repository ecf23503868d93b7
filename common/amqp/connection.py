"""One connection to RabbitMQ, and what may go wrong with it.

The robust layer of aio-pika is not used: publisher and consume loop each open a plain connection and open the next one
when it is lost, so that what happens to work in hand is decided here and not by a library.
"""

import asyncio
import random
from collections.abc import Iterator
from typing import Final

import aio_pika
import structlog
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import AMQPError, ChannelPreconditionFailed

from common.amqp.topology import QUEUES, declare

#: Everything that says "the broker is away, or this connection is lost". `RuntimeError` is how aio-pika reports a
#: channel that was closed under the caller.
BROKER_AWAY: Final = (AMQPError, OSError, asyncio.TimeoutError, aio_pika.exceptions.AMQPException, RuntimeError)
#: That one of them which says that a queue exists, but not as we declare it.
DECLARED_OTHERWISE: Final = ChannelPreconditionFailed

#: Seconds between heartbeats: a frozen broker is noticed after about three of them, in time for the spool to take over
#: and for redelivery to be quick; short enough for no download to block the loop that long.
HEARTBEAT: Final = 10
#: Seconds for TCP, TLS, AMQP handshake and declarations together. A frozen broker accepts and never answers.
CONNECT_TIMEOUT: Final = 10.0


def pauses() -> Iterator[float]:
    """Seconds to wait before the next attempt to connect: quick at first, at most 5 s, spread so that a hundred
    processes do not come back in the same moment.
    """
    pause = 0.1
    while True:
        yield pause * random.uniform(0.5, 1.0)
        pause = min(pause * 2, 5.0)


async def connect(url: str, name: str) -> AbstractConnection:
    """Open a connection and make sure of the topology; raises one of `BROKER_AWAY`."""
    async with asyncio.timeout(CONNECT_TIMEOUT):
        connection = await aio_pika.connect(
            url, heartbeat=HEARTBEAT, client_properties={"connection_name": name}, timeout=CONNECT_TIMEOUT
        )
        try:
            channel = await connection.channel()
            for queue in QUEUES:
                await declare(channel, queue)
            await channel.close()
        except BaseException:
            await close(connection)
            raise
    return connection


async def close(connection: AbstractConnection) -> None:
    """Close a connection, also one that is lost or frozen: at most 2 s, no error."""
    try:
        async with asyncio.timeout(2):
            await connection.close()
    except BROKER_AWAY:
        structlog.get_logger().debug("broker_connection_closed_badly")
