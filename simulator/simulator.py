"""The whole simulator as one thing that starts and stops."""

import json
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from simulator.announcements import Announcements
from simulator.clock import Clock, Schedule
from simulator.control import blacklist
from simulator.delivery import RECONCILE_SECONDS, Delivery
from simulator.drawing import draw_company, draw_neighbour
from simulator.fault_names import BLACKLISTED, FOREIGN_ACCOUNT, chosen_faults
from simulator.faults import Faults
from simulator.oauth import Tokens
from simulator.options import SimulatorOptions, listed
from simulator.rate_limits import RateLimits
from simulator.server import application
from simulator.storm import Storm
from simulator.subscriptions import Subscriptions
from simulator.truth import truth
from simulator.webhook_client import WebhookClient
from simulator.world import World
from simulator.wrinkles import wrinkle

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
        """Raises OSError when the port is taken, ValueError for options that cannot be."""
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
        self.world.announcements.plan([event for event in self.world.company.events if event.at > now])
        self._plan_storm(now)
        if self.options.reconcile_blacklisted:
            self.world.schedule.at(now + RECONCILE_SECONDS, self.world.delivery.reconcile)
        self.world.schedule.start()

    def _plan_storm(self, now: float) -> None:
        """What happens at a time of its own instead of to a request or an event."""
        world, chosen = self.world, chosen_faults(self.options.faults)
        if FOREIGN_ACCOUNT in chosen:
            world.announcements.plan_foreign([event for event in world.neighbour.events if event.at > now])
        if BLACKLISTED in chosen:
            # In the midst of what is to come; a client needs time before to subscribe and after it to notice.
            world.schedule.at(now + (world.company.last_moment - now) / 2, self._blacklist)

    async def _blacklist(self) -> None:
        await blacklist(self.world, {})

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
    options.check()
    begun = not options.begin_with_subscription
    clock = Clock(speed=options.speed, history=options.history, elapsed=options.elapsed, begun=begun)
    schedule = Schedule(clock)
    chosen = chosen_faults(options.faults)
    company, planner = draw_company(options, clock.start)
    wrinkle(company, options.seed, chosen)
    neighbour = draw_neighbour(options, clock.start)
    subscriptions = Subscriptions(clock)
    webhooks = WebhookClient()
    delivery = Delivery(options, clock, schedule, company, subscriptions, webhooks)
    storm = Storm(
        options.seed,
        chosen,
        rate=options.fault_rate,
        times=options.fault_times,
        stall_seconds=options.stall_seconds,
    )
    return World(
        options=options,
        clock=clock,
        schedule=schedule,
        company=company,
        neighbour=neighbour,
        planner=planner,
        limits=RateLimits(speed=options.speed),
        tokens=_tokens(options, clock),
        subscriptions=subscriptions,
        webhooks=webhooks,
        delivery=delivery,
        announcements=Announcements(delivery, clock, schedule, company, neighbour),
        faults=Faults(storm),
        without_extract_sync=options.without_extract_sync,
    )


def _tokens(options: SimulatorOptions, clock: Clock) -> Tokens:
    tokens = Tokens(
        clock,
        client_id=options.client_id,
        client_secret=options.client_secret,
        jwts=options.jwts(),
        account_id=options.account_id,
    )
    for number, user in tokens.users.items():
        if options.is_foreign(number):
            user.account_id = options.foreign_account_id
    tokens.revoked_jwts |= set(listed(options.revoked_jwts))
    return tokens
