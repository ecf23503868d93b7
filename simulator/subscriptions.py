"""Subscriptions: what is remembered about each, how long it lives and how it is shown (facts 2.5 and 3)."""

import uuid
from dataclasses import dataclass, field
from typing import Any

from simulator.clock import Clock, written
from simulator.errors import Refusal, not_found
from simulator.event_filters import Disabled, concrete
from simulator.oauth import User

#: subscriptions of one user and app.
SUBSCRIPTION_LIMIT = 30
#: lifetime in seconds when none is asked for.
DEFAULT_TTL = 604_800
#: longest lifetime of a WebHook subscription; what is above it is cut (the true reaction is not known).
LONGEST_TTL = 315_360_000


@dataclass
class Subscription:
    """``verification_token`` is never shown. ``failing_since`` is the first failed delivery after the last good one.

    A ``silent`` one says that it is Active, and nothing is sent to it.
    """

    user: User
    app: str
    filters: list[str]
    disabled: list[Disabled]
    address: str
    verification_token: str | None
    ttl: int
    created_at: float
    expires_at: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "Active"
    failing_since: float | None = None
    blacklisted_at: float | None = None
    reason: str = ""
    silent: bool = False

    def fail(self, now: float, reason: str, limit: float) -> None:
        """Counts a failed delivery; failing for ``limit`` seconds on end makes it Blacklisted."""
        if self.failing_since is None:
            self.failing_since = now
        if now - self.failing_since >= limit:
            self.blacklist(now, reason)

    def succeed(self) -> None:
        self.failing_since = None

    def blacklist(self, now: float, reason: str) -> None:
        self.status, self.blacklisted_at, self.reason = "Blacklisted", now, reason

    def reactivate(self) -> None:
        self.status, self.blacklisted_at, self.failing_since = "Active", None, None


class Subscriptions:
    """All subscriptions of the account; an expired one is known as such and shown to nobody."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._all: dict[str, Subscription] = {}

    def add(self, subscription: Subscription) -> None:
        self._all[subscription.id] = subscription

    def living(self) -> list[Subscription]:
        return [one for one in self._all.values() if one.expires_at > self._clock.now()]

    def of(self, user: User, app: str) -> list[Subscription]:
        return [one for one in self.living() if (one.user, one.app) == (user, app)]

    def get(self, id_: str, user: User, app: str) -> Subscription:
        """Raises Refusal 404: SUB-507 when expired, CMN-102 when unknown or somebody else's."""
        found = self._all.get(id_)
        if found is None or (found.user, found.app) != (user, app):
            raise not_found("subscriptionId")
        if found.expires_at <= self._clock.now():
            raise Refusal(404, "SUB-507", "Subscription is expired")
        return found

    def remove(self, id_: str) -> None:
        del self._all[id_]

    def check_limit(self, user: User, app: str) -> None:
        if len(self.of(user, app)) >= SUBSCRIPTION_LIMIT:
            raise Refusal(403, "SUB-505", f"Subscriptions limit exceeded: {SUBSCRIPTION_LIMIT}")

    def prolong(self, subscription: Subscription, ttl: int) -> None:
        subscription.ttl = min(ttl, LONGEST_TTL)
        subscription.expires_at = self._clock.now() + subscription.ttl

    def rendered(self, subscription: Subscription, url: str) -> dict[str, Any]:
        clock = self._clock
        shown: dict[str, Any] = {
            "uri": f"{url}/restapi/v1.0/subscription/{subscription.id}",
            "id": subscription.id,
            "creationTime": written(clock.as_wall(subscription.created_at)),
            "status": subscription.status,
            "eventFilters": [concrete(text, subscription.user) for text in subscription.filters],
            "expirationTime": written(clock.as_wall(subscription.expires_at)),
            "expiresIn": clock.announced(subscription.expires_at - clock.now()),
            "deliveryMode": {"transportType": "WebHook", "encryption": False, "address": subscription.address},
        }
        if subscription.disabled:
            shown["disabledFilters"] = [disabled.rendered() for disabled in subscription.disabled]
        if subscription.blacklisted_at is not None:
            shown["blacklistedData"] = {
                "blacklistedAt": written(clock.as_wall(subscription.blacklisted_at)),
                "reason": subscription.reason,
            }
        return shown
