"""A small company through the real product, then every function of our client once more, one after the other."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any, Final

from rich.console import Console

from common.clock import SystemClock
from common.database.pool import open_pool
from common.ringcentral import call_log, insights, subscription
from common.ringcentral.client import RingCentral, open_ringcentral
from common.ringcentral.errors import Missing, RingCentralError
from common.settings import DatabaseSettings, RingCentralSettings, read_settings
from demo.pipeline import SERVICES, TOKEN, Pipeline
from demo.watch import WatchSettings, watch

#: Enough calls for every kind of record (queues, transfers, second recordings), few enough for half a minute.
COMPANY: Final = {
    "recordings": 40,
    "extensions": 6,
    "span": 600,
    "history": 1200,
    "speed": 60,
    "seed": 7,
    "begin_with_subscription": True,
}
#: Seconds that a subscription made here lives, had it not been deleted.
_LIFETIME: Final = 600


class _ClientSettings(DatabaseSettings, RingCentralSettings):
    """What our client needs."""


def live_a_day(pipeline: Pipeline) -> list[str]:
    """Let the company make its calls; what the product has missed, in sentences."""
    pipeline.start_all(*SERVICES)
    settings = read_settings(WatchSettings, pipeline.environment)
    return asyncio.run(watch(settings, Console(file=StringIO()))).faults


def ask_everything(pipeline: Pipeline, truth: Mapping[str, Any]) -> list[str]:
    """Call each function of the client that asks RingCentral for something; what failed, in a sentence."""
    try:
        asyncio.run(_ask_everything(pipeline, truth))
    except RingCentralError as error:
        return [f"our client failed: {type(error).__name__}: {error}"]
    return []


async def _ask_everything(pipeline: Pipeline, truth: Mapping[str, Any]) -> None:
    settings = read_settings(_ClientSettings, pipeline.environment)
    async with (
        open_pool(settings.database_url.get_secret_value(), "conformance", size=2) as pool,
        open_ringcentral(settings, pool, SystemClock()) as client,
    ):
        credential = client.credentials[0]
        await client.check_account()
        await _read_call_log(client, credential)
        await _read_insights(client, truth)
        await _use_subscription(client, credential, pipeline.webhook_url)


async def _read_call_log(client: RingCentral, credential: str) -> None:
    now = datetime.now(UTC)
    since = now - timedelta(days=1)
    first = await call_log.changes(client, sync_token=None, since=since, credential=credential)
    await call_log.changes(client, sync_token=first.sync_token, since=since, credential=credential)
    window = call_log.Window(since, now)
    await call_log.window_page(client, window, 1, credential=credential)
    await call_log.of_session(client, str(first.calls[0].telephony_session_id), window)


async def _read_insights(client: RingCentral, truth: Mapping[str, Any]) -> None:
    for recording in truth["recordings"]:
        with suppress(Missing):  # some recordings never get any.
            await insights.get_insights(client, "pbx", recording["id"])


async def _use_subscription(client: RingCentral, credential: str, address: str) -> None:
    made = await subscription.create(
        client, credential=credential, address=address, token=TOKEN, domains=["pbx", "rcv"], lifetime=_LIFETIME
    )
    which = made.subscription_id
    await subscription.list_all(client, credential=credential)
    await subscription.get(client, which, credential=credential)
    await subscription.extend(client, which, credential=credential, domains=["pbx"], lifetime=_LIFETIME)
    await subscription.delete(client, which, credential=credential)
    with suppress(Missing):
        await subscription.get(client, which, credential=credential)
