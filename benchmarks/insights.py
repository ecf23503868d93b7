"""`make bench-insights`: what a company without any licence costs in light requests, minute by minute of its day.

13,000 recordings in ten hours, none of which will ever have insights: all that heavy requests of one service user allow
in a day (facts 6). The leader's own passes are run once for each minute of the day until nothing is left to ask for,
with one clock for all, and the simulator counts. So that the day passes in minutes, several service users share the
work; what counts is the sum. Exits with 0 when each recording was asked for once and says why it has no insights, and
no minute took more light requests than one service user has.
"""

import argparse
import asyncio
import statistics
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from aiohttp import web

from common.database.leases import Lease
from common.database.migrate import migrate
from common.database.pool import Pool, open_pool
from common.ringcentral.client import open_ringcentral
from demo.simulated_account import settings_for
from private_servers.postgres import Postgres
from services.poller.guard import guard
from services.poller.guard_duty import Duty, Wanted
from services.poller.insights_fetch import Fetching, fetch_insights
from services.poller.leadership import Leadership
from services.poller.poll import poll
from simulator import Simulator, SimulatorOptions, control

#: A day of one service user's heavy budget.
USUAL: Final = 13_000
#: Hours in which people call.
HOURS: Final = 10
#: Light requests a minute that RingCentral allows one user of an app (facts 6).
LIMIT: Final = 50
#: Real requests a minute that are allowed each of so many users meanwhile.
ALLOWED, USERS = 1000, 8
_MINUTE: Final = 60.0
#: Minutes after the last call in which all must be asked for: the step of two hours, and what waits behind it.
_WITHIN: Final = 4 * 60
_OPEN: Final = "SELECT count(*) FROM recordings WHERE insights_state = 'absent'"
_ENDS: Final = "SELECT insights_cell, insights_attempts, count(*) FROM recordings GROUP BY 1, 2 ORDER BY 3 DESC"
_ASKED: Final = "insights.record"
_LIGHT: Final = (_ASKED, "account.get", "permission.check", "subscription.get", "subscription.list")


@dataclass(slots=True)
class MovedClock:
    """The machine's clock, and so many seconds more."""

    ahead: float = 0.0

    def now(self) -> datetime:
        """The time now, aware, in UTC."""
        return datetime.now(UTC) + timedelta(seconds=self.ahead)


@dataclass(frozen=True, slots=True)
class End:
    """How many recordings ended in a cell of the ledger, asked for so many times."""

    cell: str
    asked: int
    recordings: int


@dataclass(slots=True)
class Day:
    """The company's day, and what the leader needs for it."""

    simulator: Simulator
    pool: Pool
    clock: MovedClock
    duty: Duty

    @property
    def light(self) -> Counter[str]:
        """Light requests so far, by endpoint."""
        return Counter({name: self.simulator.world.requests[name] for name in _LIGHT})

    async def pass_minute(self) -> Counter[str]:
        """A minute passes, and the leader does what is due in it; the light requests that this took."""
        before = self.light
        self.clock.ahead += _MINUTE
        await control.advance_clock(self.simulator.world, {"advance": _MINUTE})
        client, pool, leadership = self.duty.client, self.pool, self.duty.leadership
        await poll(client, pool, self.clock, leadership)
        while not await fetch_insights(Fetching(client, pool, self.clock, leadership)):
            pass
        await guard(self.duty)
        return self.light - before


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="benchmarks.insights", description=__doc__)
    parser.add_argument("--recordings", type=int, default=USUAL, help=f"of the day (default {USUAL:,})")
    recordings: int = parser.parse_args().recordings
    with Postgres() as postgres:
        asyncio.run(migrate(postgres.url))
        return asyncio.run(_measure(postgres.url, recordings))


async def _measure(url: str, recordings: int) -> int:
    options = SimulatorOptions(
        recordings=recordings,
        extensions=200,
        licensed_share=0,
        span=HOURS * 3600,
        history=0,
        speed=1,
        jwt=",".join(f"jwt-{number}" for number in range(USERS)),
    )
    clock, lease = MovedClock(), Lease("poller")
    async with Simulator(options) as simulator, open_pool(url, "benchmark") as pool:
        await control.set_limits(simulator.world, dict.fromkeys(("light", "medium", "heavy", "auth"), ALLOWED))
        fencing = await lease.hold(pool, 7200)
        assert fencing is not None
        async with open_ringcentral(settings_for(simulator), pool, clock) as client, _receiver() as address:
            duty = Duty(client, pool, clock, Leadership(lease, fencing), Wanted(address, "token", ("pbx",)))
            minutes = await _live(Day(simulator, pool, clock, duty))
        ends = [End(*row) for row in await pool.fetch(_ENDS)]
    _print(minutes, ends)
    faults = list(faults_of(minutes, ends, recordings))
    print("\n".join([*faults, f"{len(faults)} faults"]))
    return 1 if faults else 0


async def _live(day: Day) -> list[Counter[str]]:
    minutes: list[Counter[str]] = []
    while len(minutes) < HOURS * 60 + _WITHIN:
        minutes.append(await day.pass_minute())
        if len(minutes) % 60 == 0:
            sys.stdout.write(f"hour {len(minutes) // 60}: {sum(minutes[-60:], Counter()).total()} light requests\n")
            sys.stdout.flush()
        if len(minutes) > HOURS * 60 and not await day.pool.fetchval(_OPEN):
            break
    return minutes


def _print(minutes: Sequence[Counter[str]], ends: Sequence[End]) -> None:
    a_minute = [minute.total() for minute in minutes]
    by_kind = sum(minutes, Counter[str]())
    print(f"{sum(a_minute):,} light requests in {len(minutes)} minutes: {dict(by_kind)}")
    print(f"  a minute: median {statistics.median(a_minute):.0f}, most {max(a_minute)}; one service user has {LIMIT}")
    for end in ends:
        print(f"  {end.recordings:,} recordings: {end.cell}, asked for {end.asked} times")


def faults_of(minutes: Sequence[Counter[str]], ends: Sequence[End], recordings: int) -> Iterator[str]:
    """A sentence for what is not as it should be."""
    most, asked = max(minute.total() for minute in minutes), sum(minute[_ASKED] for minute in minutes)
    if most > LIMIT:
        yield f"FAULT: a minute took {most} light requests"
    if asked != recordings:
        yield f"FAULT: {asked} requests for the insights of {recordings} recordings"
    if list(ends) != [End("unavailable: no_licence", 1, recordings)]:
        yield "FAULT: not each recording says that there is no licence, after it was asked for once"


@asynccontextmanager
async def _receiver() -> AsyncIterator[str]:
    """Somebody who answers handshakes, so that there is a subscription to guard; its address."""

    async def answer(request: web.Request) -> web.Response:
        token = request.headers.get("Validation-Token")
        return web.json_response(headers={"Validation-Token": token} if token else {})

    app = web.Application()
    app.router.add_post("/hook", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    sys.exit(main())
