"""The HTTP side: which request belongs to which endpoint, and what every request goes through.

Authentication, then the rate limit, then account and permissions, then a fault or the handler.
"""

import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from simulator import account_endpoints as account
from simulator.answers import SENT, Answer, json_answer, send
from simulator.body_faults import BODY_KINDS
from simulator.control import control_routes
from simulator.endpoints import ENDPOINTS, Endpoint
from simulator.errors import Refusal, lacking_permission, lacking_scope, not_found
from simulator.service_faults import SERVICE_KINDS
from simulator.visit import Produce, Visit
from simulator.wire_faults import WIRE_KINDS
from simulator.world import Incoming, World

TokenHandler = Callable[[World, web.Request], Awaitable[Answer]]

KINDS = {**WIRE_KINDS, **BODY_KINDS, **SERVICE_KINDS}


def application(world: World) -> web.Application:
    world.faults.endpoints = frozenset({"oauth.token", "oauth.revoke", *(endpoint.name for endpoint in ENDPOINTS)})
    world.faults.kinds = frozenset(KINDS)
    app = web.Application()
    app.router.add_post("/restapi/oauth/token", _token_route(world, "oauth.token", account.issue_token))
    app.router.add_post("/restapi/oauth/revoke", _token_route(world, "oauth.revoke", account.revoke_token))
    for endpoint in ENDPOINTS:
        app.router.add_route(endpoint.method, endpoint.path, _route(world, endpoint))
    app.add_routes(control_routes(world))
    app.router.add_route("*", "/{path:.*}", _unknown)
    return app


def _route(world: World, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        visit = Visit(world, endpoint.name, request)
        query_token = request.query.get("access_token") if endpoint.query_token else None

        async def produce() -> Answer:
            return await endpoint.handler(world.as_seen_by(incoming.session.user), incoming)

        try:
            world.requests[endpoint.name] += 1
            world.asked[endpoint.name][request.path_qs] += 1
            world.first_asked[endpoint.name].setdefault(request.path_qs, time.time())
            visit.session = world.tokens.session_of(request.headers.get("Authorization"), query_token)
            incoming = Incoming(request, visit.session)
            visit.admit(visit.session.user.extension_id, visit.session.app, endpoint.group)
            _check_access(world, endpoint, incoming)
            return await _answer(visit, produce)
        except Refusal as refusal:
            return await visit.refuse(refusal)

    return handle


def _token_route(
    world: World, name: str, handler: TokenHandler
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        visit = Visit(world, name, request)

        async def produce() -> Answer:
            return await handler(world, request)

        try:
            world.requests[name] += 1
            client = world.tokens.client_of(request.headers.get("Authorization", "")) or "unknown"
            visit.admit(await account.auth_user(world, request), client, "auth")
            return await _answer(visit, produce)
        except Refusal as refusal:
            return await visit.refuse(refusal)

    return handle


async def _answer(visit: Visit, produce: Produce) -> web.StreamResponse:
    sent: list[int] = []
    SENT.set(sent)
    try:
        return await _answer_or_fault(visit, produce)
    finally:  # also of what the client did not wait for.
        visit.world.sent[visit.endpoint] += sum(sent)


async def _answer_or_fault(visit: Visit, produce: Produce) -> web.StreamResponse:
    async def limited() -> Answer:
        try:
            answer = await produce()
        except Refusal:
            visit.refused = True
            raise
        answer.headers = {**answer.headers, **visit.limits}
        return answer

    world = visit.world
    fault = world.faults.next_for(visit.endpoint, visit.request.path_qs)
    if fault is not None:
        try:
            response = await KINDS[fault.kind](visit, limited, fault.parameters)
        finally:
            if fault.name and visit.refused and not visit.met:
                world.faults.missed(fault)
        status = str(response.status) if response.prepared else "dropped"
        world.answers[f"{visit.endpoint} {status}"] += 1
        return response
    answer = await limited()
    world.answers[f"{visit.endpoint} {answer.status}"] += 1
    return await send(visit.request, answer)


def _check_access(world: World, endpoint: Endpoint, incoming: Incoming) -> None:
    """Raises Refusal for another account, or a scope or permission that is missing."""
    user = incoming.session.user
    if incoming.request.match_info.get("account_id", "~") not in {"~", user.account_id}:
        raise not_found("accountId")
    if endpoint.scope and endpoint.scope not in world.tokens.scopes:
        raise lacking_scope(endpoint.scope)
    if endpoint.permission and endpoint.permission not in user.permissions:
        raise lacking_permission(endpoint.permission)


async def _unknown(request: web.Request) -> web.StreamResponse:
    refusal = Refusal(404, "AGW-404", "Resource not found")
    return await send(request, json_answer(refusal.body, refusal.status))
