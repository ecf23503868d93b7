"""When a failed attempt is made again: steps that a person can read, per kind of failure. Pure.

| attempt | not ready yet | failed | since the first |
|---|---|---|---|
| 2 | 30 s | 10 s | |
| 3 | 1 min | 1 min | 1 to 2 min |
| 4 | 2 min | 5 min | 4 to 6 min |
| 5 | 5 min | 20 min | 9 to 26 min |
| 6 | 15 min | 1 h | 24 min to 1.5 h |
| 7 | 1 h | 3 h | 1.4 to 4.5 h |
| 8 | 3 h | 6 h | 4.4 to 10.5 h |
| 9 | 6 h | 12 h | 10 to 22 h |
| 10 | 12 h | 24 h | 22 h to 2 days |
| 11 | 24 h | 24 h | 2 to 3 days |

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
