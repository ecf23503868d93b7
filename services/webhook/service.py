"""The receiver's parts, put together, and in which order they end."""

import asyncio
import contextlib

import structlog

from common.amqp.publisher import open_publisher
from common.clock import Clock
from common.process import CannotStart
from common.telemetry.health import Health
from services.webhook.connections import Connections, affordable
from services.webhook.drain import drain, drained, look_after
from services.webhook.endpoint import path_with
from services.webhook.keep import Circuit, Keeper
from services.webhook.receive import Admission, Receiver
from services.webhook.server import serve_endpoint
from services.webhook.settings import WebhookSettings
from services.webhook.spool import Spool, SpoolUnusable, open_spool


async def serve(settings: WebhookSettings, health: Health, stop: asyncio.Event, clock: Clock) -> None:
    """Receive until `stop` is set; then finish what is in hand, drain the spool, and return within the grace period."""
    if not (settings.rc_webhook_token or settings.webhook_path_secret):
        structlog.get_logger().warning(
            "token_not_set", hint="set RC_WEBHOOK_TOKEN: without it everybody who knows the account id can send events"
        )
    try:
        async with open_spool(settings.spool_dir, settings.spool_limit_bytes, clock) as spool:
            await _serve(settings, health, stop, clock, spool)
    except SpoolUnusable as error:
        raise CannotStart(
            f"SPOOL_DIR {settings.spool_dir} cannot be written: {error}; give a folder on a lasting disk."
        ) from None


async def _serve(settings: WebhookSettings, health: Health, stop: asyncio.Event, clock: Clock, spool: Spool) -> None:
    circuit = Circuit()
    connections = Connections(affordable())
    async with open_publisher(settings.amqp_url.get_secret_value(), "webhook") as publisher:
        keeper = Keeper(publisher, spool, circuit)
        health.conditions["the broker or the spool accepts events"] = keeper.accepts
        receiver = Receiver(settings.rc_account_id, _admission(settings), keeper, clock, connections)
        tasks = [
            asyncio.create_task(drain(spool, publisher, circuit)),
            asyncio.create_task(look_after(spool, circuit)),
        ]
        try:
            async with serve_endpoint(settings.http_host, settings.http_port, receiver, connections):
                await _until_stopped(stop, tasks)
                over_at = asyncio.get_running_loop().time() + settings.grace_period
            with contextlib.suppress(TimeoutError):  # what is left stays on disk: the spool says how much.
                async with asyncio.timeout_at(over_at):
                    await drained(spool)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


def _admission(settings: WebhookSettings) -> Admission:
    return Admission(
        path=path_with(settings.webhook_path_secret),
        tokens=[token.get_secret_value() for token in settings.rc_webhook_token],
        networks=settings.webhook_allowed_networks,
        proxies=settings.webhook_trusted_proxies,
    )


async def _until_stopped(stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Wait for the stop; raises what ends one of the tasks, which only a bug does."""
    stopping = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        stopping.cancel()
