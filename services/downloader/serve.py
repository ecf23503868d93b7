"""What the downloader holds open, and its loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from pydantic import Field

from common.amqp.consumer import Consumption, consume
from common.amqp.publisher import open_publisher
from common.amqp.ready import check_credentials
from common.clock import SystemClock
from common.database.pool import DatabaseAway, open_pool
from common.database.ready import wait_for_schema
from common.messages import DownloadRecording
from common.process import CannotStart
from common.ringcentral.client import open_ringcentral
from common.ringcentral.ready import wait_for_account
from common.settings import (
    BrokerSettings,
    DatabaseSettings,
    ProcessSettings,
    RingCentralSettings,
    StorageSettings,
)
from common.storage.interface import Storage, StorageError
from common.storage.open import open_storage
from common.telemetry.health import Health
from services.downloader.allowed_now import make_due_what_is_allowed_now
from services.downloader.handle import Downloads, handle


class DownloaderSettings(ProcessSettings, DatabaseSettings, BrokerSettings, RingCentralSettings, StorageSettings):
    """What the downloader needs."""

    download_concurrency: int = Field(4, ge=1, le=64, description="audio streams at a time in this process")


async def serve(settings: DownloaderSettings, health: Health, stop: asyncio.Event) -> None:
    """Run until `stop`."""
    amqp_url, clock = settings.amqp_url.get_secret_value(), SystemClock()
    connections = settings.download_concurrency + 4  # each stream renews its claim; the budget and the start need some
    async with (
        _open_storage(settings) as storage,
        open_pool(settings.database_url.get_secret_value(), "downloader", size=connections) as pool,
        open_publisher(amqp_url, "downloader") as publisher,
        open_ringcentral(settings, pool, clock) as client,
    ):
        await check_credentials(amqp_url, "downloader")
        if not await wait_for_schema(pool, health, stop) or not await wait_for_account(client, health, stop):
            return
        await make_due_what_is_allowed_now(pool, clock, settings.rc_account_id, settings.rc_media_hosts)
        consumption = Consumption(
            kind=DownloadRecording,
            handle=partial(handle, Downloads(pool, client, storage, clock)),
            away=(DatabaseAway,),
            concurrency=settings.download_concurrency,
            grace=settings.grace_period,
        )
        await consume(amqp_url, "downloader", consumption, publisher, health, stop)


@asynccontextmanager
async def _open_storage(settings: StorageSettings) -> AsyncIterator[Storage]:
    """The storage, opened and tried before any job is taken; raises `CannotStart`."""
    access_key, secret_key = settings.aws_access_key_id, settings.aws_secret_access_key
    async with AsyncExitStack() as stack:
        try:
            storage = await stack.enter_async_context(
                open_storage(
                    settings.storage_url,
                    endpoint_url=settings.aws_endpoint_url_s3,
                    region=settings.aws_region,
                    access_key=access_key.get_secret_value() if access_key else None,
                    secret_key=secret_key.get_secret_value() if secret_key else None,
                )
            )
            await storage.check()
        except (ValueError, StorageError) as fault:
            raise CannotStart(str(fault)) from None
        yield storage
