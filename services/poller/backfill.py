"""What a backfill comes to, before it is begun: an estimate from some days of the span, which are read in full.

The estimate says its basis: how many days were read. A span that is not longer than that is not estimated but counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from common.loss_clock import AUDIO_SHARE
from common.ringcentral.budget import Priority
from common.ringcentral.call_log import WINDOW_PAGE, Window, window_page
from common.ringcentral.client import RingCentral

#: Days that are read for a plan: at least a page each, of ten heavy requests a minute; seven show a week.
SAMPLES: Final = 7
#: Bytes a second of audio until some is stored: mono MP3 of 32 kbit/s, as RingCentral's archiver has it (facts 5).
DEFAULT_BYTES_PER_SECOND: Final = 4_000.0


@dataclass(frozen=True, slots=True)
class Day:
    """What a day of the call log holds."""

    begin: datetime
    calls: float
    recordings: float
    #: Seconds of the calls that have recordings: an upper bound of those of the recordings.
    seconds: float


@dataclass(frozen=True, slots=True)
class Pace:
    """What a backfill may use. `rate`: heavy requests a second of all service users."""

    rate: float
    #: Recordings a second that come in meanwhile, and go first.
    live: float
    bytes_per_second: float
    retention: timedelta

    @property
    def spare(self) -> float:
        """Requests a second that are left to a backfill; none, when live work takes all."""
        return max(0.0, self.rate * AUDIO_SHARE - self.live)


@dataclass(frozen=True, slots=True)
class Plan:
    """What it comes to. `sampled`: days that were read, of `days`."""

    days: int
    sampled: int
    calls: int
    recordings: int
    bytes: float
    requests: int
    #: None when live work leaves nothing.
    seconds: float | None
    #: Recordings that RingCentral will have dropped before their turn.
    expire: int


async def read_day(client: RingCentral, window: Window) -> Day:
    """Count what a window holds; nothing is written. Raises the client's errors."""
    number, more = 1, True
    calls: set[str] = set()
    seconds: dict[str, float] = {}
    while more:
        page = await window_page(client, window, number, priority=Priority.BACKFILL)
        calls |= {call.call_log_id for call in page.calls}
        for call in page.calls:
            seconds |= dict.fromkeys(call.recordings, (call.duration_ms or 0) / 1000)
        number, more = number + 1, page.more and bool(page.calls)
    return Day(window.begin, len(calls), len(seconds), sum(seconds.values()))


def sample_of(windows: Sequence[Window]) -> list[Window]:
    """Which days to read: spread over the span, and over the days of the week. Pure."""
    if len(windows) <= SAMPLES:
        return list(windows)
    step = len(windows) / SAMPLES
    # A step of whole weeks would look at one day of the week only: each day is one further than the step.
    chosen = {(int(number * step) + number) % len(windows) for number in range(SAMPLES)}
    return [windows[place] for place in sorted(chosen)]


def plan_of(windows: Sequence[Window], read: Sequence[Day], stored: int, pace: Pace, now: datetime) -> Plan:
    """What the whole span comes to, by the days that were read; `stored` recordings of it are here already. Pure.

    The oldest goes first, because it is dropped first; what is dropped before its turn takes no request.
    """
    each = Day(now, *(sum(values) / max(1, len(read)) for values in zip(*map(_numbers, read), strict=True)))
    known = {day.begin: day for day in read}
    days = [known.get(window.begin) or each for window in windows]
    recordings = sum(day.recordings for day in days)
    here = min(1.0, stored / recordings) if recordings else 0.0
    requests, expired = 0.0, 0.0
    for window, day in zip(windows, days, strict=True):
        requests += max(1.0, day.calls / WINDOW_PAGE)  # the call log is read before its audio
        missing, lost_at = day.recordings * (1 - here), window.begin + pace.retention
        in_time = (lost_at - now).total_seconds() * pace.spare - requests
        fetched = min(missing, max(0.0, in_time))
        expired += missing - fetched
        requests += fetched
    total = Day(now, *(sum(values) for values in zip(*map(_numbers, days), strict=True)))
    return Plan(
        days=len(windows),
        sampled=len(read),
        calls=round(total.calls),
        recordings=round(recordings * (1 - here)),
        bytes=total.seconds * (1 - here) * pace.bytes_per_second,
        requests=round(requests),
        seconds=requests / pace.spare if pace.spare else None,
        expire=round(expired),
    )


def _numbers(day: Day) -> tuple[float, float, float]:
    return day.calls, day.recordings, day.seconds
