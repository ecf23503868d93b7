"""The call log: reading its records, and asking for what changed.

A record is observed, not final: the same id is rewritten, recordings appear later, and the same recording can stand on
a record and on its legs (facts 4.3).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from common.merge import Saying, digest_of, version_of
from common.plain_json import NotJson, list_of, map_of, milliseconds_of, storable, text_of, time_of, whole_number_of
from common.ringcentral.budget import Group, Priority
from common.ringcentral.client import Ask, RingCentral
from common.ringcentral.errors import SourceFailed

#: Records a page: smaller pages answer faster, larger ones cost fewer requests; 1000 is the most (facts 4.3, 4.4).
PAGE: Final = 250
#: Records a page of a window: the most, because the same windows are read again and again.
WINDOW_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Call:
    """One call-log record, as a row of `calls`."""

    call_log_id: str
    session_id: str | None
    telephony_session_id: str | None
    extension_id: str | None
    direction: str | None
    started_at: datetime | None
    duration_ms: int | None
    modified_at: datetime | None
    deleted: bool
    entry: dict[str, Any]
    #: What the record says of each recording on it and its legs, by the recording's id.
    recordings: dict[str, Saying]


@dataclass(frozen=True, slots=True)
class Changes:
    """One page of changes. `more`: ask again at once with `sync_token`. `as_of` is RingCentral's own time."""

    calls: list[Call]
    unreadable: int
    sync_token: str | None
    more: bool
    as_of: datetime | None = None


async def changes(client: RingCentral, *, sync_token: str | None, since: datetime, credential: str) -> Changes:
    """Call-log records modified since the token was given, or, without a token, since a time.

    Raises `Rejected` when the token is refused, and the other errors.
    """
    params = [("syncType", "ISync"), ("syncToken", sync_token)] if sync_token else _full_sync(since)
    path = f"/restapi/v1.0/account/{client.account_id}/call-log-extract-sync"
    ask = Ask("GET", path, Group.HEAVY, Priority.POLL, [*params, ("view", "Detailed")], credential=credential)
    page = read_changes(await client.json(ask))
    if page.sync_token is None:
        raise SourceFailed("the answer has no usable syncToken, so that nothing could be asked next")
    return page


@dataclass(frozen=True, slots=True)
class Window:
    """A closed window over the start times of calls: its end is fixed, so that its pages move as little as possible."""

    begin: datetime
    end: datetime


async def window_page(
    client: RingCentral, window: Window, page: int, *, credential: str | None = None, priority: Priority = Priority.POLL
) -> Changes:
    """One page, from 1 on, of the calls that began in a window; it has no sync token. Raises the client's errors.

    Any credential will do, unless one is named.

    The order of records is not specified and totals may be absent: `more` follows the link to a next page (facts 4.2).
    """
    params = [
        ("dateFrom", window.begin.isoformat()),
        ("dateTo", window.end.isoformat()),
        ("view", "Detailed"),
        ("perPage", str(WINDOW_PAGE)),
        ("page", str(page)),
    ]
    path = f"/restapi/v1.0/account/{client.account_id}/call-log"
    body = await client.json(Ask("GET", path, Group.HEAVY, priority, params, credential=credential))
    found = read_changes(body)
    more = bool(map_of(map_of(body.get("navigation")).get("nextPage")).get("uri"))
    return replace(found, sync_token=None, more=more)


async def of_session(
    client: RingCentral, telephony_session_id: str, window: Window, *, priority: Priority = Priority.LIVE
) -> Changes:
    """The records of one telephony session whose calls began in a window: several after a transfer (facts 4.3).

    Without the window, only the last day would be looked at (facts 4.1). Raises the client's errors.
    """
    params = [
        ("telephonySessionId", telephony_session_id),
        ("dateFrom", window.begin.isoformat()),
        ("dateTo", window.end.isoformat()),
        ("view", "Detailed"),
        ("perPage", str(WINDOW_PAGE)),
    ]
    path = f"/restapi/v1.0/account/{client.account_id}/call-log"
    return replace(read_changes(await client.json(Ask("GET", path, Group.HEAVY, priority, params))), sync_token=None)


def _full_sync(since: datetime) -> list[tuple[str, str]]:
    return [("syncType", "FSync"), ("dateFrom", since.isoformat()), ("recordCount", str(PAGE))]


def read_changes(body: Mapping[str, Any]) -> Changes:
    """A page as it was answered; records that cannot be read are counted and left out."""
    calls = [read_call(record) for record in list_of(body.get("records"))]
    info = map_of(body.get("syncInfo"))
    readable = [call for call in calls if call is not None]
    token, as_of = text_of(info.get("syncToken")), time_of(info.get("syncTime"))
    return Changes(
        calls=readable,
        unreadable=len(calls) - len(readable),
        sync_token=token if storable(token) == token else None,
        more=info.get("newerRecordsExist") is True,
        as_of=as_of,
    )


def read_call(record: Any) -> Call | None:
    """One record, or None when it has no id or is nested without end."""
    try:
        record = storable(map_of(record))
    except NotJson:
        return None
    call_log_id = text_of(record.get("id"))
    if call_log_id is None:
        return None
    modified_at = time_of(record.get("lastModifiedTime"))
    recordings: dict[str, Saying] = {}
    for place in [*reversed(list_of(record.get("legs"))), record]:  # what stands on the record wins over its legs
        recording = map_of(map_of(place).get("recording"))
        recording_id = text_of(recording.get("id"))
        if recording_id is not None:
            facts = _facts(map_of(place), record) | _audio(recording) | {"call_log_id": call_log_id}
            recordings[recording_id] = Saying("call_log", version_of(modified_at), facts)
    return Call(
        call_log_id=call_log_id,
        session_id=text_of(record.get("sessionId")),
        telephony_session_id=text_of(record.get("telephonySessionId")),
        extension_id=text_of(map_of(record.get("extension")).get("id")),
        direction=text_of(record.get("direction")),
        started_at=time_of(record.get("startTime")),
        duration_ms=_duration_ms(record),
        modified_at=modified_at,
        deleted=record.get("deleted") is True,
        entry=record,
        recordings=recordings,
    )


def _facts(place: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    """The facts of a record or a leg; what a leg does not say, its record does."""
    both = record | {name: value for name, value in place.items() if value is not None}
    caller, called = map_of(both.get("from")), map_of(both.get("to"))
    return {
        "telephony_session_id": text_of(both.get("telephonySessionId")),
        "direction": text_of(both.get("direction")),
        "started_at": version_of(time_of(both.get("startTime"))) or None,
        "duration_ms": _duration_ms(record) if (own := _duration_ms(place)) is None else own,
        "from_number": _number(caller),
        "from_name": text_of(caller.get("name")),
        "to_number": _number(called),
        "to_name": text_of(called.get("name")),
        "extension_id": text_of(map_of(both.get("extension")).get("id")),
    }


def _audio(recording: dict[str, Any]) -> dict[str, Any]:
    return {
        "recording_type": text_of(recording.get("type")),
        "audio_content_uri": text_of(recording.get("contentUri")),
    }


def _number(party: dict[str, Any]) -> str | None:
    return text_of(party.get("phoneNumber")) or text_of(party.get("extensionNumber"))


def _duration_ms(place: dict[str, Any]) -> int | None:
    exact = milliseconds_of(place.get("durationMs"))
    if exact is not None:
        return exact
    seconds = whole_number_of(place.get("duration"))
    return None if seconds is None else milliseconds_of(seconds * 1000)


def digest_of_call(call: Call) -> str:
    """Decides between two wordings of one record that were modified in the same millisecond."""
    return digest_of(call.entry)
