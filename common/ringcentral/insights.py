"""Insights: reading what an event or the insights GET holds, and asking for it.

Insights are an open map; fields that the specification calls required are missing or null in real payloads (facts 1.3),
so everything but the id of the recording may be absent.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx

from common.merge import Saying, version_of
from common.plain_json import NotJson, list_of, map_of, milliseconds_of, read_json, storable, text_of, time_of
from common.ringcentral.budget import Group, Priority
from common.ringcentral.client import Ask, RingCentral
from common.ringcentral.errors import SourceFailed

#: What the envelope of an answer says in place of the event's uuid.
FETCHED: Final = "fetched"
_EVENT: Final = re.compile(r"/ai/ringsense/v1/public/accounts/(?P<account>[^/]+)/domains/(?P<domain>[^/]+)/insights")


class NotInsights(Exception):
    """The JSON is not what an insights event or answer looks like; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Insights:
    """The insights of one recording, as one event or answer tells them."""

    domain: str
    source_record_id: str
    saying: Saying


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of the insights GET, byte for byte, in the envelope of an event: whoever reads the journal reads both.

    `envelope` is None when Postgres cannot hold it as JSON.
    """

    raw: bytes
    envelope: Any
    insights: Insights


def domain_of(event: str) -> str | None:
    """The domain in an event's name, or None when it is no insights event."""
    match = _EVENT.fullmatch(event)
    return match["domain"] if match else None


def read_event(envelope: Any) -> Insights:
    """The insights in an event's envelope; raises `NotInsights`."""
    domain = domain_of(text_of(map_of(envelope).get("event")) or "")
    if domain is None:
        raise NotInsights("it is not an event about insights")
    return read_insights(map_of(envelope).get("body"), domain)


def read_insights(body: Any, domain: str) -> Insights:
    """The insights in the body of an event or an answer; raises `NotInsights`."""
    try:
        body = storable(map_of(body))
    except NotJson as error:
        raise NotInsights(str(error)) from None
    source_record_id = text_of(body.get("sourceRecordId"))
    if source_record_id is None:
        raise NotInsights("the body has no sourceRecordId")
    facts = {
        "telephony_session_id": text_of(body.get("sourceSessionId")),
        "title": text_of(body.get("title")),
        "direction": text_of(body.get("callDirection")),
        "started_at": version_of(time_of(body.get("recordingStartTime"))) or None,
        "duration_ms": milliseconds_of(body.get("recordingDurationMs")),
        "extension_id": text_of(body.get("ownerExtensionId")),
        "speakers": list_of(body.get("speakerInfo")) or None,
        **_parties(body),
    }
    saying = Saying("insights", version_of(time_of(body.get("lastModifiedTime"))), facts, map_of(body.get("insights")))
    return Insights(text_of(body.get("domain")) or domain, source_record_id, saying)


def _parties(body: dict[str, Any]) -> dict[str, Any]:
    """Who called whom, when the call had two speakers of whom one is the owner: more is not said by the insights."""
    owner = text_of(body.get("ownerExtensionId"))
    speakers = [map_of(speaker) for speaker in list_of(body.get("speakerInfo"))]
    ours = [speaker for speaker in speakers if owner and text_of(speaker.get("extensionId")) == owner]
    others = [speaker for speaker in speakers if speaker not in ours]
    direction = body.get("callDirection")
    if len(ours) != 1 or len(others) != 1 or direction not in {"Inbound", "Outbound"}:
        return {}
    caller, called = (ours[0], others[0]) if direction == "Outbound" else (others[0], ours[0])
    return {
        "from_name": text_of(caller.get("name")),
        "from_number": text_of(caller.get("phoneNumber")),
        "to_name": text_of(called.get("name")),
        "to_number": text_of(called.get("phoneNumber")),
    }


async def get_insights(
    client: RingCentral, domain: str, source_record_id: str, *, priority: Priority = Priority.LIVE
) -> Answer:
    """Ask for the insights of one recording; raises `Missing` (none, or none yet) and the other errors.

    An answer that is about something else is `SourceFailed`: asking again may do better.
    """
    record = f"domains/{quote(domain, safe='')}/records/{quote(source_record_id, safe='')}"
    path = f"/ai/ringsense/v1/public/accounts/{client.account_id}/{record}/insights"
    async with client.stream(Ask("GET", path, Group.LIGHT, priority)) as answer:
        try:
            raw = await answer.aread()
        except httpx.HTTPError as error:
            raise SourceFailed(f"the answer could not be read: {type(error).__name__}") from None
    try:
        enveloped = _enveloped(client.account_id, domain, raw)
        envelope = read_json(enveloped)
        found = read_event(envelope)
    except (NotJson, NotInsights):
        raise SourceFailed("the answer is no insights") from None
    if (found.domain, found.source_record_id) != (domain, source_record_id):
        raise SourceFailed("the answer is about another recording")
    return Answer(enveloped, envelope if storable(envelope) is envelope else None, found)


def _enveloped(account_id: str, domain: str, raw: bytes) -> bytes:
    """The same for the same answer, so that the journal takes it once."""
    name = f"/ai/ringsense/v1/public/accounts/{account_id}/domains/{domain}/insights"
    return f'{{"source": "{FETCHED}", "event": {json.dumps(name)}, "body": '.encode() + raw + b"}"


def is_fetched(envelope: Any) -> bool:
    """Whether this is no event, but an answer that was journaled in its place."""
    return bool(map_of(envelope).get("source") == FETCHED)
