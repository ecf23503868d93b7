"""What RingCentral may answer, as one tree; each error says what to do.

RingCentralError
├── Throttled             ask again after `retry_after` seconds; the group is closed for everybody meanwhile
├── NoBudget              no slot came free in the time the caller had; nothing was sent
├── Unauthenticated       the access token was refused, and so was a new one; ask again later
├── CredentialRefused     JWT, client id or secret are refused, or of another account: a person must mend it
├── Forbidden             a scope or permission is missing: a person must grant it
├── Missing               404 and the like: not there, or not there yet
├── Rejected              the request itself is wrong for RingCentral: asking again is of no use
├── SourceFailed          5xx, a lost connection, silence, or an answer that is no answer: ask again
└── ForeignHost           refused by ourselves: the URL is on a host that may not be sent the token

Codes are read nested first, then top level, because the two can differ and the nested one is exact (facts 8). Texts of
RingCentral are never passed on: they are localised, and may quote numbers.
"""

import re
from collections.abc import Mapping
from typing import Any, Final


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
    """The token endpoint refused who we are, or the credential belongs to another account."""


class Forbidden(RingCentralError):
    """403. `permission` is what is missing, when RingCentral names it.

    `of_user` tells whether another user may do better: it is false when a scope of the app is missing.
    """

    def __init__(
        self,
        sentence: str,
        *,
        status: int | None = None,
        code: str | None = None,
        permission: str | None = None,
        of_user: bool = True,
    ) -> None:
        super().__init__(sentence, status=status, code=code)
        self.permission = permission
        self.of_user = of_user


class Missing(RingCentralError):
    """404, or 400 with a code that says the same."""


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
DEFAULT_RETRY_AFTER: Final = 30.0
#: Seconds that `Retry-After` may ask for at most; more is taken for nonsense, as no limit is that long (facts 6).
LONGEST_RETRY_AFTER: Final = 24 * 3600.0
#: What a code or the name of a permission looks like; anything else is text, which is not passed on.
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
#: Client errors that pass by themselves: a slow request, and one that came too early.
_PASSING: Final = frozenset({408, 425})
#: "Resource not found", which is answered with 400 as well as with 404 (facts 8).
_NOT_FOUND: Final = "CMN-102"
#: "Parameter is invalid", which is answered with 400 as well as with 403 (facts 8).
_BAD_PARAMETER: Final = "CMN-101"
#: A missing scope of the app, and a feature that the account lacks: no other user of the account can do better.
_OF_EVERYBODY: Final = {
    "CMN-401": "a scope of the app is missing: add it in RingCentral's Developer Console",
    "CMN-109": "the account lacks the feature: ask for it in RingCentral's Admin Portal",
}
_OF_THE_USER: Final = "a permission of the user is missing: grant it to their role in RingCentral's Admin Portal"


def error_of(status: int, headers: Mapping[str, str], body: object) -> RingCentralError:
    """The error that an answer of status 300 or more means. Pure: it only reads."""
    code, permission = code_of(body)
    told = f" ({code})" if code else ""
    if status == 429:
        return Throttled(f"RingCentral throttles{told}", retry_after=retry_after(headers), status=status, code=code)
    if status >= 500 or status < 400 or status in _PASSING:
        pause = retry_after(headers) if "retry-after" in headers else None
        return SourceFailed(f"RingCentral answered {status}{told}", retry_after=pause, status=status, code=code)
    if status == 401:
        return Unauthenticated(f"RingCentral refuses the access token{told}", status=status, code=code)
    if status == 404 or code == _NOT_FOUND:
        return Missing(f"RingCentral has nothing there{told}", status=status, code=code)
    if status == 403 and code != _BAD_PARAMETER:
        return _forbidden(code, permission)
    return Rejected(f"RingCentral answered {status}{told}", status=status, code=code)


def _forbidden(code: str | None, permission: str | None) -> Forbidden:
    named = ", ".join(part for part in (code, permission) if part)
    sentence = _OF_EVERYBODY.get(code or "", _OF_THE_USER)
    return Forbidden(
        f"RingCentral forbids it{f' ({named})' if named else ''}; {sentence}",
        status=403,
        code=code,
        permission=permission,
        of_user=code not in _OF_EVERYBODY,
    )


def code_of(body: object) -> tuple[str | None, str | None]:
    """The error code and the name of the missing permission in an error body, nested first.

    The token endpoint has a third place, `error`, in the words of OAuth (facts 7); it comes last.
    """
    if not isinstance(body, dict):
        return None, None
    nested = body.get("errors")
    places = [place for place in (*(nested if isinstance(nested, list) else ()), body) if isinstance(place, dict)]
    return _first(places, "errorCode") or _first([body], "error"), _first(places, "permissionName")


def _first(places: list[dict[str, Any]], key: str) -> str | None:
    values = (place.get(key) for place in places)
    return next((value for value in values if isinstance(value, str) and _NAME.fullmatch(value)), None)


def retry_after(headers: Mapping[str, str], default: float = DEFAULT_RETRY_AFTER) -> float:
    """Seconds that `Retry-After` asks for, or the default; a date or nonsense counts as the default."""
    try:
        seconds = float(headers.get("retry-after", default))
    except ValueError:
        return default
    return seconds if 0 <= seconds <= LONGEST_RETRY_AFTER else default


def pause_asked_by(error: Exception) -> float:
    """Seconds that RingCentral asked to wait with an error; 0 when it asked for nothing."""
    asked = error.retry_after if isinstance(error, Throttled | SourceFailed) else None
    return asked or 0.0
