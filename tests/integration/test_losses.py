"""A backlog that the budget cannot save: what RingCentral's age and cap take in the end, hour by hour, on real rows.

When something is lost is reckoned here from what really comes in, and the best order from that: nothing is taken from
the clock.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from common.database.loss_clock import read_loss_clock
from common.database.pool import Pool
from common.loss_clock import AUDIO_SHARE, Retention
from common.ringcentral.budget import Priority
from tests.integration.test_loss_clock import DAY, HOUR, NOW, marked, recorded, stored

#: Downloads an hour that the budget allows; one recording of each type comes in meanwhile.
AN_HOUR = 3
RATE = AN_HOUR / 3600 / AUDIO_SHARE
TYPES = {"automatic": "Automatic", "on_demand": "OnDemand"}
#: Hours of live calls before, as many as tell the clock how many come in.
BEFORE = 24


@dataclass(frozen=True)
class Backlog:
    """Of each type: the hours ago at which recordings began that wait, and RingCentral's cap."""

    automatic: tuple[float, ...]
    on_demand: tuple[float, ...]
    caps: Mapping[str, int]
    lost: int

    def hours_ago(self, kind: str) -> tuple[float, ...]:
        return self.automatic if kind == "automatic" else self.on_demand


def hourly(first: int, last: int) -> tuple[float, ...]:
    """One an hour, half past."""
    return tuple(hour + 0.5 for hour in range(first, last))


def lost_by_age(first: int, last: int, each: int) -> tuple[float, ...]:
    """So many that are 90 days old in each of these hours from now."""
    return tuple(90 * 24.0 - hour for hour in range(first, last) for _ in range(each))


@dataclass
class World:
    """What there is, as RingCentral sees it: when each recording began, by type."""

    retentions: list[Retention]
    began: dict[str, dict[str, datetime]] = field(default_factory=lambda: {kind: {} for kind in TYPES})

    def kept(self, now: datetime) -> Iterator[str]:
        """What RingCentral still has."""
        for one in self.retentions:
            newest = sorted(self.began[one.retention_type].items(), key=lambda item: item[1], reverse=True)
            yield from (name for name, began in newest[: one.cap] if began + one.lifetime > now)


@pytest.mark.parametrize(
    "backlog",
    [
        pytest.param(
            Backlog(lost_by_age(10, 30, 4), hourly(BEFORE, 60), {"automatic": 100_000, "on_demand": 60}, lost=22),
            id="automatic by age, on demand by the cap",
        ),
        pytest.param(
            Backlog(hourly(BEFORE, 120), lost_by_age(5, 25, 5), {"automatic": 120, "on_demand": 200}, lost=52),
            id="on demand by age, automatic by the cap",
        ),
        pytest.param(
            Backlog(
                (*hourly(BEFORE, 60), *lost_by_age(2, 12, 4)),
                hourly(BEFORE, 150),
                {"automatic": 100, "on_demand": 150},
                lost=18,
            ),
            id="each by what comes first",
        ),
    ],
)
async def test_what_is_lost_is_what_was_announced_and_what_the_best_order_loses(pool: Pool, backlog: Backlog) -> None:
    world = World([Retention(kind, 90 * DAY, backlog.caps[kind]) for kind in TYPES])
    waiting: set[str] = set()
    for kind, of in TYPES.items():
        came = {f"{kind} before {hour}": NOW - hour * HOUR for hour in hourly(0, BEFORE)}
        waits = {f"{kind} {place}": NOW - hours * HOUR for place, hours in enumerate(backlog.hours_ago(kind))}
        await recorded(pool, list(came), list(came.values()), of=of)
        await stored(pool, list(came))
        await recorded(pool, list(waits), list(waits.values()), of=of, priority=Priority.BACKFILL)
        world.began[kind] |= came | waits
        waiting |= set(waits)

    told = await read_loss_clock(pool, "42", world.retentions, NOW, RATE)
    kept, saved = [set(world.kept(NOW))], set[str]()
    while waiting & kept[-1] - saved:
        now = NOW + (len(kept) - 1) * HOUR
        spans = (await read_loss_clock(pool, "42", world.retentions, now, RATE)).spans
        jobs = await marked(pool, spans, AN_HOUR, now)
        assert set(jobs) <= kept[-1], "no request is spent on what is lost while there is something to save"
        saved |= set(jobs)
        await stored(pool, jobs)
        for kind, of in TYPES.items():  # half past the hour that begins
            name, began = f"{kind} live {len(kept)}", now + HOUR / 2
            world.began[kind][name] = began
            await recorded(pool, [name], [began], of=of, due_at=began)
        kept.append(set(world.kept(now + HOUR)))

    lost, best = waiting - saved, waiting - best_order(waiting, kept)
    print(f"of {len(waiting)}: announced {told.expected_losses}, lost {len(lost)}, by the best order {len(best)}")  # noqa: T201 - pytest shows it when the test fails.
    assert len(lost) == len(best) == backlog.lost
    # It counts by hours, and rather one too many: never less than is lost, and no more than an hour makes.
    assert len(lost) <= told.expected_losses <= len(lost) + AN_HOUR


def best_order(waiting: set[str], kept: list[set[str]]) -> set[str]:
    """What can be saved at most: each hour those that will be there for the shortest time, of what is there still.

    For jobs that all take the same, that is the best there is.
    """
    until = {name: sum(name in there for there in kept) for name in waiting}
    saved: set[str] = set()
    for hour in range(len(kept)):
        there = sorted((name for name in waiting - saved if until[name] > hour), key=lambda name: until[name])
        saved |= set(there[:AN_HOUR])
    return saved
