"""When an attempt is made again: steps that a person can read, per kind of failure. Pure.

| after failure | not ready | source failed | implausible | our storage failed |
|---|---|---|---|---|
| 1 | 30 s | 10 s | 5 min | 30 s |
| 2 | 1 min | 1 min | 15 min | 1 min |
| 3 | 2 min | 5 min | 30 min | 5 min |
| 4 | 5 min | 20 min | 1 h | 15 min |
| 5 | 15 min | 1 h | 2 h | 30 min |
| 6 | 1 h | 3 h | 3 h | 1 h |
| 7 | 3 h | 6 h | 6 h | 3 h |
| 8 | 6 h | 12 h | 12 h | 6 h |
| 9 | 12 h | 24 h | 24 h | 12 h |
| 10 | 24 h | 24 h | 24 h | 24 h |
| then | `unavailable` | `failed` | stays `quarantined` | `failed` |

Each kind is counted by itself, so that none uses up the schedule of another; and an attempt that insights have brought
forward takes no step, as it was made ahead of its time.

What our storage finds too large is tried each day for ten days: a person must raise its limit, and others go on.

Uncounted, so that no wait ends in `failed`: throttled (when RingCentral says), no budget, a credential, permission or
host that a person must mend, and a storage that is away. What is refused for want of a permission, or for its host, is
asked for hourly, and daily when it was refused so before and its call is older than a day; it is `unavailable` when
RingCentral keeps it no longer. Nothing there more than a day after the call is asked for once more, hours later, and is
`unavailable` then; at once when the call is older than RingCentral keeps anything, when all was tried, or when
something is kept in quarantine, where it stays.

RingCentral's own archiver retries after 5 min, 20 min, 1 h, 3 h and 24 h (facts 9).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Literal

Kind = Literal["not_ready", "source_failed", "implausible", "storage_failed", "too_large"]

_MINUTE: Final = 60
_HOUR: Final = 3600

STEPS: Final[dict[Kind, tuple[int, ...]]] = {
    "not_ready": (
        30,
        1 * _MINUTE,
        2 * _MINUTE,
        5 * _MINUTE,
        15 * _MINUTE,
        1 * _HOUR,
        3 * _HOUR,
        6 * _HOUR,
        12 * _HOUR,
        24 * _HOUR,
    ),
    "source_failed": (
        10,
        1 * _MINUTE,
        5 * _MINUTE,
        20 * _MINUTE,
        1 * _HOUR,
        3 * _HOUR,
        6 * _HOUR,
        12 * _HOUR,
        24 * _HOUR,
        24 * _HOUR,
    ),
    "implausible": (
        5 * _MINUTE,
        15 * _MINUTE,
        30 * _MINUTE,
        1 * _HOUR,
        2 * _HOUR,
        3 * _HOUR,
        6 * _HOUR,
        12 * _HOUR,
        24 * _HOUR,
        24 * _HOUR,
    ),
    "storage_failed": (
        30,
        1 * _MINUTE,
        5 * _MINUTE,
        15 * _MINUTE,
        30 * _MINUTE,
        1 * _HOUR,
        3 * _HOUR,
        6 * _HOUR,
        12 * _HOUR,
        24 * _HOUR,
    ),
    "too_large": (24 * _HOUR,) * 10,
}
#: After the call; most audio is ready within minutes, so what is not there by then was deleted, or never made.
_READY_WITHIN: Final = timedelta(days=1)
#: Until what is not there by then is asked for the last time: long enough for a hitch of theirs to pass.
_ONCE_MORE: Final = timedelta(hours=6)
#: Until what was refused is asked for again: a person must act meanwhile.
_REFUSED: Final = timedelta(hours=1)
#: The same while nobody does: all that was refused in ninety days is asked for again and again, and 600 requests an
#: hour are the whole budget of a user (facts 6).
_REFUSED_AGAIN: Final = timedelta(days=1)
#: After what RingCentral keeps is over: for its clean-up.
_CLEANED_UP: Final = timedelta(days=1)


def counted(failures: Mapping[str, int], kind: Kind, *, ahead: bool) -> dict[str, int]:
    """How often each kind was met, now that this one was; `ahead` says that the attempt was brought forward."""
    before = failures.get(kind, 0)
    return {**failures, kind: max(before, 1) if ahead else before + 1}


def next_step(kind: Kind, failures: int) -> timedelta | None:
    """How long to wait after that many failures of the kind, this one included; None when the schedule is used up."""
    steps = STEPS[kind]
    return timedelta(seconds=steps[failures - 1]) if failures <= len(steps) else None


def next_step_when_missing(failures: int, age: timedelta, kept: timedelta, *, before_as_well: bool) -> timedelta | None:
    """The same when RingCentral has nothing there, `age` after the call's end; None when it will never be there.

    RingCentral keeps recordings for as long as `kept`.

    `before_as_well` says that the attempt before found nothing either, or that what there was is kept.
    """
    step = next_step("not_ready", failures)
    if age <= _READY_WITHIN:
        return step
    return None if age > kept + _CLEANED_UP or before_as_well or step is None else _ONCE_MORE


def next_step_when_refused(age: timedelta, kept: timedelta, *, before_as_well: bool) -> timedelta | None:
    """The same when it is refused for want of a permission, or for its host.

    `before_as_well` says that it was refused so before, or that what there is is kept.
    """
    if age > kept + _CLEANED_UP:
        return None
    return _REFUSED_AGAIN if before_as_well and age > _READY_WITHIN else _REFUSED


def why_unavailable(age: timedelta, kept: timedelta, reason: str) -> str:
    """The sentence for a recording that will never be there."""
    if age > kept + _CLEANED_UP:
        return f"{reason}: the call is older than the {kept.days} days that RingCentral keeps recordings"
    return f"{reason}, {age.days} d {age.seconds // _HOUR} h after the call: it was deleted, or never made"
