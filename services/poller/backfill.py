"""What a backfill comes to, before it is begun: an estimate from some days of the span, which are read in full.

Days are read until those that were not can be told from those of the same day of the week that were; when none is left,
nothing is estimated but all counted. The estimate says its basis: how many days were read, and how far it may be off.
What fails, and what takes a request more because its length is in doubt, is not foreseen.
"""

import math
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from common.loss_clock import AUDIO_SHARE
from common.ringcentral.budget import Priority
from common.ringcentral.call_log import Window, window_page
from common.ringcentral.client import RingCentral
from services.poller.history import A_WINDOW

#: Days of a week, which differ by who works on them.
WEEK: Final = 7
#: Days that are read for a plan at least: two of each day of the week show how alike they are.
LEAST_READ: Final = 2 * WEEK
#: The standard error at which reading ends, as a part of the whole: a plan is off by more than 5 %, three times as
#: much, once in some hundred times.
EXACT: Final = 0.015
#: Requests after which reading ends all the same, an hour of one service user's budget: an account whose days take so
#: many has work for months, and the plan says how exact it is.
MOST_REQUESTS: Final = 600
#: Steps of the golden ratio fill a span evenly, whenever one stops.
_GOLDEN: Final = (math.sqrt(5) - 1) / 2
#: Bytes a second of audio until some is stored: mono MP3 of 32 kbit/s, as RingCentral's archiver has it (facts 5).
DEFAULT_BYTES_PER_SECOND: Final = 4_000.0


@dataclass(frozen=True, slots=True)
class Day:
    """What a day of the call log holds, or a part of one at the end of a span."""

    window: Window
    calls: float
    recordings: float
    #: Seconds of the calls that have recordings: an upper bound of those of the recordings.
    seconds: float
    #: Requests that its call log takes.
    pages: float

    @property
    def requests(self) -> float:
        """Heavy ones, when nothing of it is here."""
        return self.pages + self.recordings


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
class Here:
    """Recordings of the span that need nothing more: of audio, and of insights."""

    audio: int = 0
    insights: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What it comes to. `read`: days that were read, of `days`; `error`: the standard error, as a part of the whole."""

    days: int
    read: int
    error: float
    calls: int
    recordings: int
    bytes: float
    #: Heavy ones: the call log, and one for each recording.
    requests: int
    #: Light ones: each recording without insights is asked for them at least once.
    insights: int
    #: None when live work leaves nothing.
    seconds: float | None
    #: Recordings that RingCentral will have dropped before their turn.
    expire: int


async def read_enough(client: RingCentral, windows: Sequence[Window]) -> AsyncGenerator[Day, None]:
    """Count what days hold until that tells of all of them; nothing is written. Raises the client's errors."""
    read: list[Day] = []
    for window in reading_order(windows):
        if is_enough(windows, read):
            break
        read.append(await _read_day(client, window))
        yield read[-1]


def is_enough(windows: Sequence[Window], read: Sequence[Day]) -> bool:
    """Whether what was read tells of all days. Pure."""
    if len(read) < min(LEAST_READ, len(windows)):
        return False
    return error_of(windows, read) <= EXACT or sum(day.pages for day in read) >= MOST_REQUESTS


async def _read_day(client: RingCentral, window: Window) -> Day:
    number, more = 0, True
    calls: set[str] = set()
    seconds: dict[str, float] = {}
    while more:
        number += 1
        page = await window_page(client, window, number, priority=Priority.BACKFILL)
        calls |= {call.call_log_id for call in page.calls}
        for call in page.calls:
            seconds |= dict.fromkeys(call.recordings, (call.duration_ms or 0) / 1000)
        more = page.more and bool(page.calls)
    return Day(window, len(calls), len(seconds), sum(seconds.values()), number)


