"""An account whose subscription is guarded, and whose days pass in moments."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from common.database.leases import Lease
from common.database.pool import Pool
from common.messages import InsightsReceived
from common.ringcentral.client import RingCentral, open_ringcentral
from common.telemetry.health import Work
from demo.simulated_account import settings_for
from services.insights.handle import handle
from services.poller.guard import guard
from services.poller.guard_duty import Duty, Wanted
from services.poller.guard_outages import look_for_silence
from services.poller.insights_fetch import Fetching, fetch_insights
from services.poller.leadership import Leadership
from services.poller.poll import poll
from simulator import Simulator, SimulatorOptions, control, orders
from simulator.subscriptions import Subscription
from tests.clocks import ShiftedClock
from tests.integration.test_simulator_support import Receiver, listening

#: Nobody calls unless told to, and time goes as fast as ours; a JWT each for two users.
COMPANY = SimulatorOptions(recordings=0, history=3600, elapsed=3600, speed=1, jwt="one,two")
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


@dataclass
class Guarded:
    """Simulator, receiver, database and the guardian's duty, with one clock for all."""

    simulator: Simulator
    receiver: Receiver
    pool: Pool
    clock: ShiftedClock
    duty: Duty
    handed_on: int = 0

    @property
    def client(self) -> RingCentral:
        return self.duty.client

    @property
    def leadership(self) -> Leadership:
        return self.duty.leadership

    @property
    def living(self) -> list[Subscription]:
        return self.simulator.world.subscriptions.living()

    @property
    def only(self) -> Subscription:
        (only,) = self.living
        return only

    async def look(self, **wanted: Any) -> None:
        """One pass of the guardian, which from now on wants something else."""
        self.duty = replace(self.duty, wanted=replace(self.duty.wanted, **wanted))
        await look_for_silence(self.duty)
        await guard(self.duty)

    async def pass_time(self, seconds: float) -> None:
        """So many seconds pass, for RingCentral and for us, and all that RingCentral sends in them is answered."""
        world = self.simulator.world
        self.clock.ahead += seconds
        await control.advance_clock(world, {"advance": seconds})
        while world.schedule.busy(world.clock.now()):  # noqa: ASYNC110 - a fact of the simulator
            await asyncio.sleep(0.01)

    async def hand_on(self) -> int:
        """Journal and merge what the receiver got since the last time, as the insights process does."""
        events = self.receiver.events[self.handed_on :]
        self.handed_on += len(events)
        account_id, now = self.client.account_id, self.clock.now()
        messages = [InsightsReceived(json.dumps(event).encode(), account_id, now) for event in events]
        if messages:
            await handle(self.pool, self.clock, messages, Work())
        return len(messages)

    async def live(self, seconds: float, *, rounds: int = 1) -> None:
        """So much time passes, in so many rounds of what the insights process and the poller's leader do."""
        work = Fetching(self.client, self.pool, self.clock, self.leadership)
        for _ in range(rounds):
            await self.pass_time(seconds / rounds)
            await self.hand_on()
            await poll(self.client, self.pool, self.clock, self.leadership)
            await fetch_insights(work)
            await self.look()

    async def call(self, *, extension: int = 0, **order: Any) -> str:
        """A recorded call of a minute ends now; its recording. The call log shows it after 20 s."""
        world = self.simulator.world
        who = world.company.extensions[extension].id
        made = await orders.order_calls(world, {"extension_id": who, "appears_after": 20, **order})
        recording: str = made["calls"][0]["recordings"][0]
        return recording

    async def recording(self, source_record_id: str) -> Any:
        """Its row."""
        sql = "SELECT * FROM recordings WHERE source_record_id = $1"
        return await self.pool.fetchrow(sql, source_record_id)

    async def outages(self) -> Sequence[Any]:
        return await self.pool.fetch("SELECT * FROM subscription_outages ORDER BY began_at")


@asynccontextmanager
async def guarded(pool: Pool, **options: Any) -> AsyncIterator[Guarded]:
    """Everything that a pass of the guardian needs, before the first one."""
    clock, lease = ShiftedClock(), Lease("poller")
    fencing = await lease.hold(pool, 3600)
    assert fencing is not None
    async with (
        Simulator(replace(COMPANY, **options)) as simulator,
        listening() as receiver,
        open_ringcentral(settings_for(simulator), pool, clock) as client,
    ):
        # Days pass in moments, and their minutes with them; each lets all tokens end.
        await control.set_limits(simulator.world, {"light": 1000, "medium": 1000, "heavy": 1000, "auth": 1000})
        wanted = Wanted(receiver.url, "token", ("pbx",))
        duty = Duty(client, pool, clock, Leadership(lease, fencing), wanted)
        yield Guarded(simulator, receiver, pool, clock, duty)
