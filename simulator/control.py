"""``/simulator/``: what a test knows and orders. No authentication, no limits, no part of RingCentral."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from simulator import company_orders, orders, user_orders
from simulator.truth import truth
from simulator.world import World
from simulator.wrinkles import tally_of

Reply = dict[str, Any]
Control = Callable[[World, Any], Awaitable[Reply]]


def control_routes(world: World) -> list[web.RouteDef]:
    return [
        web.get("/simulator/health", _get(world, health)),
        web.get("/simulator/truth", _get(world, truth)),
        web.get("/simulator/counts", _get(world, counts)),
        web.get("/simulator/requests", _get(world, requests)),
        web.get("/simulator/requests/first", _get(world, first_requests)),
        web.get("/simulator/subscriptions", _get(world, list_all_subscriptions)),
        web.post("/simulator/clock", _post(world, advance_clock)),
        web.post("/simulator/limits", _post(world, set_limits)),
        web.post("/simulator/permissions", _post(world, user_orders.set_permissions)),
        web.post("/simulator/users", _post(world, user_orders.change_users)),
        web.post("/simulator/jwts", _post(world, user_orders.change_jwts)),
        web.post("/simulator/client-secrets", _post(world, user_orders.change_client_secrets)),
        web.post("/simulator/sessions", _post(world, user_orders.take_sessions)),
        web.post("/simulator/calls", _post(world, orders.order_calls)),
        web.post("/simulator/calls/delete", _post(world, company_orders.delete_calls)),
        web.post("/simulator/calls/rewrite", _post(world, company_orders.rewrite_calls)),
        web.post("/simulator/recordings", _post(world, orders.order_recording)),
        web.post("/simulator/recordings/expire", _post(world, company_orders.expire_recordings)),
        web.post("/simulator/events", _post(world, orders.resend_events)),
        web.post("/simulator/events/faults", _post(world, company_orders.order_event_faults)),
        web.post("/simulator/events/foreign", _post(world, company_orders.send_foreign_events)),
        web.post("/simulator/conversations", _post(world, company_orders.order_conversations)),
        web.post("/simulator/faults", _post(world, add_faults)),
        web.delete("/simulator/faults", _get(world, clear_faults)),
        web.post("/simulator/tokens/drop", _post(world, user_orders.drop_tokens)),
        web.post("/simulator/sync-tokens/reject", _post(world, reject_sync_tokens)),
        web.post("/simulator/extract-sync", _post(world, set_extract_sync)),
        web.post("/simulator/subscriptions/blacklist", _post(world, blacklist)),
        web.post("/simulator/subscriptions/silence", _post(world, silence)),
    ]


async def health(world: World) -> Reply:
    return {"ok": True, "now": world.clock.now(), "errors": world.schedule.errors}


async def counts(world: World) -> Reply:
    """What was asked, answered and refused. Of ``refused``, the part ``…_on_the_wire`` had arrived before a 429 was
    answered, or within 50 ms after it; ``…_over_limit`` and ``…_later`` are what a client could have known.
    """
    return {
        "requests": dict(world.requests),
        "answers": dict(world.answers),
        "sent_bytes": dict(world.sent),
        "groups": world.limits.report(),
        **world.limits.refusals(),
        "faults": dict(world.faults.happened),
        "event_faults": dict(world.announcements.happened),
        "foreign_events": dict(world.delivery.foreign),
        "faults_left": [*world.faults.left(), *world.announcements.left()],
        "by_seed": [tally.told() for tally in (*world.faults.tally(), *tally_of(world.company))],
        "tokens_minted": world.tokens.minted,
        "sessions": len(world.tokens.sessions),
    }


async def requests(world: World) -> Reply:
    """How often each address of each endpoint was asked for, with its query."""
    return {name: dict(paths) for name, paths in world.asked.items()}


async def first_requests(world: World) -> Reply:
    """When each address of each endpoint was asked for first: Unix time of the machine, whatever the clock here."""
    return {name: dict(paths) for name, paths in world.first_asked.items()}


async def list_all_subscriptions(world: World) -> Reply:
    """Those of all users, with what RingCentral keeps to itself."""
    records = [
        {
            **world.subscriptions.rendered(one, world.url),
            "ownerId": one.user.extension_id,
            "failing": one.failing_since is not None,
        }
        for one in world.subscriptions.living()
    ]
    return {"records": records}


async def advance_clock(world: World, order: Reply) -> Reply:
    """``advance``: business seconds forward."""
    world.clock.advance(float(order["advance"]))
    world.schedule.wake()
    return {"now": world.clock.now()}


async def set_limits(world: World, order: dict[str, int]) -> Reply:
    """New limits of groups, for example ``{"heavy": 20}``."""
    unknown = set(order) - set(world.limits.limits)
    if unknown:
        raise ValueError(f"no such group: {', '.join(sorted(unknown))}")
    world.limits.set_limits(order)
    return {"limits": world.limits.limits}


async def add_faults(world: World, order: Reply | list[Reply]) -> Reply:
    """One fault or a list; see ``faults``. An unknown kind is refused with the list of kinds."""
    for one in order if isinstance(order, list) else [order]:
        world.faults.add(dict(one))
    return {"left": world.faults.left()}


async def clear_faults(world: World) -> Reply:
    """Nothing goes wrong any more with requests and events, neither by order nor by the seed."""
    world.faults.clear()
    world.announcements.clear()
    return {"left": []}


async def reject_sync_tokens(world: World, _order: Reply) -> Reply:
    """Every sync token issued until now is refused."""
    world.sync_epoch += 1
    return {"epoch": world.sync_epoch}


async def set_extract_sync(world: World, order: Reply) -> Reply:
    """``status`` 403 or 404: the account has no call-log-extract-sync from now on; 0: it has."""
    if order["status"] not in {0, 403, 404}:
        raise ValueError("status must be 403 or 404, or 0 for an account that has the endpoint")
    world.without_extract_sync = order["status"]
    return {"status": world.without_extract_sync}


async def blacklist(world: World, order: Reply) -> Reply:
    """Blacklists the subscription ``id``, or all of them."""
    chosen = [one for one in world.subscriptions.living() if order.get("id") in {None, one.id}]
    for one in chosen:
        one.blacklist(world.clock.now(), order.get("reason", "I/O operation is failed. Details: [Read timed out]"))
    return {"blacklisted": [one.id for one in chosen]}


async def silence(world: World, order: Reply) -> Reply:
    """Nothing is sent any more to the subscription ``id``, or to any, although it stays Active."""
    chosen = [one for one in world.subscriptions.living() if order.get("id") in {None, one.id}]
    for one in chosen:
        one.silent = True
    return {"silent": [one.id for one in chosen]}


def _get(
    world: World, control: Callable[[World], Awaitable[Reply]]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(_request: web.Request) -> web.Response:
        return web.json_response(await control(world))

    return handle


def _post(world: World, control: Control) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A wrong order is answered 400 with a sentence."""

    async def handle(request: web.Request) -> web.Response:
        try:
            text = await request.text()
            return web.json_response(await control(world, json.loads(text) if text.strip() else {}))
        except (KeyError, TypeError, ValueError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)

    return handle
