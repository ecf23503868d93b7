"""The admin port: `/livez`, `/readyz` and `/metrics`, never on the public port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from common.telemetry.health import Health
from common.telemetry.metrics import REGISTRY


@asynccontextmanager
async def serve_admin(host: str, port: int, health: Health) -> AsyncIterator[int]:
    """Serve the admin port while the block lasts; yields the port, which matters when 0 was asked for."""
    application = web.Application()
    application.add_routes(
        [
            web.get("/livez", lambda _: _answer([] if health.live() else ["work in hand is stalled"])),
            web.get("/readyz", lambda _: _answer(health.unready())),
            web.get("/metrics", _metrics),
        ]
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound: int = runner.addresses[0][1]
        structlog.get_logger().info("admin_port_opened", host=host, port=bound)
        yield bound
    finally:
        await runner.cleanup()


async def _answer(faults: list[str]) -> web.Response:
    return web.json_response({"ok": not faults, "faults": faults}, status=503 if faults else 200)


async def _metrics(_request: web.Request) -> web.Response:
    return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})
