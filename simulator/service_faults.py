"""Faults that are RingCentral's rules at work at the wrong moment, one function per kind in ``SERVICE_KINDS``.

They change what the simulator knows (a token is gone, a group is closed) and refuse accordingly, so what follows from
them is true as well: a request in a penalty restarts it, a token that was dropped stays dropped.
"""

from aiohttp import web

from simulator.answers import Answer, json_answer, send
from simulator.call_log import listed_calls, page_of
from simulator.call_log_sync import sync_missing
from simulator.call_plans import CallPlan
from simulator.errors import Refusal, not_found, unauthorized
from simulator.event_filters import Disabled
from simulator.oauth import SESSION_LIMIT
from simulator.visit import Kind, Parameters, Produce, Visit, service_closed
from simulator.world import Incoming
from simulator.wrinkles import delete_call


async def _penalty(visit: Visit, _produce: Produce, _parameters: Parameters) -> web.StreamResponse:
    """A 429 with X-Rate-Limit headers out of the blue; the penalty begins, and asking during it restarts it."""
    if visit.bucket:
        visit.bucket.penalise(visit.world.clock.real())
    raise visit.rate_exceeded()


async def _throttle_all(visit: Visit, _produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """A 429 without X-Rate-Limit headers; for real ``seconds`` (1) every request of anybody is refused likewise."""
    everything, seconds = visit.world.limits.everything, float(parameters.get("seconds", 1))
    everything.begin(visit.world.clock.real() + seconds)
    visit.closure, visit.limits = everything, {}
    raise service_closed(seconds)


async def _token_dropped(visit: Visit, _produce: Produce, _parameters: Parameters) -> web.StreamResponse:
    """The token is forgotten long before its end: 401 OAU-213."""
    if visit.session:
        visit.world.tokens.revoke(visit.session.token)
    raise unauthorized("OAU-213", "Token not found")


async def _token_expired(visit: Visit, _produce: Produce, _parameters: Parameters) -> web.StreamResponse:
    """The token ends before its time: 401 OAU-128."""
    if visit.session:
        visit.session.expires_at = visit.world.clock.now()
    raise unauthorized("OAU-128", "Access token expired", top="TokenExpired")


async def _sessions_taken(visit: Visit, _produce: Produce, _parameters: Parameters) -> web.StreamResponse:
    """Others sign in as the same user, as often as the limit allows: all older sessions end. 401 OAU-213."""
    if visit.session:
        for _ in range(SESSION_LIMIT):
            visit.world.tokens.sign_in(visit.session.user, visit.session.app)
    raise unauthorized("OAU-213", "Token not found")


async def _not_ready(_visit: Visit, _produce: Produce, _parameters: Parameters) -> web.StreamResponse:
    """404 CMN-102, as before the audio is ready."""
    raise not_found("recordingId")


async def _sync_rejected(visit: Visit, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """All sync tokens until now are refused from now on, this one with ``code`` (CLG-101); without one, all is well."""
    if not visit.request.query.get("syncToken"):
        return await send(visit.request, await produce())
    visit.world.sync_epoch += 1
    code = parameters.get("code", "CLG-101")
    raise Refusal(400, code, "Parameter [syncToken] is invalid", parameterName="syncToken")


async def _sync_away(visit: Visit, _produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """For real ``seconds`` (5) the account is without the endpoint: 404, with a token or without."""
    world = visit.world
    world.sync_away_until = world.clock.real() + float(parameters.get("seconds", 5))
    raise sync_missing(404)


async def _shift(visit: Visit, produce: Produce, parameters: Parameters) -> web.StreamResponse:
    """While pages are read, the list changes at its begin: a record appears, or with ``vanish`` one goes away."""
    await produce()  # refuses what cannot be read.
    if visit.session:
        incoming = Incoming(visit.request, visit.session)
        (_vanish if parameters.get("vanish") else _appear)(visit, incoming)
    return await send(visit.request, await produce())


def _appear(visit: Visit, incoming: Incoming) -> None:
    """A long call ends that began at the begin of the list: records move to later pages, and are read twice."""
    world, now = visit.world, visit.world.clock.now()
    head = next((call.started_at for call, _ in listed_calls(world, incoming)), now - 60.0)
    started_at = round(head + 0.001, 3)
    # It ended a millisecond ago, so that its record is there by now.
    seconds = now - started_at - 0.001
    extension = world.company.extensions[0]
    plan = CallPlan(extension=extension, started_at=started_at, seconds=seconds, recorded=False, appears_after=0.0)
    world.planner.carry_out(plan)


def _vanish(visit: Visit, incoming: Incoming) -> None:
    """A record on an earlier page is deleted, one without a recording if there is any: who reads on, skips one."""
    world, now = visit.world, visit.world.clock.now()
    earlier = listed_calls(world, incoming)[: page_of(world, incoming).first]
    final = [call for call, _ in earlier if call.revisions[-1].at < now - 0.001]
    if not final:
        visit.refused = True
        return
    delete_call(world.company, min(final, key=lambda call: len(call.recordings())), now - 0.001)


async def _unreachable(_visit: Visit, _produce: Produce, _parameters: Parameters) -> web.StreamResponse:
    """The handshake is refused: RingCentral did not reach the address, though nothing is wrong with it. SUB-521."""
    raise Refusal(400, "SUB-521", "WebHook is not reachable")


async def _disabled_filters(visit: Visit, produce: Produce, _parameters: Parameters) -> web.StreamResponse:
    """The subscription is made or changed, but its filters are disabled for want of a permission."""
    answer = await produce()
    if answer.status != 200 or visit.session is None:
        return await send(visit.request, answer)
    world, session = visit.world, visit.session
    wanted = visit.request.match_info.get("subscription_id")
    chosen = [one for one in world.subscriptions.of(session.user, session.app) if wanted in {None, one.id}][-1]
    chosen.disabled = [Disabled(text, "ReadRingSenseInsights") for text in chosen.filters]
    chosen.filters = []
    shown: Answer = json_answer(world.subscriptions.rendered(chosen, world.url), headers=visit.limits)
    return await send(visit.request, shown)


SERVICE_KINDS: dict[str, Kind] = {
    "penalty": _penalty,
    "throttle_all": _throttle_all,
    "token_dropped": _token_dropped,
    "token_expired": _token_expired,
    "sessions_taken": _sessions_taken,
    "not_ready": _not_ready,
    "sync_rejected": _sync_rejected,
    "sync_away": _sync_away,
    "shift": _shift,
    "unreachable": _unreachable,
    "disabled_filters": _disabled_filters,
}
