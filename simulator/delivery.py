"""Delivery of events to the subscriptions: bounded, unordered, at most once unless retries are switched on."""

import asyncio
import json
import uuid
from collections import Counter
from functools import partial
from typing import Any

from simulator.clock import Clock, Schedule, written
from simulator.company import Company, InsightEvent
from simulator.errors import Refusal
from simulator.event_filters import REMINDER, concrete, insights_event_name
from simulator.insights import accepted, event_body
from simulator.options import SimulatorOptions
from simulator.subscriptions import Subscription, Subscriptions
from simulator.webhook_client import WebhookClient

#: business seconds before the first of the optional retries; each further one waits twice as long.
FIRST_RETRY_SECONDS = 30.0
#: business seconds between two looks at blacklisted addresses, when that is switched on (facts 2.4).
RECONCILE_SECONDS = 900.0


class Delivery:
    """``foreign`` counts how events of another account were answered, by ``accepted`` and ``refused``."""

    def __init__(
        self,
        options: SimulatorOptions,
        clock: Clock,
        schedule: Schedule,
        company: Company,
        subscriptions: Subscriptions,
        client: WebhookClient,
    ) -> None:
        self._options = options
        self._clock = clock
        self._schedule = schedule
        self._company = company
        self.foreign: Counter[str] = Counter()
        self._subscriptions = subscriptions
        self._client = client
        self._slots = asyncio.Semaphore(options.delivery_concurrency)

    async def announce(self, event: InsightEvent) -> None:
        """Sends an insights event to every active subscription that asked for it."""
        name = insights_event_name(self._company.account_id, event.recording.domain)
        body = event_body(self._company, event)
        await asyncio.gather(
            *(
                self.send(one, uuid=event.uuid, name=name, body=body, event=event)
                for one in self._subscriptions.living()
                if one.status == "Active" and not one.silent and self._wants(one, name)
            )
        )

    async def announce_foreign(self, neighbour: Company, event: InsightEvent) -> None:
        """Sends an event of another account to every address here, as somebody else's subscription would.

        What it is answered does no harm to the subscriptions of this account.
        """
        envelope = {
            "uuid": event.uuid,
            "event": insights_event_name(neighbour.account_id, event.recording.domain),
            "timestamp": written(self._clock.now()),
            "subscriptionId": str(uuid.uuid4()),
            "ownerId": str(event.call.extension.id),
            "body": event_body(neighbour, event),
        }
        raw = json.dumps(envelope).encode()
        for one in self._subscriptions.living():
            async with self._slots:
                reason = await self._client.deliver(one.address, one.verification_token, raw)
            self.foreign["accepted" if reason is None else "refused"] += 1

    async def send(
        self,
        subscription: Subscription,
        *,
        uuid: str,
        name: str,
        body: dict[str, Any],
        event: InsightEvent | None = None,
        retries_done: int = 0,
    ) -> None:
        envelope = {
            "uuid": uuid,
            "event": name,
            "timestamp": written(self._clock.now()),
            "subscriptionId": subscription.id,
            "ownerId": subscription.user.extension_id,
            "body": body,
        }
        raw = json.dumps(envelope).encode()
        async with self._slots:
            if event:
                event.tries += 1
            reason = await self._client.deliver(subscription.address, subscription.verification_token, raw)
        if reason is None:
            subscription.succeed()
            if event:
                event.delivered = True
                event.accepted.append(accepted(raw, body))
            return
        subscription.fail(self._clock.now(), reason, self._options.blacklist_after)
        if retries_done < self._options.delivery_retries and subscription.status == "Active":
            again = partial(
                self.send, subscription, uuid=uuid, name=name, body=body, event=event, retries_done=retries_done + 1
            )
            self._schedule.at(self._clock.now() + FIRST_RETRY_SECONDS * 2**retries_done, again)

    def plan_reminders(self, subscription: Subscription) -> None:
        """Asks for the reminder events that the subscription's filters order; to be called after each prolongation."""
        for text in subscription.filters:
            if found := REMINDER.fullmatch(text):
                first = subscription.expires_at - int(found["threshold"])
                interval = max(1, int(found["interval"]))
                self._schedule.at(first, partial(self._remind, subscription, text, interval, subscription.expires_at))

    async def reconcile(self) -> None:
        """Tries blacklisted addresses again and reactivates what passes the handshake; plans its next run."""
        self._schedule.at(self._clock.now() + RECONCILE_SECONDS, self.reconcile)
        for subscription in self._subscriptions.living():
            if subscription.status == "Blacklisted":
                try:
                    await self._client.handshake(subscription.address)
                except Refusal:
                    continue
                subscription.reactivate()

    async def _remind(self, subscription: Subscription, text: str, interval: int, expires_at: float) -> None:
        alive = subscription in self._subscriptions.living() and subscription.expires_at == expires_at
        if not alive or subscription.status != "Active":
            return
        left = self._clock.announced(expires_at - self._clock.now())
        uuid = str(round(self._clock.now() * 1000))
        self._schedule.at(self._clock.now() + interval, partial(self._remind, subscription, text, interval, expires_at))
        await self.send(subscription, uuid=uuid, name=text, body={"expiresIn": left})

    def _wants(self, subscription: Subscription, name: str) -> bool:
        return any(concrete(text, subscription.user) == name for text in subscription.filters)
