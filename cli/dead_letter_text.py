"""Dead letters as text: ids and history in the clear, everything else hidden unless it is asked for."""

import json
from typing import Any, Final

from common.amqp.dead_letters import DeadLetter
from common.plain_json import NotJson, map_of, read_json, text_of

#: Headers of ours, none of which holds personal data.
_HEADERS: Final = ("kind", "version", "account_id", "received_at")
#: What names a message without telling what it says: in the envelope of an event or the key of a job, and in what the
#: envelope holds.
_ENVELOPE: Final = (
    "uuid",
    "event",
    "timestamp",
    "subscriptionId",
    "ownerId",
    "account_id",
    "domain",
    "source_record_id",
)
_BODY: Final = ("domain", "sourceRecordId", "sourceSessionId", "lastModifiedTime")
#: Characters of a value that are shown: ours are shorter.
_LONGEST: Final = 200


def description_of(letter: DeadLetter, *, with_body: bool) -> str:
    """A dead letter as JSON, in ASCII, so that no message can steer the terminal."""
    headers = letter.wire.headers
    told: dict[str, Any] = {
        "id": letter.id,
        "queue": letter.queue,
        "cause": letter.cause[:_LONGEST],
        "times": letter.times,
        "first_at": letter.first_at.isoformat() if letter.first_at else None,
        "last_at": letter.last_at.isoformat() if letter.last_at else None,
        "bytes": len(letter.wire.body),
        "headers": {name: headers[name][:_LONGEST] for name in _HEADERS if name in headers},
        "message": _ids_of(letter.wire.body),
    }
    if with_body:
        told |= {"headers": dict(headers), "body": letter.wire.body.decode("utf-8", errors="replace")}
    return json.dumps(told, indent=2)


def _ids_of(body: bytes) -> dict[str, str]:
    try:
        said = map_of(read_json(body))
    except NotJson:
        return {}
    ids = {name: text_of(said.get(name)) for name in _ENVELOPE}
    ids |= {f"body.{name}": text_of(map_of(said.get("body")).get(name)) for name in _BODY}
    return {name: value[:_LONGEST] for name, value in ids.items() if value is not None}
