"""What the tests of the client share: the simulator, a database beside it, and clients as good as processes."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from common.clock import Clock, SystemClock
from common.database.migrate import migrate
from common.database.pool import Pool, open_pool
from common.ringcentral.budget import Group, Priority
from common.ringcentral.client import Ask, RingCentral, open_ringcentral
from common.settings import RingCentralSettings, read_settings
from simulator import Simulator, SimulatorOptions, control

#: A heavy request that costs nobody anything, and ends as `Missing`.
NO_RECORDING = Ask("GET", "/restapi/v1.0/account/~/recording/0", Group.HEAVY, Priority.LIVE)
#: A light request that everybody may send.
ACCOUNT = Ask("GET", "/restapi/v1.0/account/~", Group.LIGHT)


@dataclass
class Office:
    """A simulated RingCentral, and the database that our processes share."""

    simulator: Simulator
    database_url: str
    pool: Pool
    stack: AsyncExitStack = field(repr=False)

    def environment(self, **settings: str) -> dict[str, str]:
        options = self.simulator.options
        return {
            "RC_SERVER_URL": self.simulator.url,
            "RC_ACCOUNT_ID": options.account_id,
            "RC_CLIENT_ID": options.client_id,
            "RC_CLIENT_SECRET": options.client_secret,
            "RC_JWT": options.jwt,
            **settings,
        }

    def opened(
        self, pool: "Pool | None" = None, clock: Clock | None = None, **settings: str
    ) -> AbstractAsyncContextManager[RingCentral]:
        read = read_settings(RingCentralSettings, self.environment(**settings))
        return open_ringcentral(read, pool or self.pool, clock or SystemClock())

    async def client(self, pool: "Pool | None" = None, clock: Clock | None = None, **settings: str) -> RingCentral:
        """One more, as if in a process of its own; it is closed when the office is."""
        return await self.stack.enter_async_context(self.opened(pool, clock, **settings))

    async def counts(self) -> dict[str, Any]:
        return await control.counts(self.simulator.world)

    async def order(self, what: str, order: Mapping[str, Any]) -> None:
        """Something of the simulator's control endpoint, by its path."""
        async with httpx.AsyncClient(base_url=self.simulator.url, timeout=60) as http:
            answer = await http.post(f"/simulator/{what}", json=order)
            assert answer.status_code == 200, answer.text


@asynccontextmanager
async def simulated(database_url: str, **options: Any) -> AsyncIterator[Office]:
    """Windows are 60 s divided by `speed`, 1 s unless told otherwise."""
    await migrate(database_url)
    chosen = {"speed": 60.0, "history": 3600.0, "elapsed": 3600.0, "recordings": 3} | options
    async with (
        Simulator(SimulatorOptions(**chosen)) as simulator,
        open_pool(database_url, "test", size=16) as pool,
        AsyncExitStack() as stack,
    ):
        yield Office(simulator, database_url, pool, stack)
