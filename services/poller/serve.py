"""What the poller holds open, and the leader's loops."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from pydantic import Field

from common.amqp.publisher import NotConfirmed, Publisher, open_publisher
from common.amqp.ready import check_credentials
from common.clock import Clock, SystemClock
from common.database.leases import Lease
from common.database.loss_clock import retentions_of
from common.database.pool import DatabaseAway, Pool, open_pool
from common.database.ready import wait_for_schema
from common.messages import InsightsReceived
from common.pause import pause
from common.ringcentral.budget import DEFAULT_RATE, Group
from common.ringcentral.client import RingCentral, open_ringcentral
from common.ringcentral.errors import RingCentralError, pause_asked_by
from common.ringcentral.ready import wait_for_account
from common.settings import (
    BrokerSettings,
    DatabaseSettings,
    ProcessSettings,
    RetentionSettings,
    RingCentralSettings,
    Seconds,
    SecretHttpUrl,
    WebhookTokenSettings,
    Words,
)
from common.telemetry.health import Health
from services.poller.announce import announce
from services.poller.guard import guard
from services.poller.guard_duty import Duty, Wanted
from services.poller.guard_outages import look_for_silence
from services.poller.insights_fetch import Fetching, fetch_insights
from services.poller.leadership import Leadership, LeadershipLost, lead
from services.poller.ledger import TELL_EVERY, choose_time_zone, silence_ledger, tell_ledger
from services.poller.loss_clock import LossClock, silence
from services.poller.polling import Polling
from services.poller.reconcile import LOOK_EVERY, Schedule, pause_between_windows, reconcile

#: Seconds between two looks for due rows: an index look-up, so that a job leaves within a second.
ANNOUNCE_EVERY: Final = 1.0
#: Seconds between two passes of the guardian: one light request of fifty a minute.
GUARD_EVERY: Final = 60.0
#: Seconds before something that failed is tried again.
RETRY_AFTER: Final = 5.0


class PollerSettings(
    ProcessSettings, DatabaseSettings, BrokerSettings, RingCentralSettings, WebhookTokenSettings, RetentionSettings
):
    """What the poller needs."""

    poll_interval: Seconds = Field(300.0, description="longest pause between call-log polls in seconds")
    reconcile_interval: Seconds = Field(
        86400.0, description="seconds between two readings of the last days of the call log"
    )
    rc_webhook_address: SecretHttpUrl | None = Field(
        None, description="public URL of the receiver's endpoint, secret because its path may hold WEBHOOK_PATH_SECRET"
    )
    ledger_time_zone: str = Field("UTC", description="the time zone of the ledger's days, as Europe/Berlin")
    rc_domains: Words = Field(("pbx",), min_length=1, description="domains whose insights are subscribed to")


@dataclass(frozen=True, slots=True)
class Clockwork:
    """What the leader works with."""

    settings: PollerSettings
    pool: Pool
    publisher: Publisher
    client: RingCentral
    clock: Clock


async def serve(settings: PollerSettings, health: Health, stop: asyncio.Event) -> None:
    """Run until `stop`."""
    clock = SystemClock()
    async with (
        open_pool(settings.database_url.get_secret_value(), "poller") as pool,
        open_publisher(settings.amqp_url.get_secret_value(), "poller") as publisher,
        open_ringcentral(settings, pool, clock) as client,
    ):
        await check_credentials(settings.amqp_url.get_secret_value(), "poller")
        if not await wait_for_schema(pool, health, stop) or not await wait_for_account(client, health, stop):
            return
        await choose_time_zone(pool, settings.rc_account_id, settings.ledger_time_zone, stop)
        clockwork = Clockwork(settings, pool, publisher, client, clock)

        async def work(leadership: Leadership) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(_polls(clockwork, leadership, stop))
                group.create_task(_announcements(clockwork, leadership, stop))
                group.create_task(_guard(clockwork, leadership, stop))
                group.create_task(_ledger(clockwork, stop))
                group.create_task(_reconciliation(clockwork, stop))
                group.create_task(_insights(clockwork, leadership, stop))

        await lead(pool, Lease(f"poller of {settings.rc_account_id}"), stop, work)


async def _polls(clockwork: Clockwork, leadership: Leadership, stop: asyncio.Event) -> None:
    longest = clockwork.settings.poll_interval
    polling = Polling(clockwork.client, clockwork.pool, clockwork.clock, leadership, longest=longest)
    await _repeat("poll", polling.once, stop)


async def _announcements(clockwork: Clockwork, leadership: Leadership, stop: asyncio.Event) -> None:
    retentions = retentions_of(clockwork.settings)
    loss_clock = LossClock(clockwork.client, clockwork.pool, clockwork.clock, retentions)

    async def once() -> float:
        spans = await loss_clock.spans()
        await announce(clockwork.client, clockwork.pool, clockwork.publisher, clockwork.clock, leadership, spans)
        return ANNOUNCE_EVERY

    try:
        await _repeat("announce", once, stop)
    finally:
        silence()


async def _guard(clockwork: Clockwork, leadership: Leadership, stop: asyncio.Event) -> None:
    settings = clockwork.settings
    if settings.rc_webhook_address is None:
        structlog.get_logger().warning("no_subscription_wanted", missing="RC_WEBHOOK_ADDRESS")
        return
    token = settings.rc_webhook_token[0].get_secret_value() if settings.rc_webhook_token else None
    wanted = Wanted(settings.rc_webhook_address.get_secret_value(), token, settings.rc_domains)
    duty = Duty(clockwork.client, clockwork.pool, clockwork.clock, leadership, wanted)

    async def once() -> float:
        with suppress(NotConfirmed):
            if not await clockwork.publisher.waiting(InsightsReceived.QUEUE):
                await look_for_silence(duty)
        await guard(duty)
        return GUARD_EVERY

    await _repeat("guard", once, stop)


async def _ledger(clockwork: Clockwork, stop: asyncio.Event) -> None:
    async def once() -> float:
        await tell_ledger(clockwork.pool, clockwork.client.account_id, clockwork.clock)
        return TELL_EVERY

    try:
        await _repeat("ledger", once, stop)
    finally:
        silence_ledger()


async def _reconciliation(clockwork: Clockwork, stop: asyncio.Event) -> None:
    settings = clockwork.settings
    retention = max(one.lifetime for one in retentions_of(settings))
    schedule = Schedule(timedelta(seconds=settings.reconcile_interval), retention)

    async def once() -> float:
        if not await reconcile(clockwork.client, clockwork.pool, clockwork.clock, schedule):
            return LOOK_EVERY
        return pause_between_windows(await clockwork.client.budget.rate(Group.HEAVY) or DEFAULT_RATE)

    await _repeat("reconcile", once, stop)


async def _insights(clockwork: Clockwork, leadership: Leadership, stop: asyncio.Event) -> None:
    work = Fetching(clockwork.client, clockwork.pool, clockwork.clock, leadership)

    async def once() -> float:
        return await fetch_insights(work)

    await _repeat("insights", once, stop)


async def _repeat(name: str, once: Callable[[], Awaitable[float]], stop: asyncio.Event) -> None:
    """Do something again and again; each time it says how many seconds to pause. What is away is tried again soon."""
    while not stop.is_set():
        try:
            seconds = await once()
        except (RingCentralError, DatabaseAway) as error:
            structlog.get_logger().warning("clockwork_waited", what=name, reason=str(error))
            seconds = max(RETRY_AFTER, pause_asked_by(error))
        except LeadershipLost:
            raise
        except Exception:  # noqa: BLE001 - one loop that meets a defect of ours must not end the others, again and again
            structlog.get_logger().exception("clockwork_failed", what=name)
            seconds = RETRY_AFTER
        await pause(seconds, stop)
