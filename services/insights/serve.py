"""What the insights process holds open, and its loop."""

import asyncio
from functools import partial
from typing import Final

from common.amqp.consumer import Consumption, consume
from common.amqp.publisher import open_publisher
from common.amqp.ready import check_credentials
from common.clock import Clock
from common.database.pool import DatabaseAway, open_pool
from common.database.ready import wait_for_schema
from common.messages import InsightsReceived
from common.settings import BrokerSettings, DatabaseSettings, ProcessSettings
from common.telemetry.health import Health
from services.insights.handle import handle

#: Events that one transaction takes: large enough that its cost per event no longer falls, small enough that their
#: transcripts (some hundred KB each at worst) and their row locks stay bounded.
BATCH: Final = 50
#: Transactions at a time: one waits for Postgres while the other reads JSON.
CONCURRENCY: Final = 2


class InsightsSettings(ProcessSettings, DatabaseSettings, BrokerSettings):
    """What the insights process needs."""


async def serve(settings: InsightsSettings, health: Health, stop: asyncio.Event, clock: Clock) -> None:
    """Run until `stop`."""
    amqp_url = settings.amqp_url.get_secret_value()
    async with (
        open_pool(settings.database_url.get_secret_value(), "insights") as pool,
        open_publisher(amqp_url, "insights") as publisher,
    ):
        await check_credentials(amqp_url, "insights")
        if not await wait_for_schema(pool, health, stop):
            return
        consumption = Consumption(
            kind=InsightsReceived,
            handle=partial(handle, pool, clock),
            away=(DatabaseAway,),
            concurrency=CONCURRENCY,
            batch=BATCH,
            grace=settings.grace_period,
        )
        await consume(amqp_url, "insights", consumption, publisher, health, stop)
