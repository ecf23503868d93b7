"""Accepting connections, one after the other, and only while there is room for one more."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Final

import structlog

from common.tasks import end
from services.webhook.connections import Connections

#: Connections that may wait in the kernel, as many as it allows by default; those behind them try again by themselves.
_BACKLOG: Final = 4096
#: Seconds to pause when the kernel has nothing left for a connection.
_PAUSE: Final = 1.0


@asynccontextmanager
async def listening(
    host: str, port: int, connections: Connections, make: Callable[[], asyncio.Protocol]
) -> AsyncIterator[int]:
    """Accept while the block lasts, at its end also those that wait in the kernel; yields the port.

    Raises `OSError` when it cannot be had.
    """
    with ExitStack() as stack:
        # asyncio finds and binds the addresses of the host; accepting is ours.
        bound = await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port, start_serving=False)
        listeners = [stack.enter_context(one.dup()) for one in bound.sockets]
        bound.close()
        for listener in listeners:
            listener.setblocking(False)
            listener.listen(_BACKLOG)
        tasks = [asyncio.create_task(_accept(listener, connections, make)) for listener in listeners]
        try:
            yield int(listeners[0].getsockname()[1])
        finally:
            for task, listener in zip(tasks, listeners, strict=True):
                await end(task)
                await _accept_the_rest(listener, connections, make)


async def _accept(listener: socket.socket, connections: Connections, make: Callable[[], asyncio.Protocol]) -> None:
    loop, factory = asyncio.get_running_loop(), connections.around(make)
    while True:
        await connections.room()
        try:
            accepted, _ = await loop.sock_accept(listener)
            # To its end, also when cancelled: the connection may bring an event.
            await asyncio.shield(loop.connect_accepted_socket(factory, accepted))
        except OSError as error:
            structlog.get_logger().error("connection_not_accepted", error=error.strerror)
            await asyncio.sleep(_PAUSE)


async def _accept_the_rest(
    listener: socket.socket, connections: Connections, make: Callable[[], asyncio.Protocol]
) -> None:
    """Those that the kernel has let in: with its listener closed, it would throw them out, and their events away."""
    factory = connections.around(make)
    with suppress(OSError):  # at last: there is none left
        while connections.have_room:
            accepted, _ = listener.accept()
            accepted.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(factory, accepted)
