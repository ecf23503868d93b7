"""Reading an event: what goes into the journal, and what it says of a recording. Pure."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from common.database.insight_events import Entry
from common.messages import InsightsReceived
from common.plain_json import NotJson, map_of, read_json, storable, text_of, time_of
from common.ringcentral.insights import Insights, NotInsights, is_fetched, read_event


@dataclass(frozen=True, slots=True)
class Understood:
    """An event's entry for the journal, and its insights when it could be understood."""

    entry: Entry
    insights: Insights | None


def understand(message: InsightsReceived) -> Understood:
    """Read an event as far as it can be read; never raises."""
    entry = Entry(
        digest=hashlib.sha256(message.raw).digest(),
        account_id=message.account_id,
        raw=message.raw,
        received_at=message.received_at,
    )
    try:
        envelope = read_json(message.raw)
        clean = storable(envelope)
    except NotJson as error:
        return Understood(replace(entry, error=f"not read: {error}"), None)
    entry = replace(entry, **_body(envelope, clean), uuid=text_of(map_of(clean).get("uuid")))
    try:
        insights = read_event(clean)
    except NotInsights as error:
        return Understood(replace(entry, error=f"not understood: {error}"), None)
    if is_fetched(clean):
        entry = replace(entry, source="fetched", made_at=time_of(insights.saying.modified))
    return Understood(replace(entry, domain=insights.domain, source_record_id=insights.source_record_id), insights)


def _body(envelope: Any, clean: Any) -> dict[str, Any]:
    if clean is envelope:
        return {"body": envelope}
    return {"error": "holds U+0000 or lone surrogates, which Postgres cannot hold: merged with U+FFFD in their place"}


def journal_alone(event: Understood, error: str) -> Understood:
    """The event as bytes alone, with the reason why nothing more was made of it."""
    bare = replace(event.entry, body=None, uuid=None, domain=None, source_record_id=None, error=error)
    return Understood(bare, None)