def reading_order(windows: Sequence[Window]) -> list[Window]:
    """In which order days are read: one of each day of the week in turn, each spread over the span. Pure."""
    rounds: list[list[Window]] = []
    for weekday in range(WEEK):
        days = windows[weekday::WEEK]
        spread = sorted(range(len(days)), key=lambda place: (place * _GOLDEN + weekday / WEEK) % 1)
        rounds += [[] for _ in days[len(rounds) :]]
        for turn, place in enumerate(spread):
            rounds[turn].append(days[place])
    return [window for days in rounds for window in days]


def error_of(windows: Sequence[Window], read: Sequence[Day]) -> float:
    """By how much the requests of all days may be off, told by some: the standard error as a part of the whole. Pure.

    Of a stratified sample; how much days of the same day of the week differ is taken to be the same for all seven.
    """
    if len(read) == len(windows):
        return 0.0
    strata = list(_strata(windows, read))
    freedom = len(read) - sum(bool(known) for _, known in strata)
    total = sum(day.requests for day in _all_days(windows, read))
    if freedom <= 0 or total == 0:
        return math.inf
    spread = 0.0
    for _, known in strata:
        mean = sum(day.requests for day in known) / max(1, len(known))
        spread += sum((day.requests - mean) ** 2 for day in known)
    variance = sum(
        len(days) * (len(days) - len(known)) / max(1, len(known)) * spread / freedom for days, known in strata
    )
    # Few days tell little of how much days differ: Student's t, roughly.
    return math.sqrt(variance) / total * (1 + 2 / freedom)


def _strata(windows: Sequence[Window], read: Sequence[Day]) -> Iterator[tuple[Sequence[Window], list[Day]]]:
    """For each day of the week: all of the span, and those that were read."""
    known = {day.window: day for day in read}
    for weekday in range(WEEK):
        days = windows[weekday::WEEK]
        yield days, [known[window] for window in days if window in known]


def _all_days(windows: Sequence[Window], read: Sequence[Day]) -> list[Day]:
    """Each day as it was read, or as the mean of those of its day of the week; of all, when there are none."""
    found = {day.window: day for day in read}
    for days, known in _strata(windows, read):
        found |= {window: _mean(window, known or read) for window in days if window not in found}
    return [found[window] for window in windows]


def _mean(window: Window, days: Sequence[Day]) -> Day:
    share = (window.end - window.begin) / A_WINDOW
    whole = sum((day.window.end - day.window.begin) / A_WINDOW for day in days) or 1.0
    calls, recordings, seconds, pages = (
        sum(values) / whole * share
        for values in zip(*((day.calls, day.recordings, day.seconds, day.pages) for day in days), strict=True)
    )
    return Day(window, calls, recordings, seconds, max(1.0, pages))


def plan_of(windows: Sequence[Window], read: Sequence[Day], here: Here, pace: Pace, now: datetime) -> Plan:
    """What the whole span comes to, by the days that were read. Pure.

    The oldest goes first, because it is dropped first; what is dropped before its turn takes no request.
    """
    days = _all_days(windows, read)
    recordings = sum(day.recordings for day in days)
    missing = max(0.0, 1 - here.audio / recordings) if recordings else 0.0
    requests, expired = 0.0, 0.0
    for day in days:
        requests += day.pages  # the call log is read before its audio
        lost_at = day.window.begin + pace.retention
        in_time = (lost_at - now).total_seconds() * pace.spare - requests
        fetched = min(day.recordings * missing, max(0.0, in_time))
        expired += day.recordings * missing - fetched
        requests += fetched
    return Plan(
        days=len(windows),
        read=len(read),
        error=error_of(windows, read),
        calls=round(sum(day.calls for day in days)),
        recordings=round(recordings * missing),
        bytes=sum(day.seconds for day in days) * missing * pace.bytes_per_second,
        requests=round(requests),
        insights=max(0, round(recordings) - here.insights),
        seconds=requests / pace.spare if pace.spare else None,
        expire=round(expired),
    )
