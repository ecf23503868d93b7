"""Lines: TCP between two parts that can be cut, refused, delayed and throttled. All live in one thread of their own."""

import asyncio
import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from private_servers.ports import free_ports

#: Bytes that are taken at once, and that one delayed piece has at most.
_CHUNK: Final = 64 * 1024
#: Seconds to reach the far end: it is on this machine, so it answers at once or is frozen with a full backlog.
_CONNECT_WITHIN: Final = 5.0
#: Seconds to open or close a line in its thread.
_WITHIN: Final = 10.0
#: With this, closing a socket resets the connection instead of ending it in good order.
_RESET: Final = struct.pack("ii", 1, 0)
#: Pieces a second in which throttled bytes trickle.
_PIECES: Final = 16


@dataclass(frozen=True, slots=True)
class Slow:
    """How slow a line is: seconds that each piece is late, and bytes a second each way of each connection."""

    latency: float
    bytes_per_second: int


class Line:
    """One listening port and where it leads: the first of `targets` that takes the connection, in turn.

    Made by `Network.line`. Its verbs may be called from any thread; each returns when it is done.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, port: int, targets: Sequence[int]) -> None:
        self.port = port
        #: Bytes that have gone to the far end.
        self.sent = 0
        self._loop = loop
        self._targets = list(targets)
        self._turn = itertools.count()
        self._refuses = False
        self._slow: Slow | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    def cut(self) -> None:
        """Reset every connection, and each new one, until `mend`."""
        self._call(self._cut)

    def slow_down(self, slow: Slow) -> None:
        """Delay and throttle all connections from now on, until `mend`."""
        self._call(lambda: self._set(slow))

    def mend(self) -> None:
        """Pass everything on at once again."""
        self._call(lambda: self._set(None))

    async def listen(self) -> None:
        """Begin to take connections; in the thread of the lines."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=_CHUNK)

    async def close(self) -> None:
        """End all connections; in the thread of the lines."""
        if self._server is not None:
            self._server.close()
        self._cut()

    def _call(self, work: Callable[[], None]) -> None:
        done: Future[None] = Future()

        def run() -> None:
            work()
            done.set_result(None)

        self._loop.call_soon_threadsafe(run)
        done.result(_WITHIN)

    def _cut(self) -> None:
        self._refuses = True
        for writer in self._open:
            _reset(writer)

    def _set(self, slow: Slow | None) -> None:
        self._slow, self._refuses = slow, False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            far = None if self._refuses else await self._connect()
            if far is None or self._refuses:
                _reset(writer)
                return
            far_reader, far_writer = far
            self._open.add(far_writer)
            try:
                await self._join(reader, writer, far_reader, far_writer)
            finally:
                self._open.discard(far_writer)
                far_writer.close()
        finally:
            self._open.discard(writer)
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        first = next(self._turn)
        for step in range(len(self._targets)):
            port = self._targets[(first + step) % len(self._targets)]
            with contextlib.suppress(OSError):
                async with asyncio.timeout(_CONNECT_WITHIN):
                    return await asyncio.open_connection("127.0.0.1", port, limit=_CHUNK)
        return None

    async def _join(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        """Pass bytes both ways until both are ended, or one is lost: then the other is reset as well."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(reader, far_writer, outward=True))
                group.create_task(self._pass_on(far_reader, writer, outward=False))
        except* OSError:
            _reset(writer)
            _reset(far_writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, outward: bool) -> None:
        while chunk := await reader.read(_CHUNK):
            self.sent += len(chunk) if outward else 0
            if (slow := self._slow) is None:
                writer.write(chunk)
                await writer.drain()
            else:
                await self._trickle(chunk, writer, slow)
        if writer.can_write_eof():
            writer.write_eof()

    async def _trickle(self, chunk: bytes, writer: asyncio.StreamWriter, slow: Slow) -> None:
        """Late, and in small pieces; what is left when the line is mended goes at once."""
        await asyncio.sleep(slow.latency)
        size = max(1, slow.bytes_per_second // _PIECES)
        for begin in range(0, len(chunk), size):
            writer.write(chunk[begin : begin + size])
            await writer.drain()
            if self._slow is not None and begin + size < len(chunk):
                await asyncio.sleep(1 / _PIECES)


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        peer: socket.socket | None = writer.get_extra_info("socket")
        if peer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


class Network:
    """All lines, and the thread that serves them; use in a `with` block."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lines", daemon=True)
        self._lines: list[Line] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in self._lines:
            asyncio.run_coroutine_threadsafe(line.close(), self._loop).result(_WITHIN)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_WITHIN)
        self._loop.close()

    def line(self, *targets: int) -> Line:
        """Open a line to these ports."""
        (port,) = free_ports(1)
        line = Line(self._loop, port, targets)
        asyncio.run_coroutine_threadsafe(line.listen(), self._loop).result(_WITHIN)
        self._lines.append(line)
        return line


def cut(lines: Iterable[Line]) -> None:
    """Cut several lines."""
    for line in lines:
        line.cut()


def slow_down(lines: Iterable[Line], slow: Slow) -> None:
    """Slow several lines down."""
    for line in lines:
        line.slow_down(slow)


def mend(lines: Iterable[Line]) -> None:
    """Mend several lines."""
    for line in lines:
        line.mend()
