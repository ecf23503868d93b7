"""A reverse proxy that writes down what passes: it stands before the simulator, in a thread of its own."""

import asyncio
import threading
from types import TracebackType
from typing import Final, Self

import aiohttp
from aiohttp import web
from yarl import URL

from conformance.exchange import Exchange

#: Headers that belong to one connection, or that the next writer sets anew.
_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"})
#: The simulator's own orders are no part of RingCentral.
_CONTROL: Final = "/simulator/"
#: Seconds to start or stop the thread: it opens one port.
_WITHIN: Final = 10.0
#: Bytes of a request's body that are taken: ours have some hundred.
_LARGEST: Final = 1024 * 1024


class RecordingProxy:
    """Use in a `with` block; `exchanges` grows while it is open, in the order in which the answers ended."""

    def __init__(self, port: int, target: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.exchanges: list[Exchange] = []
        self._port, self._target = port, target
        self._loop = asyncio.new_event_loop()
        self._opened = threading.Event()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._opened.wait(_WITHIN):
            raise OSError(f"the recording proxy could not listen on port {self._port}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(_WITHIN)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        app = web.Application(client_max_size=_LARGEST)
        limits = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=limits, auto_decompress=False) as client:

            async def handle(request: web.Request) -> web.StreamResponse:
                return await self._pass_on(client, request)

            app.router.add_route("*", "/{path:.*}", handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", self._port).start()
                self._opened.set()
                await self._closing.wait()
            finally:
                await runner.cleanup()

    async def _pass_on(self, client: aiohttp.ClientSession, request: web.Request) -> web.StreamResponse:
        """Send the request on as it came and the answer back as it comes; then write both down."""
        sent = await request.read()
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP]
        url = URL(f"{self._target}{request.raw_path}", encoded=True)
        async with client.request(
            request.method, url, headers=headers, data=sent or None, allow_redirects=False
        ) as answer:
            response = web.StreamResponse(status=answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in _HOP:
                    response.headers.add(name, value)
            response.content_length = answer.content_length
            await response.prepare(request)
            audio = answer.content_type.startswith("audio/")
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += b"" if audio else chunk
                await response.write(chunk)
            await response.write_eof()
        if not request.path.startswith(_CONTROL):
            path, _, query = request.raw_path.partition("?")
            received = Exchange(
                request.method, path, query, request.headers, sent, answer.status, answer.headers, bytes(body)
            )
            self.exchanges.append(received)
        return response
