"""What RingCentral may answer, as one tree; each error says what to do.

RingCentralError
├── Throttled             ask again after `retry_after` seconds; the group is closed for everybody meanwhile
├── NoBudget              no slot came free in the time the caller had; nothing was sent
├── Unauthenticated       the access token was refused twice in a row; ask again later
├── CredentialRefused     JWT, client id or secret are refused: a person must mend it
├── Forbidden             a scope or permission is missing: a person must grant it
├── Missing               404 and the like: not there, or not there yet
├── Rejected              the request itself is wrong for RingCentral: asking again is of no use
├── SourceFailed          5xx, a lost connection, silence, or an answer that is no answer: ask again
└── ForeignHost           refused by ourselves: the URL is on a host that may not be sent the token

Codes are read nested first, then top level, because the two can differ and the nested one is exact (facts 8). Texts of
RingCentral are never passed on: they are localised, and may quote numbers.
"""

from collections.abc import Mapping
from typing import Any


class RingCentralError(Exception):
    """The root. `status` is the HTTP status when there was one, `code` RingCentral's error code."""

    def __init__(self, sentence: str, *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code


class Throttled(RingCentralError):
    """429; `retry_after` in seconds."""

    def __init__(
        self, sentence: str, *, retry_after: float, status: int | None = None, code: str | None = None
    ) -> None:
        super().__init__(sentence, status=status, code=code)
        self.retry_after = retry_after


class NoBudget(RingCentralError):
    """No slot came free in time."""


class Unauthenticated(RingCentralError):
    """401."""


class CredentialRefused(RingCentralError):
    """The token endpoint refused who we are."""


class Forbidden(RingCentralError):
    """403; the sentence names the permission when RingCentral does."""


class Missing(RingCentralError):
    """404."""


class Rejected(RingCentralError):
    """Any other 4xx."""


class SourceFailed(RingCentralError):
    """5xx or no proper answer; `retry_after` in seconds when RingCentral said one."""

    def __init__(
        self, sentence: str, *, retry_after: float | None = None, status: int | None = None, code: str | None = None
    ) -> None:
        super().__init__(sentence, status=status, code=code)
        self.retry_after = retry_after


class ForeignHost(RingCentralError):
    """A URL on a host outside `RC_MEDIA_HOSTS`."""


#: Seconds to wait after a 429 or 503 that does not say how long: "else wait at least 30 s" (facts 6).
DEFAULT_RETRY_AFTER = 30.0

_KINDS: dict[int, tuple[type[RingCentralError], str]] = {
    401: (Unauthenticated, "RingCentral refuses the access token"),
    403: (Forbidden, "RingCentral refuses: a scope of the app or a permission of the user is missing"),
    404: (Missing, "RingCentral has nothing there"),
}


def error_of(status: int, headers: Mapping[str, str], body: object) -> RingCentralError:
    """The error that an answer of status 300 or more means. Pure: it only reads."""
    code, permission = code_of(body)
    told = f" ({code})" if code else ""
    if status == 429:
        return Throttled(f"RingCentral throttles{told}", retry_after=retry_after(headers), status=status, code=code)
    if status >= 500 or status < 400:
        pause = retry_after(headers) if "retry-after" in headers else None
        return SourceFailed(f"RingCentral answered {status}{told}", retry_after=pause, status=status, code=code)
    kind, sentence = _KINDS.get(status, (Rejected, f"RingCentral answered {status}"))
    if permission and kind is Forbidden:
        sentence += f": {permission}"
    return kind(f"{sentence}{told}", status=status, code=code)


def code_of(body: object) -> tuple[str | None, str | None]:
    """The error code and the name of the missing permission in an error body, nested first."""
    if not isinstance(body, dict):
        return None, None
    nested = body.get("errors")
    places: list[dict[str, Any]] = [*(nested if isinstance(nested, list) else []), body]
    places = [place for place in places if isinstance(place, dict)]
    code = next((place["errorCode"] for place in places if isinstance(place.get("errorCode"), str)), None)
    permission = next(
        (place["permissionName"] for place in places if isinstance(place.get("permissionName"), str)), None
    )
    return code or (body.get("error") if isinstance(body.get("error"), str) else None), permission


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that `Retry-After` asks for, or the default; a date or nonsense counts as the default."""
    try:
        return max(0.0, float(headers.get("retry-after", DEFAULT_RETRY_AFTER)))
    except ValueError:
        return DEFAULT_RETRY_AFTER
