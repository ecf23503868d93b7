"""What the poller holds open, and the leader's loops."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from pydantic import Field

from common.amqp.publisher import NotConfirmed, Publisher, open_publisher
from common.amqp.ready import check_credentials
from common.clock import PausingClock
from common.database.leases import Lease
from common.database.loss_clock import retentions_of
from common.database.pool import Pool, open_pool
from common.database.ready import wait_for_schema
from common.messages import InsightsReceived
from common.ringcentral.budget import DEFAULT_RATE, Group
from common.ringcentral.client import RingCentral, open_ringcentral
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
from common.telemetry.health import Health, Work
from services.poller.announce import announce
from services.poller.guard import guard
from services.poller.guard_duty import Duty, Wanted
from services.poller.guard_outages import look_for_silence, silence_guard
from services.poller.insights_fetch import Fetching, fetch_insights
from services.poller.leadership import Leadership, lead
from services.poller.ledger import TELL_EVERY, choose_time_zone, silence_ledger, tell_ledger
from services.poller.loss_clock import LossClock, silence
from services.poller.polling import Polling
from services.poller.reconcile import LOOK_EVERY, Schedule, pause_between_windows, reconcile
from services.poller.rounds import Rounds

#: Seconds between two looks for due rows: an index look-up, so that a job leaves within a second.
ANNOUNCE_EVERY: Final = 1.0
#: Seconds between two passes of the guardian: one light request of fifty a minute.
GUARD_EVERY: Final = 60.0


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
    clock: PausingClock
    rounds: Rounds


async def serve(settings: PollerSettings, health: Health, stop: asyncio.Event, clock: PausingClock) -> None:
    """Run until `stop`."""
    async with (
        open_pool(settings.database_url.get_secret_value(), "poller") as pool,
        open_publisher(settings.amqp_url.get_secret_value(), "poller") as publisher,
        open_ringcentral(settings, pool, clock) as client,
    ):
        await check_credentials(settings.amqp_url.get_secret_value(), "poller")
        if not await wait_for_schema(pool, health, stop) or not await wait_for_account(client, health, stop):
            return
        await choose_time_zone(pool, settings.rc_account_id, settings.ledger_time_zone, stop)
        clockwork = Clockwork(settings, pool, publisher, client, clock, Rounds(clock, health, stop))

        async def work(leadership: Leadership) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(_polls(clockwork, leadership))
                group.create_task(_announcements(clockwork, leadership))
                group.create_task(_guard(clockwork, leadership))
                group.create_task(_ledger(clockwork))
                group.create_task(_reconciliation(clockwork))
                group.create_task(_insights(clockwork, leadership))

        await lead(pool, Lease(f"poller of {settings.rc_account_id}"), stop, work)


async def _polls(clockwork: Clockwork, leadership: Leadership) -> None:
    longest = clockwork.settings.poll_interval
    polling = Polling(clockwork.client, clockwork.pool, clockwork.clock, leadership, longest=longest)

    async def once(work: Work) -> float:
        return await polling.once(work.progress)

    await clockwork.rounds.repeat("poll", once)


async def _announcements(clockwork: Clockwork, leadership: Leadership) -> None:
    retentions = retentions_of(clockwork.settings)
    loss_clock = LossClock(clockwork.client, clockwork.pool, clockwork.clock, retentions)

    async def once(_work: Work) -> float:
        spans = await loss_clock.spans()
        await announce(clockwork.client, clockwork.pool, clockwork.publisher, clockwork.clock, leadership, spans)
        return ANNOUNCE_EVERY

    try:
        await clockwork.rounds.repeat("announce", once)
    finally:
        silence()


async def _guard(clockwork: Clockwork, leadership: Leadership) -> None:
    settings = clockwork.settings
    if settings.rc_webhook_address is None:
        structlog.get_logger().warning("no_subscription_wanted", missing="RC_WEBHOOK_ADDRESS")
        return
    token = settings.rc_webhook_token[0].get_secret_value() if settings.rc_webhook_token else None
    wanted = Wanted(settings.rc_webhook_address.get_secret_value(), token, settings.rc_domains)
    duty = Duty(clockwork.client, clockwork.pool, clockwork.clock, leadership, wanted)

    async def once(_work: Work) -> float:
        with suppress(NotConfirmed):
            if not await clockwork.publisher.waiting(InsightsReceived.QUEUE):
                await look_for_silence(duty)
        await guard(duty)
        return GUARD_EVERY

    try:
        await clockwork.rounds.repeat("guard", once)
    finally:
        silence_guard()


async def _ledger(clockwork: Clockwork) -> None:
    async def once(_work: Work) -> float:
        await tell_ledger(clockwork.pool, clockwork.client.account_id, clockwork.clock)
        return TELL_EVERY

    try:
        await clockwork.rounds.repeat("ledger", once)
    finally:
        silence_ledger()


async def _reconciliation(clockwork: Clockwork) -> None:
    settings = clockwork.settings
    retention = max(one.lifetime for one in retentions_of(settings))
    schedule = Schedule(timedelta(seconds=settings.reconcile_interval), retention)

    async def once(work: Work) -> float:
        if not await reconcile(clockwork.client, clockwork.pool, clockwork.clock, schedule, work.progress):
            return LOOK_EVERY
        return pause_between_windows(await clockwork.client.budget.rate(Group.HEAVY) or DEFAULT_RATE)

    await clockwork.rounds.repeat("reconcile", once)


async def _insights(clockwork: Clockwork, leadership: Leadership) -> None:
    fetching = Fetching(clockwork.client, clockwork.pool, clockwork.clock, leadership)

    async def once(work: Work) -> float:
        return await fetch_insights(fetching, work.progress)

    await clockwork.rounds.repeat("insights", once)
