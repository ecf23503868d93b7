"""The whole simulator as one thing that starts and stops."""

import json
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from simulator.clock import Clock, Schedule
from simulator.delivery import RECONCILE_SECONDS, Delivery
from simulator.drawing import draw_company
from simulator.faults import Faults
from simulator.oauth import Tokens
from simulator.options import SimulatorOptions
from simulator.rate_limits import RateLimits
from simulator.server import application
from simulator.subscriptions import Subscriptions
from simulator.truth import truth
from simulator.webhook_client import WebhookClient
from simulator.world import World

#: real seconds that open answers get when the simulator stops; a stalled one is cut.
SHUTDOWN_SECONDS = 0.5


class Simulator:
    """Use as ``async with Simulator(SimulatorOptions(...)) as simulator``; listens while inside."""

    def __init__(self, options: SimulatorOptions) -> None:
        self.options = options
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        return self.world.url

    async def start(self) -> None:
        """Raises OSError when the port is taken."""
        self.world = _world(self.options)
        self._runner = web.AppRunner(application(self.world), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, self.options.host, self.options.port)
            await site.start()
        except OSError:
            await self.stop()
            raise
        host, port = self._runner.addresses[0][:2]
        self.world.url = self.options.public_url.rstrip("/") or f"http://{host}:{port}"
        now = self.world.clock.now()
        # What happened before the start was told to nobody, as nobody had subscribed.
        self.world.delivery.plan([event for event in self.world.company.events if event.at > now])
        if self.options.reconcile_blacklisted:
            self.world.schedule.at(now + RECONCILE_SECONDS, self.world.delivery.reconcile)
        self.world.schedule.start()

    async def stop(self) -> None:
        await self.world.schedule.stop()
        await self.world.webhooks.close()
        if self._runner:
            await self._runner.cleanup()

    async def truth(self) -> dict[str, Any]:
        return await truth(self.world)

    def announcement(self) -> str:
        """The line that tells a client all it needs."""
        options = self.options
        return json.dumps(
            {
                "url": self.url,
                "account_id": options.account_id,
                "client_id": options.client_id,
                "client_secret": options.client_secret,
                "jwt": options.jwt,
            }
        )


def _world(options: SimulatorOptions) -> World:
    begun = not options.begin_with_subscription
    clock = Clock(speed=options.speed, history=options.history, elapsed=options.elapsed, begun=begun)
    schedule = Schedule(clock)
    company, planner = draw_company(options, clock.start)
    tokens = Tokens(clock, client_id=options.client_id, client_secret=options.client_secret, jwts=options.jwts())
    subscriptions = Subscriptions(clock, options.account_id)
    webhooks = WebhookClient()
    return World(
        options=options,
        clock=clock,
        schedule=schedule,
        company=company,
        planner=planner,
        limits=RateLimits(speed=options.speed),
        tokens=tokens,
        subscriptions=subscriptions,
        webhooks=webhooks,
        delivery=Delivery(options, clock, schedule, company, subscriptions, webhooks),
        faults=Faults(),
    )
