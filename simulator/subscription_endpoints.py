"""``/restapi/v1.0/subscription``: create, list, get, update, renew, delete (facts 3)."""

import json
from typing import Any
from urllib.parse import urlsplit

from simulator.answers import Answer, json_answer
from simulator.errors import bad_parameter
from simulator.event_filters import check_filters, split_by_permission
from simulator.subscriptions import DEFAULT_TTL, LONGEST_TTL, Subscription
from simulator.world import Incoming, World


async def list_subscriptions(world: World, incoming: Incoming) -> Answer:
    """Only those of this user and app."""
    records = [
        world.subscriptions.rendered(one, world.url)
        for one in world.subscriptions.of(incoming.session.user, incoming.session.app)
    ]
    return json_answer({"uri": f"{world.url}/restapi/v1.0/subscription", "records": records})


async def create_subscription(world: World, incoming: Incoming) -> Answer:
    """200, after the handshake was passed; filters that the user may not have are listed as disabled."""
    user, app = incoming.session.user, incoming.session.app
    body = await _body(incoming)
    filters = _filters(body)
    address, token = _delivery_mode(body)
    ttl = _ttl(body)
    check_filters(filters, world.company.account_id, user)
    world.subscriptions.check_limit(user, app)
    await world.webhooks.handshake(address)
    enabled, disabled = split_by_permission(filters, user, world.tokens.scopes)
    now = world.clock.now()
    subscription = Subscription(
        user=user,
        app=app,
        filters=enabled,
        disabled=disabled,
        address=address,
        verification_token=token,
        ttl=ttl,
        created_at=now,
        expires_at=now + ttl,
    )
    world.clock.begin()
    world.schedule.wake()
    world.subscriptions.add(subscription)
    world.delivery.plan_reminders(subscription)
    return json_answer(world.subscriptions.rendered(subscription, world.url))


async def get_subscription(world: World, incoming: Incoming) -> Answer:
    return json_answer(world.subscriptions.rendered(_found(world, incoming), world.url))


async def update_subscription(world: World, incoming: Incoming) -> Answer:
    """Takes event filters and ``expiresIn`` only; an empty body prolongs by the default lifetime.

    Whether this revives a blacklisted subscription is not known (facts 12): here it does not.
    """
    subscription = _found(world, incoming)
    body = await _body(incoming)
    if body:
        filters = _filters(body)
        check_filters(filters, world.company.account_id, subscription.user)
        subscription.filters, subscription.disabled = split_by_permission(
            filters, subscription.user, world.tokens.scopes
        )
    return _prolonged(world, subscription, _ttl(body))


async def renew_subscription(world: World, incoming: Incoming) -> Answer:
    """Prolongs by the lifetime that the subscription had (changelog 1.0.38)."""
    subscription = _found(world, incoming)
    return _prolonged(world, subscription, subscription.ttl)


async def delete_subscription(world: World, incoming: Incoming) -> Answer:
    world.subscriptions.remove(_found(world, incoming).id)
    return Answer(204)


def _found(world: World, incoming: Incoming) -> Subscription:
    return world.subscriptions.get(incoming.path("subscription_id"), incoming.session.user, incoming.session.app)


def _prolonged(world: World, subscription: Subscription, ttl: int) -> Answer:
    world.subscriptions.prolong(subscription, ttl)
    world.delivery.plan_reminders(subscription)
    return json_answer(world.subscriptions.rendered(subscription, world.url))


async def _body(incoming: Incoming) -> dict[str, Any]:
    """The JSON object of the request; an empty body is an empty object."""
    text = await incoming.request.text()
    try:
        body = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise bad_parameter("body") from error
    if not isinstance(body, dict):
        raise bad_parameter("body")
    return body


def _filters(body: dict[str, Any]) -> list[str]:
    filters = body.get("eventFilters")
    if not isinstance(filters, list) or not filters or not all(isinstance(text, str) for text in filters):
        raise bad_parameter("eventFilters")
    return filters


def _delivery_mode(body: dict[str, Any]) -> tuple[str, str | None]:
    """Address and verification token. Plain http is tolerated, as RingCentral does for development."""
    mode = body.get("deliveryMode")
    if not isinstance(mode, dict) or mode.get("transportType") != "WebHook":
        raise bad_parameter("deliveryMode.transportType")
    address, token = mode.get("address"), mode.get("verificationToken")
    if not isinstance(address, str) or not _is_address(address):
        raise bad_parameter("deliveryMode.address", str(address))
    if token is not None and (not isinstance(token, str) or not token.isascii() or not token.isprintable()):
        raise bad_parameter("deliveryMode.verificationToken")
    return address, token or None


def _is_address(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _ttl(body: dict[str, Any]) -> int:
    ttl = body.get("expiresIn", DEFAULT_TTL)
    if not isinstance(ttl, int) or isinstance(ttl, bool) or ttl < 1:
        raise bad_parameter("expiresIn", str(ttl))
    return min(ttl, LONGEST_TTL)
