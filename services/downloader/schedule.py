"""When a failed attempt is made again: steps that a person can read, per kind of failure. Pure.

| attempt | not ready yet | since the first | failed | since the first |
|---|---|---|---|---|
| 2 | 30 s | 30 s | 10 s | 10 s |
| 3 | 1 min | 1.5 min | 1 min | 1 min |
| 4 | 2 min | 3.5 min | 5 min | 6 min |
| 5 | 5 min | 8.5 min | 20 min | 26 min |
| 6 | 15 min | 24 min | 1 h | 1.4 h |
| 7 | 1 h | 1.4 h | 3 h | 4.4 h |
| 8 | 3 h | 4.4 h | 6 h | 10 h |
| 9 | 6 h | 10 h | 12 h | 22 h |
| 10 | 12 h | 22 h | 24 h | 46 h |
| 11 | 24 h | 46 h | 24 h | 70 h |

RingCentral's own archiver retries after 5 min, 20 min, 1 h, 3 h and 24 h (facts 9).
"""

from datetime import timedelta
from typing import Final, Literal

Kind = Literal["not_ready", "failed"]

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
    "failed": (
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
}


def next_step(kind: Kind, attempts: int) -> timedelta | None:
    """How long to wait after that many attempts, this one included; None when the schedule is used up."""
    steps = STEPS[kind]
    return timedelta(seconds=steps[attempts - 1]) if attempts <= len(steps) else None
