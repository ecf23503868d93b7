"""When insights that no event brought are asked for: after so long since the end of the call. Pure.

Insights come 5 to 30 minutes after a call, some later (facts 1.5). Asking costs one of fifty light requests a minute.

| | asked for, after the call's end |
|---|---|
| a recording of an extension that has insights, or that came with call notes alone | 45 min, 2 h, 6 h, 1, 3, 7 days |
| any other | once, after 2 h |
| one that has insights | once more, after 1 day: of several events one may have been lost, and nothing tells |

A recording that was seen only later is asked for some minutes after that, and then goes on where its age is.
"""

from datetime import datetime, timedelta
from typing import Final

#: The ages at which insights are asked for where they are expected. The first is later than nearly all events.
EXPECTED: Final = (
    timedelta(minutes=45),
    timedelta(hours=2),
    timedelta(hours=6),
    timedelta(days=1),
    timedelta(days=3),
    timedelta(days=7),
)
#: The ages at which they are asked for where they are not: late enough for one answer to be the last.
NOT_EXPECTED: Final = (timedelta(hours=2),)
#: The age at which what has insights is looked at for the last time: by then RingCentral has made all of them.
LAST_LOOK: Final = timedelta(days=1)
#: What began longer ago than this is not looked at any more.
LOOK_WITHIN: Final = EXPECTED[-1]
#: An extension has insights when one of its recordings has some that began within so long.
EXPECTED_WITHIN: Final = timedelta(days=30)
#: Time for an event that has arrived here, and is in the spool or the queue, to reach the row.
ON_ITS_WAY: Final = timedelta(minutes=10)
#: Two steps are not nearer than that: asking late makes the next one needless.
NEAREST: Final = timedelta(minutes=15)
#: After an answer that is none (a failure, a missing permission), uncounted: the recording itself is not to blame.
AGAIN: Final = timedelta(hours=1)
#: The same where insights are here already: nobody misses anything, so a permission or a server has more time.
LOOK_AGAIN: Final = timedelta(days=1)


def first_ask(ended_at: datetime, first_seen_at: datetime, *, expected: bool) -> datetime:
    """When the insights of a recording are asked for first."""
    return max(ended_at + _steps(expected=expected)[0], first_seen_at + ON_ITS_WAY)


def next_ask(ended_at: datetime, now: datetime, *, expected: bool) -> datetime | None:
    """When they are asked for next, after they were not there; None when that was the last time."""
    ahead = (ended_at + step for step in _steps(expected=expected))
    return next((moment for moment in ahead if moment >= now + NEAREST), None)


def ask_after_failure(ended_at: datetime, first_seen_at: datetime, now: datetime, *, present: bool) -> datetime | None:
    """When they are asked for next, after the answer was none; None when the schedule of its age is over."""
    due_at = now + (LOOK_AGAIN if present else AGAIN)
    return due_at if due_at < max(ended_at, first_seen_at) + EXPECTED[-1] else None


def _steps(*, expected: bool) -> tuple[timedelta, ...]:
    return EXPECTED if expected else NOT_EXPECTED
