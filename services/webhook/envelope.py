"""What is in the body: an event envelope of our account, or a reason why it is none. No I/O.

Everything genuine must be answered with 200, or the subscription may be suspended (facts 2.4). Genuine are also events
that are not about insights, such as the reminder that a subscription will end: they are accepted and not enqueued.
What is about insights is judged by its path and account alone: the journal keeps also what nobody understands yet.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from services.webhook.answers import Outcome, Refused

#: The concrete id is in the event's path (facts 1.3); `ownerId` is an extension. `~` is what a reminder may have.
_ACCOUNT: Final = re.compile(r"/accounts?/([^/]+)")
#: Where all paths about insights begin, those of tomorrow's versions too.
_INSIGHTS: Final = "/ai/ringsense/"

#: Characters of a `uuid` that go to the log: a UUID and some grace for what else RingCentral may send.
_UUID_SHOWN: Final = 64


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the receiver needs to know of an event."""

    uuid: str
    #: Whether it is to be kept: about insights, and of our account.
    is_insights: bool


def read_envelope(raw: bytes, account_id: str) -> Envelope:
    """Read the body of a request; raises `Refused` for no JSON, no envelope, or another account's event."""
    body = _json(raw)
    if not isinstance(body, dict) or not isinstance(body.get("event"), str) or not body["event"].startswith("/"):
        raise Refused(Outcome.MALFORMED, "the body is not an event envelope: it has no event path")
    path = body["event"].partition("?")[0]
    is_insights = path.startswith(_INSIGHTS)
    found = _ACCOUNT.search(path)
    named = found[1] if found else None
    # A path that names no account may be genuine, so it is no reason to refuse; nor does it show that it is ours.
    if named not in ({account_id, None} if is_insights else {account_id, None, "~"}):
        raise Refused(Outcome.WRONG_ACCOUNT, "the event is of another account")
    return Envelope(_shown(body.get("uuid")), is_insights and named == account_id)


def _json(raw: bytes) -> Any:
    """JSON as RFC 8259 has it, in UTF-8. NUL and lone surrogates in strings are JSON, and genuine.

    So is a key that comes twice; the last one counts, as it does for Postgres and for the insights process.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(Outcome.MALFORMED, "the body is not UTF-8 text") from None
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise Refused(Outcome.MALFORMED, "the body is nested too deeply") from None
    except ValueError:
        raise Refused(Outcome.MALFORMED, "the body is not JSON") from None


def _no_constant(_name: str) -> NoReturn:
    raise Refused(Outcome.MALFORMED, "the body is not JSON: it has a number that is none")


def _shown(uuid: object) -> str:
    """The sender's `uuid` for the log: text alone, visible ASCII, short."""
    return re.sub(r"[^!-~]", "?", uuid[:_UUID_SHOWN]) if isinstance(uuid, str) else ""
