"""The HTTP side: which request belongs to which endpoint, and what every request goes through.

Authentication, then the rate limit, then account and permissions, then a queued fault or the handler.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from simulator import account_endpoints as account
from simulator import call_log, call_log_sync
from simulator import recording_endpoints as recordings
from simulator import subscription_endpoints as subscriptions
from simulator.answers import Answer, json_answer, send
from simulator.control import control_routes
from simulator.errors import Refusal, lacking_permission, lacking_scope, not_found
from simulator.rate_limits import PENALTY_SECONDS, WINDOW_SECONDS, Bucket
from simulator.world import Incoming, World

Handler = Callable[[World, Incoming], Awaitable[Answer]]
TokenHandler = Callable[[World, web.Request], Awaitable[Answer]]
Produce = Callable[[], Awaitable[Answer]]

ACCOUNT = "/restapi/v1.0/account/{account_id}"
SUBSCRIPTION = "/restapi/v1.0/subscription"
INSIGHTS = "/ai/ringsense/v1/public/accounts/{account_id}/domains/{domain}"


@dataclass(frozen=True)
class Endpoint:
    """``name`` is how counts and faults call it; ``query_token``: the token may come in the query (media only)."""

    name: str
    method: str
    path: str
    group: str
    handler: Handler
    scope: str = ""
    permission: str = ""
    query_token: bool = False


ENDPOINTS = (
    Endpoint("account.get", "GET", ACCOUNT, "light", account.get_account, "ReadAccounts"),
    Endpoint(
        "permission.check",
        "GET",
        f"{ACCOUNT}/extension/{{extension_id}}/authz-profile/check",
        "light",
        account.check_permission,
    ),
    Endpoint(
        "call_log.list",
        "GET",
        f"{ACCOUNT}/call-log",
        "heavy",
        call_log.list_call_log,
        "ReadCallLog",
        "FullCompanyCallLog",
    ),
    Endpoint(
        "call_log.get",
        "GET",
        f"{ACCOUNT}/call-log/{{call_ids}}",
        "heavy",
        call_log.get_call_records,
        "ReadCallLog",
        "FullCompanyCallLog",
    ),
    Endpoint(
        "call_log.sync",
        "GET",
        f"{ACCOUNT}/call-log-extract-sync",
        "heavy",
        call_log_sync.extract_sync,
        "ReadCallLog",
        "ReadCallLog",
    ),
    Endpoint(
        "recording.get",
        "GET",
        f"{ACCOUNT}/recording/{{recording_id}}",
        "heavy",
        recordings.get_recording,
        "ReadCallRecording",
        "ReadCompanyCallRecording",
    ),
    Endpoint(
        "recording.content",
        "GET",
        f"{ACCOUNT}/recording/{{recording_id}}/content",
        "heavy",
        recordings.get_content,
        "ReadCallRecording",
        "ReadCompanyCallRecording",
        query_token=True,
    ),
    Endpoint(
        "insights.record",
        "GET",
        f"{INSIGHTS}/records/{{record_id}}/insights",
        "light",
        account.insights_of_record,
        "RingSense",
    ),
    Endpoint(
        "insights.session",
        "GET",
        f"{INSIGHTS}/sessions/{{session_id}}/insights",
        "light",
        account.insights_of_session,
        "RingSense",
    ),
    Endpoint("subscription.list", "GET", SUBSCRIPTION, "light", subscriptions.list_subscriptions),
    Endpoint(
        "subscription.create", "POST", SUBSCRIPTION, "medium", subscriptions.create_subscription, "SubscriptionWebhook"
    ),
    Endpoint("subscription.get", "GET", f"{SUBSCRIPTION}/{{subscription_id}}", "light", subscriptions.get_subscription),
    Endpoint(
        "subscription.update", "PUT", f"{SUBSCRIPTION}/{{subscription_id}}", "medium", subscriptions.update_subscription
    ),
    Endpoint(
        "subscription.renew",
        "POST",
        f"{SUBSCRIPTION}/{{subscription_id}}/renew",
        "light",
        subscriptions.renew_subscription,
    ),
    Endpoint(
        "subscription.delete",
        "DELETE",
        f"{SUBSCRIPTION}/{{subscription_id}}",
        "medium",
        subscriptions.delete_subscription,
    ),
)


def application(world: World) -> web.Application:
    world.faults.endpoints = frozenset({"oauth.token", "oauth.revoke", *(endpoint.name for endpoint in ENDPOINTS)})
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
        query_token = request.query.get("access_token") if endpoint.query_token else None
        limits: dict[str, str] = {}

        async def produce() -> Answer:
            return await endpoint.handler(world, incoming)

        try:
            world.requests[endpoint.name] += 1
            session = world.tokens.session_of(request.headers.get("Authorization"), query_token)
            incoming = Incoming(request, session)
            limits = _admit(world, session.user.extension_id, session.app, endpoint.group)
            _check_access(world, endpoint, incoming)
            return await _answer(world, endpoint.name, request, produce, limits)
        except Refusal as refusal:
            return await _refuse(world, endpoint.name, request, refusal, limits)

    return handle


def _token_route(
    world: World, name: str, handler: TokenHandler
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        limits: dict[str, str] = {}

        async def produce() -> Answer:
            return await handler(world, request)

        try:
            world.requests[name] += 1
            client = world.tokens.client_of(request.headers.get("Authorization", "")) or "unknown"
            limits = _admit(world, await account.auth_user(world, request), client, "auth")
            return await _answer(world, name, request, produce, limits)
        except Refusal as refusal:
            return await _refuse(world, name, request, refusal, limits)

    return handle


async def _answer(
    world: World, name: str, request: web.Request, produce: Produce, limits: dict[str, str]
) -> web.StreamResponse:
    async def limited() -> Answer:
        answer = await produce()
        answer.headers = {**answer.headers, **limits}
        return answer

    fault = world.faults.next_for(name, request.path_qs)
    if fault is not None:
        return await fault.happen(request, limited)
    answer = await limited()
    world.answers[f"{name} {answer.status}"] += 1
    return await send(request, answer)


async def _refuse(
    world: World, name: str, request: web.Request, refusal: Refusal, limits: dict[str, str]
) -> web.StreamResponse:
    world.answers[f"{name} {refusal.status}"] += 1
    return await send(request, json_answer(refusal.body, refusal.status, {**limits, **refusal.headers}))


def _admit(world: World, user: str, app: str, group: str) -> dict[str, str]:
    """The rate-limit headers of the granted request. Raises Refusal 429 CMN-301."""
    bucket = world.limits.bucket(user, app, group)
    granted = bucket.admit(world.clock.real())
    headers = _limit_headers(world, group, bucket)
    if not granted:
        headers |= {"X-Rate-Limit-Remaining": "0", "Retry-After": str(world.clock.announced(PENALTY_SECONDS))}
        raise Refusal(429, "CMN-301", "Request rate exceeded", headers=headers)
    return headers


def _limit_headers(world: World, group: str, bucket: Bucket) -> dict[str, str]:
    return {
        "X-Rate-Limit-Group": group,
        "X-Rate-Limit-Limit": str(bucket.limit),
        "X-Rate-Limit-Remaining": str(bucket.remaining),
        "X-Rate-Limit-Window": str(world.clock.announced(WINDOW_SECONDS)),
    }


def _check_access(world: World, endpoint: Endpoint, incoming: Incoming) -> None:
    """Raises Refusal for another account, or a scope or permission that is missing."""
    if incoming.request.match_info.get("account_id", "~") not in {"~", world.company.account_id}:
        raise not_found("accountId")
    if endpoint.scope and endpoint.scope not in world.tokens.scopes:
        raise lacking_scope(endpoint.scope)
    if endpoint.permission and endpoint.permission not in incoming.session.user.permissions:
        raise lacking_permission(endpoint.permission)


async def _unknown(request: web.Request) -> web.StreamResponse:
    refusal = Refusal(404, "AGW-404", "Resource not found")
    return await send(request, json_answer(refusal.body, refusal.status))
