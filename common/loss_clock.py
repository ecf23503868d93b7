"""The loss clock: when RingCentral will have dropped what is not stored yet, and whether the budget can save it. Pure.

RingCentral keeps a recording for so many days, and of each type no more than so many, the newest (facts 5). So one is
lost when its time is over, or when as many newer ones have come, at the rate at which they come now.

Fetching what is lost earliest first saves as many as any order can: all take one request, and all can be fetched at
once. What cannot be saved even so is therefore known: it is the most that is due by some moment beyond what the budget
allows until then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

#: Recordings that will be lost within this time go before everything else: two days are a weekend's outage.
SOON: Final = timedelta(hours=48)
#: What waits is counted by the hour in which it began.
BUCKET: Final = timedelta(hours=1)
#: Part of the heavy budget that is left to audio; polls may take the rest (services/poller/pace.py).
AUDIO_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True)
class Retention:
    """How long RingCentral keeps recordings of a type, and how many of them."""

    retention_type: str
    lifetime: timedelta
    cap: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What RingCentral may still keep of a type at `now`."""

    retention: Retention
    now: datetime
    #: How many recordings are newer, and when one began that has so many: ascending, as dense as exactness demands.
    ranks: Sequence[tuple[int, datetime]]
    #: New recordings a second.
    rate: float

    @property
    def count(self) -> int:
        """How many RingCentral keeps."""
        return min(self.ranks[-1][0] + 1, self.retention.cap) if self.ranks else 0

    def lost_at(self, started_at: datetime) -> datetime:
        """When a recording that began then is lost, at the latest; a time before `now` says that it is."""
        by_age = started_at + self.retention.lifetime
        if started_at < self.begun_before(self.now):
            return min(by_age, self.now)
        room = max(1, self.retention.cap - self._newer(started_at))
        coming = self.rate * max(0.0, (by_age - self.now).total_seconds())
        return by_age if coming <= room else self.now + timedelta(seconds=room / self.rate)

    def begun_before(self, moment: datetime) -> datetime:
        """All that began before the returned time will be lost by `moment`, and nothing else, but for a rank."""
        coming = int(self.rate * (moment - self.now).total_seconds())
        by_cap = (started_at for newer, started_at in self.ranks if newer >= self.retention.cap - coming)
        return max([moment - self.retention.lifetime, *islice(by_cap, 1)]) + timedelta.resolution

    def _newer(self, started_at: datetime) -> int:
        """How many are newer, rather one rank too many."""
        known = (newer for newer, began in self.ranks if began <= started_at)
        return next(known, self.ranks[-1][0] + 1 if self.ranks else 0)


@dataclass(frozen=True, slots=True)
class Waiting:
    """So many recordings of a type that began about then are to be fetched."""

    retention_type: str
    started_at: datetime
    number: int


@dataclass(frozen=True, slots=True)
class Span:
    """Start times of a type: before `lost_before` all is lost, before `urgent_before` it will be soon."""

    retention_type: str
    lost_before: datetime
    urgent_before: datetime

    def after(self, passed: timedelta) -> "Span":
        """The same, a while later."""
        return Span(self.retention_type, self.lost_before + passed, self.urgent_before + passed)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the clock shows."""

    now: datetime
    kept: Sequence[Kept]
    #: What is to be fetched and not lost yet, and what is lost by the clock's reckoning but will be tried.
    waiting: int
    too_late: int
    #: By type: when the first of what waits is lost; types of which nothing waits are missing.
    first_loss: dict[str, datetime]
    #: How many of what waits no order can save with this budget.
    expected_losses: int
    #: When everything would be fetched; None when more comes than the budget allows.
    caught_up_in: timedelta | None
    #: What is lost within this time is urgent.
    horizon: timedelta

    @property
    def spans(self) -> list[Span]:
        """For each type, what is lost and what is urgent."""
        moment = self.now + self.horizon
        return [
            Span(one.retention.retention_type, lost := one.begun_before(self.now), max(lost, one.begun_before(moment)))
            for one in self.kept
        ]

    @property
    def is_near(self) -> bool:
        """Whether a person should know: something will be lost soon, or cannot be saved."""
        soon = self.now + SOON
        return self.expected_losses > 0 or any(moment < soon for moment in self.first_loss.values())


def read_clock(kept: Sequence[Kept], waiting: Sequence[Waiting], now: datetime, downloads: float) -> Reading:
    """What the clock shows when so many `downloads` a second are allowed."""
    by_type = {one.retention.retention_type: one for one in kept}
    lost = sorted(
        (by_type[one.retention_type].lost_at(one.started_at), one.retention_type, one.number) for one in waiting
    )
    to_come = [(moment, number) for moment, _, number in lost if moment > now]
    first_loss: dict[str, datetime] = {}
    for moment, retention_type, _ in lost:
        if moment > now:
            first_loss.setdefault(retention_type, moment)
    arrivals = sum(one.rate for one in kept)
    number, spare = sum(number for _, number in to_come), downloads - arrivals
    # What live work would not leave enough budget for in time cannot wait behind it, however far away its loss is.
    too_slow = [moment - now + BUCKET for moment, lack in _lacks(to_come, now, spare) if lack > 0]
    return Reading(
        now=now,
        kept=kept,
        waiting=number,
        too_late=sum(number for _, _, number in lost) - number,
        first_loss=first_loss,
        expected_losses=max((lack for _, lack in _lacks(to_come, now, downloads)), default=0),
        caught_up_in=timedelta(seconds=number / spare) if spare > 0 else None,
        horizon=max([SOON, *too_slow]),
    )


def _lacks(to_come: Sequence[tuple[datetime, int]], now: datetime, rate: float) -> list[tuple[datetime, int]]:
    """For each moment of loss, how many of what is lost by then a rate of downloads does not reach until then."""
    found, needed = [], 0
    for moment, number in to_come:
        needed += number
        reached = int(max(0.0, rate) * (moment - now).total_seconds())
        found.append((moment, max(0, needed - reached)))
    return found
