"""Who is asking: the verification token, and the handshake's token that is sent back. No I/O.

RingCentral names two headers for the verification token, so both count (facts 2.2). A `Validation-Token` may therefore
be the handshake's challenge or the subscription's secret, and only the body tells which.
"""

import hmac
import re
from collections.abc import Iterable, Sequence
from typing import Final

from multidict import MultiMapping

from services.webhook.answers import Outcome, Refused

VERIFICATION: Final = "Verification-Token"
VALIDATION: Final = "Validation-Token"

#: What can be echoed: visible ASCII, so that it passes every proxy unchanged, and short enough to leave half of the
#: 1024 bytes that RingCentral allows (facts 2.1) to our other headers and to those of proxies. Real ones are UUIDs.
_ECHOABLE: Final = re.compile(r"[!-~](?:[ -~]{0,510}[!-~])?")


def demand_token(headers: MultiMapping[str], tokens: Sequence[str]) -> None:
    """Raise `Refused` unless one of our tokens is offered, in constant time per token. No tokens: everyone may pass."""
    if not tokens:
        return
    offered = [*headers.getall(VERIFICATION, []), *headers.getall(VALIDATION, [])]
    if not offered:
        raise Refused(Outcome.TOKEN_MISSING, f"the header {VERIFICATION} is missing")
    if not _any_equal(offered, tokens):
        raise Refused(Outcome.TOKEN_WRONG, "the verification token is not ours")


def _any_equal(offered: Iterable[str], tokens: Sequence[str]) -> bool:
    # A list, not a generator: every pair is compared, so that time does not tell which token came close.
    return any([hmac.compare_digest(_bytes(one), _bytes(token)) for one in offered for token in tokens])  # noqa: C419


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def echo_of(headers: MultiMapping[str]) -> str | None:
    """The `Validation-Token` to send back; None when there is none, or none that could be sent."""
    token = headers.get(VALIDATION)
    return token if token is not None and _ECHOABLE.fullmatch(token) else None


def demand_echoable(headers: MultiMapping[str]) -> None:
    """Raise `Refused` when the handshake's token cannot be sent back."""
    if echo_of(headers) is None:
        raise Refused(Outcome.MALFORMED, f"the header {VALIDATION} is longer than 512 or not visible ASCII")
