"""The connections to the public port: so many and no more, and nobody holds one by being slow.

When all are taken, the one that has kept us waiting longest, with a head, a body or nothing at all, makes room for the
next, but not before it has had its time. Until then the next ones wait in the kernel: to let them in and to throw them
out again would cost more than they do. A connection whose event we are about to keep is never closed for another.
"""

import asyncio
import contextlib
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, cast

from common.telemetry.metrics import WEBHOOK_CONNECTIONS, WEBHOOK_CONNECTIONS_CLOSED

#: Connections at a time: a thousand strangers and all that RingCentral sends. When a thousand ask something at once,
#: the last one waits for two seconds on a busy machine; with many more, it would be beyond the three that he has.
MOST: Final = 2_000
#: Descriptors for everything else: broker, admin port, log, and three for every spool file that is adopted.
_OTHER_DESCRIPTORS: Final = 200
#: Seconds from the first byte of a head to its last. A head is one packet.
HEAD_WITHIN: Final = 5.0
#: Seconds that a connection may keep us waiting while others wait for it: RingCentral has given up by then (facts 2.1).
#: So no more than `MOST` / 3 connections a second are closed for others, which leaves time to answer.
YIELDS_AFTER: Final = 3.0
#: Seconds between two looks when all connections wait for us.
_LOOK_EVERY: Final = 0.1


def affordable(wanted: int = MOST) -> int:
    """How many connections this process may have; raises its soft limit of descriptors as far as it must and may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _OTHER_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - _OTHER_DESCRIPTORS))


class Connections:
    """All that are open. Whoever answers a request tells of it by `request` and `answering`."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._open: dict[asyncio.BaseTransport, _Connection] = {}
        #: Those that may be closed for another, the one that has kept us waiting longest first.
        self._waiting: dict[_Connection, None] = {}
        self._left = asyncio.Event()

    def around(self, make: Callable[[], asyncio.Protocol]) -> Callable[[], asyncio.Protocol]:
        """The factory of protocols, each around one of `make`."""
        return lambda: _Connection(self, make())

    @property
    def have_room(self) -> bool:
        """Whether one more may come, without closing another."""
        return len(self._open) < self._most

    async def room(self) -> None:
        """Return when one more may come, which somebody may have to be closed for."""
        while not self.have_room:
            oldest = next(iter(self._waiting), None)
            left = _LOOK_EVERY if oldest is None else oldest.since + YIELDS_AFTER - _now()
            if oldest is not None and left <= 0:
                oldest.close("crowded")
                return
            self._left.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._left.wait()

    @contextmanager
    def request(self, transport: asyncio.BaseTransport | None) -> Iterator[None]:
        """From a request's head to its answer."""
        connection = self._find(transport)
        if connection is not None:
            connection.request_begins()
        try:
            yield
        finally:
            if connection is not None:
                connection.request_ends()
            self._wait_for(connection)

    @contextmanager
    def answering(self, transport: asyncio.BaseTransport | None) -> Iterator[None]:
        """While all has arrived and only the answer is missing: not to be closed."""
        connection = self._find(transport)
        if connection is not None:
            self._waiting.pop(connection, None)
        try:
            yield
        finally:
            self._wait_for(connection)

    def opened(self, connection: "_Connection") -> None:
        """Take it in."""
        self._open[connection.transport] = connection
        self._wait_for(connection)
        WEBHOOK_CONNECTIONS.set(len(self._open))

    def closed(self, connection: "_Connection") -> None:
        """Forget it. May run twice."""
        self._open.pop(connection.transport, None)
        self._waiting.pop(connection, None)
        self._left.set()
        WEBHOOK_CONNECTIONS.set(len(self._open))

    def _find(self, transport: asyncio.BaseTransport | None) -> "_Connection | None":
        return self._open.get(transport) if transport is not None else None

    def _wait_for(self, connection: "_Connection | None") -> None:
        """From now on it is the sender's turn."""
        if connection is not None and connection.transport in self._open:
            connection.since = _now()
            self._waiting.pop(connection, None)
            self._waiting[connection] = None


class _Connection(asyncio.Protocol):
    """Between a transport and aiohttp's protocol, to which it hands everything on."""

    transport: asyncio.Transport
    #: When it became the sender's turn, in the loop's seconds.
    since: float

    def __init__(self, connections: Connections, inner: asyncio.Protocol) -> None:
        self._connections = connections
        self._inner = inner
        self._in_request = False
        self._too_slow: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._inner.connection_made(transport)
        self._connections.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._too_slow is None and not self._in_request:
            self._too_slow = asyncio.get_running_loop().call_later(HEAD_WITHIN, self.close, "slow_head")
        self._inner.data_received(data)

    def request_begins(self) -> None:
        self._in_request = True
        self._stop_timer()

    def request_ends(self) -> None:
        self._in_request = False

    def close(self, why: str) -> None:
        WEBHOOK_CONNECTIONS_CLOSED.labels(why).inc()
        self._connections.closed(self)
        self._stop_timer()
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._connections.closed(self)
        self._inner.connection_lost(exc)

    def _stop_timer(self) -> None:
        if self._too_slow is not None:
            self._too_slow.cancel()
            self._too_slow = None

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


def _now() -> float:
    return asyncio.get_running_loop().time()
