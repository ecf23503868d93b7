"""Which window of the call log is read next, while there is no sync endpoint. Pure.

A window goes by the start of calls, but a record appears only when its call has ended, and is written again later
(facts 4.3): windows that only follow each other would miss long calls. So there are two, which overlap:

| window | read | goes back behind | finds |
|---|---|---|---|
| shallow | by each poll | the last poll | nearly all calls, within a minute |
| deep | by the first poll after an hour | the last deep window | all others, within an hour |

Because a deep one goes back behind the deep one before, no outage, however long, leaves a gap.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from common.ringcentral.call_log import Window

#: How far a shallow window goes behind the last poll: "overlap by the longest call (e.g. ≥ 2 h)" (facts 4.3). Each poll
#: pays for it with a heavy request per thousand calls, of ten a minute.
SHALLOW_OVERLAP: Final = timedelta(hours=2)
#: How far a deep window goes behind the last deep one. RingCentral names no longest call (facts 4.3), so a day is taken
#: for it; an hour more for a record or a recording that appears late, and one for clocks that differ.
DEEP_OVERLAP: Final = timedelta(hours=24 + 1 + 1)
#: Time between two deep windows: 10 000 calls a day then cost 11 of an hour's 600 heavy requests. A call that a shallow
#: window cannot find waits so long at most, and for the next poll.
DEEP_EVERY: Final = timedelta(hours=1)
#: How long windows are used before the sync endpoint is tried again.
WINDOWS_FOR: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Windows:
    """How far the call log was read by windows."""

    #: Up to here the sync endpoint has told all: from here it is read again when it is back.
    since: datetime
    #: When the sync endpoint is tried again.
    until: datetime
    #: The end of the last deep window, whose pages were all read.
    deep_until: datetime


def begin_windows(before: Windows | None, polled_until: datetime, now: datetime) -> Windows:
    """The sync endpoint was refused: windows from now on, which begin, or go on, where the last read ended."""
    until = now + WINDOWS_FOR
    return replace(before, until=until) if before else Windows(polled_until, until, polled_until)


def next_window(windows: Windows, polled_until: datetime, now: datetime) -> Window:
    """What the poll at `now` reads: one window, which never ends before it begins, not even with a clock set back."""
    if _deep_is_due(windows, now):
        return Window(min(windows.deep_until, now) - DEEP_OVERLAP, now)
    return Window(polled_until - SHALLOW_OVERLAP, now)


def after_window(windows: Windows, now: datetime) -> Windows:
    """All pages of the window of the poll at `now` were read."""
    return replace(windows, deep_until=now) if _deep_is_due(windows, now) else windows


def _deep_is_due(windows: Windows, now: datetime) -> bool:
    return not timedelta() <= now - windows.deep_until < DEEP_EVERY
