"""Every answer that the receiver gives: the closed set of outcomes, their status, and the response."""

from enum import StrEnum
from typing import Final

from aiohttp import web

#: Seconds after which a sender may try again when nothing could be written: a broker's restart takes about so long.
RETRY_AFTER: Final = 30


class Outcome(StrEnum):
    """What became of a request; the value is the label of the metric."""

    HANDSHAKE = "handshake"
    PUBLISHED = "published"
    SPOOLED = "spooled"
    #: Genuine, but not about insights: accepted and forgotten.
    IGNORED = "ignored"
    WRONG_NETWORK = "wrong_network"
    WRONG_PATH = "wrong_path"
    WRONG_METHOD = "wrong_method"
    WRONG_MEDIA_TYPE = "wrong_media_type"
    #: A compressed body: RingCentral sends none, and a small one can be large.
    WRONG_ENCODING = "wrong_encoding"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    MALFORMED = "malformed"
    TOKEN_MISSING = "token_missing"  # noqa: S105 - no secret but a label
    TOKEN_WRONG = "token_wrong"  # noqa: S105 - no secret but a label
    WRONG_ACCOUNT = "wrong_account"
    #: There was no room in memory for one more body.
    CROWDED = "crowded"
    #: Broker and spool are both unusable: the one answer that may lose an event.
    NOT_DURABLE = "not_durable"
    #: A fault of our own.
    FAILED = "failed"


STATUS: Final = {
    Outcome.HANDSHAKE: 200,
    Outcome.PUBLISHED: 200,
    Outcome.SPOOLED: 200,
    Outcome.IGNORED: 200,
    Outcome.WRONG_NETWORK: 403,
    Outcome.WRONG_PATH: 404,
    Outcome.WRONG_METHOD: 405,
    Outcome.WRONG_MEDIA_TYPE: 415,
    Outcome.WRONG_ENCODING: 415,
    Outcome.TOO_LARGE: 413,
    Outcome.TOO_SLOW: 408,
    Outcome.MALFORMED: 400,
    Outcome.TOKEN_MISSING: 401,
    Outcome.TOKEN_WRONG: 403,
    Outcome.WRONG_ACCOUNT: 403,
    Outcome.CROWDED: 503,
    Outcome.NOT_DURABLE: 503,
    Outcome.FAILED: 500,
}


class Refused(Exception):
    """A request that is not accepted; the reason goes to the sender and repeats nothing of what he sent."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason


def accept(outcome: Outcome, echo: str | None) -> web.Response:
    """A 200 without a body; `echo` goes back as `Validation-Token` (facts 2.1)."""
    headers = {"Content-Type": "application/json"}
    if echo is not None:
        headers["Validation-Token"] = echo
    return web.Response(status=STATUS[outcome], headers=headers)


def refuse(refusal: Refused) -> web.Response:
    """The refusal as JSON."""
    response = web.json_response({"error": refusal.reason}, status=STATUS[refusal.outcome])
    match refusal.outcome:
        case Outcome.WRONG_METHOD:
            response.headers["Allow"] = "POST"
        case Outcome.WRONG_ENCODING:
            response.headers["Accept-Encoding"] = "identity"
        case Outcome.NOT_DURABLE | Outcome.CROWDED:
            response.headers["Retry-After"] = str(RETRY_AFTER)
        case Outcome.TOO_SLOW:
            response.force_close()  # or the connection would go on waiting for the rest.
        case _:
            pass
    return response
