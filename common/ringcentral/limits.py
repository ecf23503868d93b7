"""What the headers of an answer tell about the rate limit (facts 6). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from common.ringcentral.errors import DEFAULT_RETRY_AFTER, retry_after

_PREFIX: Final = "x-rate-limit-"
#: Requests in a window and seconds of a window that are believed at most: far beyond any limit that was ever told.
_MOST_SLOTS: Final = 10_000
_LONGEST_WINDOW: Final = 24 * 3600.0
#: Seconds that a group is closed at least: a penalty of none would be a request after each refusal.
_SHORTEST_PENALTY: Final = 1.0


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests in a sliding window of so many seconds, `remaining` of which are left now."""

    slots: int
    window: float
    remaining: int


def group_of(headers: Mapping[str, str]) -> str | None:
    """The group that an answer was counted in, if it tells."""
    return headers.get(f"{_PREFIX}group", "").strip().lower() or None


def limit_of(headers: Mapping[str, str], group: str) -> Limit | None:
    """The limit of `group`, if the headers tell it; that of another group is not it."""
    try:
        slots = int(headers[f"{_PREFIX}limit"])
        window = float(headers[f"{_PREFIX}window"])
        remaining = int(headers.get(f"{_PREFIX}remaining", slots - 1))
    except (KeyError, ValueError):
        return None
    sensible = 0 < slots <= _MOST_SLOTS and 0 < window <= _LONGEST_WINDOW
    return Limit(slots, window, max(0, remaining)) if sensible and group_of(headers) in {None, group} else None


def of_another_limiter(headers: Mapping[str, str]) -> bool:
    """Whether a 429 comes from another limiter than the groups': of the account, the address, a service."""
    return not any(name.lower().startswith(_PREFIX) for name in headers)


def penalty_of(headers: Mapping[str, str]) -> float:
    """Seconds that a 429 closes for; without `Retry-After` a window, because that is how long penalties are."""
    try:
        window = float(headers.get(f"{_PREFIX}window", DEFAULT_RETRY_AFTER))
    except ValueError:
        window = DEFAULT_RETRY_AFTER
    default = window if DEFAULT_RETRY_AFTER <= window <= _LONGEST_WINDOW else DEFAULT_RETRY_AFTER
    return max(_SHORTEST_PENALTY, retry_after(headers, default))
