"""What the downloader holds open, and its loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Annotated

from pydantic import Field

from common.amqp.consumer import Consumption, consume
from common.amqp.publisher import open_publisher
from common.amqp.ready import check_credentials
from common.clock import PausingClock
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
    RetentionSettings,
    RingCentralSettings,
    StorageSettings,
)
from common.storage.from_settings import storage_from
from common.storage.interface import Storage, StorageError
from common.tasks import end
from common.telemetry.health import Health
from services.downloader.allowed_now import make_due_what_is_allowed_now
from services.downloader.attempt import Downloads
from services.downloader.handle import handle
from services.downloader.housekeeping import keep_house
from services.downloader.memory import keep_parts_apart
from services.downloader.storage_gate import StorageGate


class DownloaderSettings(
    ProcessSettings, DatabaseSettings, BrokerSettings, RingCentralSettings, StorageSettings, RetentionSettings
):
    """What the downloader needs."""

    download_concurrency: int = Field(4, ge=1, le=64, description="audio streams at a time in this process")
    journal_keep: Annotated[int, Field(ge=1)] | None = Field(
        None, description="days that Postgres keeps events which storage holds as well; without it, for ever"
    )
    verify_after_store: bool = Field(
        default=False, description="whether each object is read back and compared before its recording counts as stored"
    )


async def serve(settings: DownloaderSettings, health: Health, stop: asyncio.Event, clock: PausingClock) -> None:
    """Run until `stop`."""
    keep_parts_apart()
    amqp_url = settings.amqp_url.get_secret_value()
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
        downloads = Downloads(pool, client, storage, clock, StorageGate(storage), settings.verify_after_store, settings)
        consumption = Consumption(
            kind=DownloadRecording,
            handle=partial(handle, downloads),
            away=(DatabaseAway,),
            concurrency=settings.download_concurrency,
            grace=settings.grace_period,
        )
        keep = timedelta(days=settings.journal_keep) if settings.journal_keep else None
        house = asyncio.create_task(keep_house(pool, storage, clock, settings.rc_account_id, keep, stop))
        try:
            await consume(amqp_url, "downloader", consumption, publisher, health, stop)
        finally:
            await end(house)


@asynccontextmanager
async def _open_storage(settings: StorageSettings) -> AsyncIterator[Storage]:
    """The storage, opened and tried before any job is taken; raises `CannotStart`."""
    async with AsyncExitStack() as stack:
        try:
            storage = await stack.enter_async_context(storage_from(settings))
        except (ValueError, StorageError) as fault:
            raise CannotStart(str(fault)) from None
        yield storage
