"""The public port: one endpoint, nothing else. No access log: accepted events have a line each."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog
from aiohttp import HttpVersion11, web

from services.webhook.connections import Connections
from services.webhook.endpoint import PATH
from services.webhook.listen import listening
from services.webhook.receive import Receiver

#: Seconds for which an idle connection is kept, a new one without a first byte too: longer than the 60 s after which
#: usual load balancers close theirs, so that they never send into a connection that we are closing.
_KEEP_ALIVE: Final = 75.0
#: Seconds at the end for connections that were taken already to bring their request: some round trips to RingCentral,
#: few beside the grace period, which connections that are kept without a request use up.
_LAST_REQUESTS: Final = 2.0
#: Seconds between two looks whether there are any.
_LOOK_EVERY: Final = 0.02
#: Seconds that requests in hand may take at the end; the slowest answer takes 3.
_FINISH_WITHIN: Final = 5.0
#: Seconds in which the rest of a refused body is read and dropped, so that its sender gets to see the answer.
_LINGER: Final = 5.0
#: What a head may have: RingCentral sends about ten short headers, proxies add as many; none of them is known to reach
#: a kilobyte. So the heads of 2,000 connections stay below 256 MiB, were all of them at their limit at one moment.
_HEADERS: Final = 64
_HEADER_BYTES: Final = 2048
_TARGET_BYTES: Final = 2048
#: Bytes of a body that aiohttp reads ahead of us; it stops at twice that. An ordinary event comes at once.
_READ_AHEAD: Final = 64 * 1024


@asynccontextmanager
async def serve_endpoint(host: str, port: int, receiver: Receiver, connections: Connections) -> AsyncIterator[int]:
    """Serve while the block lasts, then take no new connection and finish what is in hand; yields the port, which
    matters when 0 was asked for.
    """
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver.handle, expect_handler=_go_on)
    application.on_response_prepare.append(_trim)
    runner = web.AppRunner(
        application,
        access_log=None,
        logger=_quiet(),
        keepalive_timeout=_KEEP_ALIVE,
        shutdown_timeout=_FINISH_WITHIN,
        lingering_time=_LINGER,
        auto_decompress=False,
        max_headers=_HEADERS,
        max_field_size=_HEADER_BYTES,
        max_line_size=_TARGET_BYTES,
        read_bufsize=_READ_AHEAD,
    )
    await runner.setup()
    assert runner.server is not None
    try:
        async with listening(host, port, connections, runner.server) as bound:
            structlog.get_logger().info("endpoint_opened", host=host, port=bound, path=PATH)
            yield bound
        await _last_requests(runner)
    finally:
        await runner.cleanup()


async def _last_requests(runner: web.AppRunner) -> None:
    """Let connections bring the request that is on its way: closed before, they would lose RingCentral's event."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_REQUESTS):
            while runner.server is not None and runner.server.connections:  # noqa: ASYNC110 - once in a process
                await asyncio.sleep(_LOOK_EVERY)


async def _trim(_request: web.Request, response: web.StreamResponse) -> None:
    """The handshake's answer must be small (facts 2.1), and nobody needs to know which server this is."""
    response.headers.popall("Server", None)


async def _go_on(request: web.Request) -> None:
    """Ask for the body that a sender holds back. Any other `Expect` is ignored: aiohttp's own answer to one that is no
    UTF-8 is a 500.
    """
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _quiet() -> logging.Logger:
    """The server's own log, all but shut: it has a trace per malformed request, enough to fill a disk."""
    logger = logging.getLogger("services.webhook.server")
    logger.setLevel(logging.CRITICAL)
    return logger
