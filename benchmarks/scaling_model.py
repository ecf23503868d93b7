"""What a company of some size asks of each part, hour by hour through a week. Pure, whole numbers where things count.

The budget is the only limit that matters in practice, so it is modelled as the product uses it: polls take their pause
from `services.poller.pace`, the rest goes to audio, the oldest first; RingCentral drops what its cap pushes out.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from common.ringcentral.call_log import PAGE
from services.poller.pace import shortest_pause

#: Requests a minute that RingCentral allows each service user (facts 6), and the part of them that is used in windows
#: of a minute, none being refused: at least what `make bench-budget` demands with `--real`.
PER_MINUTE: Final = 10
BUDGET_USED: Final = 0.97
#: Requests for one recording: most take one; some are asked again (not there yet, a lost connection) or need their
#: metadata. An assumption: RingCentral publishes no such share.
REQUESTS_EACH: Final = 1.05
#: Recordings of one account that RingCentral keeps, the newest, and for how many days (facts 5).
CAP: Final = 100_000
LIFETIME_DAYS: Final = 90
#: Percent of a working day's calls that begin in each hour: offices with two peaks. An assumption; a seventh in the
#: busiest hour is a common planning figure.
HOURS: Final = (0, 0, 0, 0, 0, 0, 0, 0, 6, 12, 14, 13, 8, 10, 13, 12, 8, 4, 0, 0, 0, 0, 0, 0)
#: Days of the week with calls, of the seven that are simulated.
WORKING_DAYS: Final = 5
DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class Company:
    """`users` who telephone. What is not the product's is an assumption, to be replaced by what yours does."""

    users: int
    #: Recorded calls of a user in a working day: people who telephone now and then, and some who do little else.
    recorded: int = 10
    #: Call-log records for each recorded call: internal, missed and short ones (under 30 s) are not recorded.
    records_each: float = 2.0
    #: Minutes of a recording, at the mean.
    minutes: float = 4.0
    #: Bytes of a minute: MP3 at 32 kbit/s, mono (facts 5 name the format, not the rate).
    bytes_a_minute: int = 240_000

    @property
    def a_day(self) -> int:
        """Recordings of a working day."""
        return self.users * self.recorded

    def arrivals(self) -> list[int]:
        """Recordings of each hour of the week; each day has all of its own."""
        until = [self.a_day * sum(HOURS[:hour]) // 100 for hour in range(25)]
        day = [after - before for before, after in pairwise(until)]
        return [*day * WORKING_DAYS, *[0] * 24 * (DAYS - WORKING_DAYS)]


@dataclass(frozen=True, slots=True)
class Fleet:
    """What works: service users with a budget each, and downloaders."""

    credentials: int
    downloaders: int
    #: `DOWNLOAD_CONCURRENCY`.
    streams: int = 4
    #: Seconds that a stream is busy with one recording. An assumption: read yours from `download_stored`.
    seconds_each: float = 4.0

    @property
    def rate(self) -> float:
        """Heavy requests a second."""
        return self.credentials * PER_MINUTE * BUDGET_USED / 60

    def downloads(self, records: int) -> int:
        """Recordings that can be fetched in an hour in which so many records come: by budget, and by streams."""
        by_budget = (self.rate * 3600 - self.polls(records)) / REQUESTS_EACH
        by_streams = self.downloaders * self.streams * 3600 / self.seconds_each
        return math.floor(max(0.0, min(by_budget, by_streams)))

    def polls(self, records: int) -> int:
        """Requests for the call log in such an hour; none that counts when nothing comes."""
        if records == 0:
            return 12  # one in five minutes: POLL_INTERVAL
        pause = shortest_pause(read=0, rate=self.rate)
        pages = max(1, math.ceil(records * pause / 3600 / PAGE))
        return math.ceil(pages * 3600 / shortest_pause(read=pages * PAGE, rate=self.rate))


@dataclass(slots=True)
class Week:
    """What came of it; recordings. `backlog` is that at the end of each hour, `left` that at the end of the week."""

    arrived: int = 0
    stored: int = 0
    lost: int = 0
    requests: int = 0
    longest_wait: int = 0
    backlog: list[int] = field(default_factory=list)

    @property
    def left(self) -> int:
        return self.backlog[-1] if self.backlog else 0

    @property
    def caught_up_after(self) -> int | None:
        """Hours from the end of the first day's calls until nothing waits; None when that never is in the week."""
        end = max(hour for hour, part in enumerate(HOURS) if part) + 1
        return next((hour - end for hour in range(end, len(self.backlog) + 1) if self.backlog[hour - 1] == 0), None)


def simulate(company: Company, fleet: Fleet) -> Week:
    """A week, hour by hour: what comes joins the backlog, the oldest is fetched, and the cap drops the oldest."""
    week = Week()
    waiting: deque[list[int]] = deque()  # [hour, recordings], the oldest first
    for hour, came in enumerate(company.arrivals()):
        records = round(came * company.records_each)
        week.arrived += came
        if came:
            waiting.append([hour, came])
        fetched = _take(waiting, fleet.downloads(records), hour, week)
        week.stored += fetched
        week.requests += fleet.polls(records) + math.ceil(fetched * REQUESTS_EACH)
        _drop(waiting, week)
        week.backlog.append(sum(count for _, count in waiting))
        if waiting:
            week.longest_wait = max(week.longest_wait, hour - waiting[0][0])
    return week


def _take(waiting: deque[list[int]], most: int, hour: int, week: Week) -> int:
    """Fetch up to so many, and note how many hours the oldest of them had waited; returns how many there were."""
    left = most
    while waiting and left:
        began, count = waiting[0]
        taken = min(left, count)
        left -= taken
        waiting[0][1] -= taken
        week.longest_wait = max(week.longest_wait, hour - began)
        if taken == count:
            waiting.popleft()
    return most - left


def _drop(waiting: deque[list[int]], week: Week) -> None:
    """RingCentral keeps the newest: of what waits, which is the newest of all, no more than the cap."""
    over = sum(count for _, count in waiting) - CAP
    while over > 0:
        dropped = min(over, waiting[0][1])
        waiting[0][1] -= dropped
        over -= dropped
        week.lost += dropped
        if waiting[0][1] == 0:
            waiting.popleft()


def fewest(company: Company, fleets: Sequence[Fleet], *, hours: int) -> Fleet | None:
    """The first of the fleets with which nothing is lost and no recording waits longer than so many hours."""
    for fleet in fleets:
        week = simulate(company, fleet)
        if not week.lost and not week.left and week.longest_wait <= hours:
            return fleet
    return None
