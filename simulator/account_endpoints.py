"""Small endpoints: the token endpoint, the account, the permission check and the insights (facts 1.4 and 7)."""

from typing import Any

from aiohttp import web

from simulator.answers import Answer, json_answer
from simulator.errors import Refusal, bad_parameter, not_found
from simulator.event_filters import INSIGHT_PERMISSIONS
from simulator.insights import resource
from simulator.oauth import USER_PERMISSIONS
from simulator.world import Incoming, World

#: allowed values of ``insightTypes``.
INSIGHT_TYPES = {
    "NextSteps",
    "Transcript",
    "Summary",
    "Highlights",
    "BulletedSummary",
    "AIScore",
    "CallNotes",
    "Sentiment",
}
DOMAINS = {"pbx", "rcv", "rcx", "ms-teams", "nice-incontact"}


async def issue_token(world: World, request: web.Request) -> Answer:
    form, authorization = await _form(request), request.headers.get("Authorization", "")
    world.tokens.note(authorization, form)
    app = world.tokens.authenticate_client(authorization)
    return json_answer(world.tokens.grant(app, form), headers={"Cache-Control": "no-store"})


async def revoke_token(world: World, request: web.Request) -> Answer:
    """Ends the session of the token; an unknown one is no error."""
    form = await _form(request)
    world.tokens.authenticate_client(request.headers.get("Authorization", ""))
    world.tokens.revoke(form.get("token", ""))
    return Answer()


async def auth_user(world: World, request: web.Request) -> str:
    """Whose Auth budget a request to the token endpoint uses."""
    form = await _form(request)
    user = world.tokens.user_of_jwt(form.get("assertion", ""))
    token = form.get("token", "")
    owners = [session.user for session in world.tokens.sessions if session.token == token]
    owner = user or (owners[0] if owners else None)
    return owner.extension_id if owner else "unknown"


async def get_account(world: World, _incoming: Incoming) -> Answer:
    body = {
        "uri": f"{world.url}/restapi/v1.0/account/{world.company.account_id}",
        "id": int(world.company.account_id) if world.company.account_id.isdecimal() else world.company.account_id,
        "status": "Confirmed",
        "mainNumber": "+12025550100",
        "serviceInfo": {
            "brand": {"id": "1210", "name": "RingCentral"},
            "servicePlan": {"id": "1", "name": "Simulator"},
        },
    }
    return json_answer(body)


async def check_permission(world: World, incoming: Incoming) -> Answer:
    """200 either way; ``successful`` tells (facts 1.2)."""
    user = incoming.session.user
    if incoming.path("extension_id") not in {"~", user.extension_id}:
        raise not_found("extensionId")
    permission = incoming.query("permissionId") or ""
    if permission not in USER_PERMISSIONS:
        raise bad_parameter("permissionId", permission)
    account = f"{world.url}/restapi/v1.0/account/{world.company.account_id}"
    body: dict[str, Any] = {
        "uri": f"{account}/extension/{user.extension_id}/authz-profile/check?permissionId={permission}",
        "successful": permission in user.permissions,
    }
    if body["successful"]:
        body["details"] = {"permission": {"id": permission}, "scopes": ["AllExtensions"]}
    return json_answer(body)


async def insights_of_record(world: World, incoming: Incoming) -> Answer:
    wanted = _wanted(incoming)
    recording = world.company.record_of(incoming.path("domain"), incoming.path("record_id"))
    found = resource(world.company, recording, world.clock.now(), wanted) if recording else None
    if found is None:
        raise _no_insights("sourceRecordId")
    return json_answer(found)


async def insights_of_session(world: World, incoming: Incoming) -> Answer:
    wanted = _wanted(incoming)
    recordings = world.company.records_of_session(incoming.path("domain"), incoming.path("session_id"))
    now = world.clock.now()
    found = [one for recording in recordings if (one := resource(world.company, recording, now, wanted))]
    if not found:
        raise _no_insights("sourceSessionId")
    paging = {
        "page": 1,
        "perPage": 100,
        "pageStart": 0,
        "pageEnd": len(found) - 1,
        "totalPages": 1,
        "totalElements": len(found),
    }
    return json_answer({"records": found, "paging": paging})


def _wanted(incoming: Incoming) -> list[str]:
    """The kinds asked for, none for all. Raises Refusal for a missing permission or an unknown kind or domain."""
    if not incoming.session.user.permissions.issuperset(INSIGHT_PERMISSIONS):
        raise Refusal(403, "RAH-3005", "User does not have permission to access insights")
    if incoming.path("domain") not in DOMAINS:
        raise bad_parameter("domain", incoming.path("domain"))
    wanted = [kind for kind in (incoming.query("insightTypes") or "").split(",") if kind]
    for kind in wanted:
        if kind not in INSIGHT_TYPES:
            raise bad_parameter("insightTypes", kind)
    return wanted


def _no_insights(name: str) -> Refusal:
    return Refusal(404, "RAH-3001", f"Call not found with {name}")


async def _form(request: web.Request) -> dict[str, str]:
    form = await request.post()
    return {name: value for name, value in form.items() if isinstance(value, str)}
