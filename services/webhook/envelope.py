"""What is in the body: an event envelope of our account, or a reason why it is none. No I/O.

Everything genuine must be answered with 200, or the subscription may be suspended (facts 2.4). Genuine are also events
that are not about insights, such as the reminder that a subscription will end: they are accepted and not enqueued.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from services.webhook.answers import Outcome, Refused

#: The concrete id is in the event's path (facts 1.3); `ownerId` is an extension. `~` is what a reminder may have.
_ACCOUNT: Final = re.compile(r"/accounts?/([^/]+)")
_INSIGHTS: Final = re.compile(r"/ai/ringsense/v1/public/accounts/[^/]+/domains/[^/]+/insights")

#: Characters of a `uuid` that go to the log: a UUID and some grace for what else RingCentral may send.
_UUID_SHOWN: Final = 64


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the receiver needs to know of an event."""

    uuid: str
    is_insights: bool


def read_envelope(raw: bytes, account_id: str) -> Envelope:
    """Read the body of a request; raises `Refused` for no JSON, no envelope, or another account's event."""
    body = _json(raw)
    if not isinstance(body, dict) or not isinstance(body.get("event"), str) or not body["event"].startswith("/"):
        raise Refused(Outcome.MALFORMED, "the body is not an event envelope: it has no event path")
    path = body["event"].partition("?")[0]
    is_insights = _INSIGHTS.fullmatch(path) is not None
    _demand_account(path, account_id, is_insights=is_insights)
    if is_insights and not isinstance(body.get("body"), dict):
        raise Refused(Outcome.MALFORMED, "the body is not an event envelope: it has no body of its own")
    return Envelope(_shown(body.get("uuid")), is_insights)


def _demand_account(path: str, account_id: str, *, is_insights: bool) -> None:
    found = _ACCOUNT.search(path)
    named = found[1] if found else "~"
    if named != account_id and (is_insights or named != "~"):
        raise Refused(Outcome.WRONG_ACCOUNT, "the event is of another account")


def _json(raw: bytes) -> Any:
    """JSON as RFC 8259 has it, in UTF-8. NUL and lone surrogates in strings are JSON, and genuine."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(Outcome.MALFORMED, "the body is not UTF-8 text") from None
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
    except RecursionError:
        raise Refused(Outcome.MALFORMED, "the body is nested too deeply") from None
    except ValueError:
        raise Refused(Outcome.MALFORMED, "the body is not JSON") from None


def _no_constant(_name: str) -> NoReturn:
    raise Refused(Outcome.MALFORMED, "the body is not JSON: it has a number that is none")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):  # two readers might take two different values for the same event.
        raise Refused(Outcome.MALFORMED, "the body has the same key twice in one object")
    return found


def _shown(uuid: object) -> str:
    """The sender's `uuid` for the log: text alone, visible ASCII, short."""
    return re.sub(r"[^!-~]", "?", uuid[:_UUID_SHOWN]) if isinstance(uuid, str) else ""
