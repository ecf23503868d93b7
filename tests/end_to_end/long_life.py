"""All services and the simulator in one process, with one clock that is moved: weeks pass in moments."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from common.settings import read_settings
from common.telemetry.health import Health
from demo.pipeline import Pipeline
from services.downloader.serve import DownloaderSettings
from services.downloader.serve import serve as serve_downloader
from services.insights.serve import InsightsSettings
from services.insights.serve import serve as serve_insights
from services.poller.serve import GUARD_EVERY, PollerSettings
from services.poller.serve import serve as serve_poller
from services.webhook.service import serve as serve_webhook
from services.webhook.settings import WebhookSettings
from simulator import Simulator, control, orders
from simulator.company import Call, InsightEvent
from simulator.subscriptions import Subscription
from simulator.world import World
from tests.end_to_end.facts import Rows, until
from tests.end_to_end.moved_clock import MovedClock
from tests.end_to_end.neighbour import Neighbour, neighbouring

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
#: Seconds that pass between two looks at facts that do not hold yet: so what pauses for a moment goes on at once.
A_MOMENT: Final = 1.0
#: Real seconds that all which a move has begun may take; only a failure takes so long.
SETTLED_WITHIN: Final = 180.0

SERVICES: Final[Mapping[str, tuple[Any, Any]]] = {
    "webhook": (WebhookSettings, serve_webhook),
    "insights": (InsightsSettings, serve_insights),
    "poller": (PollerSettings, serve_poller),
    "downloader": (DownloaderSettings, serve_downloader),
}
#: What is to be done by now, by whom.
DUE: Final = {
    "downloader": """SELECT count(*) FROM recordings
        WHERE audio_state IN ('pending', 'quarantined') AND audio_due_at <= $1""",
    "poller": """SELECT count(*) FROM recordings WHERE insights_state IN ('absent', 'partial')
        AND (insights_due_at <= $1 OR insights_due_at IS NULL AND insights_reason IS NULL)""",
}


@dataclass
class Service:
    """A service that runs as a task, as its process would run it."""

    task: "asyncio.Task[None]"
    health: Health
    stop: asyncio.Event


@dataclass
class LongLife:
    """The company, the services that keep its calls, and how time passes for both."""

    simulator: Simulator
    pipeline: Pipeline
    rows: Rows
    neighbour: Neighbour
    clock: MovedClock = field(default_factory=MovedClock)
    services: dict[str, Service] = field(default_factory=dict)
    #: How many living subscriptions of ours there were after each pass of the guardian.
    counts: list[int] = field(default_factory=list)

    @property
    def world(self) -> World:
        return self.simulator.world

    @property
    def living(self) -> list[Subscription]:
        """Those for our address that RingCentral would send to."""
        address = self.pipeline.webhook_url
        return [one for one in self.world.subscriptions.living() if one.address == address and one.status == "Active"]

    @property
    def only(self) -> Subscription:
        (only,) = self.living
        return only

    def has_heard(self, event: InsightEvent) -> bool:
        """Whether our receiver has taken an event."""
        return any(bytes.fromhex(one.sha256) not in self.neighbour.heard for one in event.accepted)

    async def start(self, *names: str, **settings: str) -> None:
        """Start services and return when they are ready."""
        began, options = self.clock.now(), self.simulator.options
        environment = self.pipeline.environment | {
            "HTTP_PORT": str(self.pipeline.webhook_port),
            "RC_SERVER_URL": self.simulator.url,
            "RC_CLIENT_ID": options.client_id,
            "RC_CLIENT_SECRET": options.client_secret,
            "RC_JWT": options.jwt,
        }
        for name in names:
            kind, serve = SERVICES[name]
            health, stop = Health(), asyncio.Event()
            serving = serve(read_settings(kind, environment | settings), health, stop, self.clock)
            self.services[name] = Service(asyncio.create_task(serving, name=name), health, stop)
        for name in names:
            await until(self._is_ready(name), what=f"{name} being ready")
        if "poller" in names:
            looked = "SELECT max(seen_live_at) >= $1 FROM subscriptions"
            await until(lambda: self.rows.ask(looked, began), what="a subscription", within=SETTLED_WITHIN)

    async def stop(self, *names: str) -> None:
        """Stop services politely, and wait for their end."""
        for name in names:
            self.services[name].stop.set()
        for name in names:
            await self.services.pop(name).task

    async def pass_time(self, seconds: float) -> None:
        """So much time passes for everybody, and what it brings is done: events are sent and journaled, the call log
        was polled, the guardian has looked, and what is due was fetched.
        """
        await until(self._is_calm, what="the end of all rounds", within=SETTLED_WITHIN)
        self._move(seconds)
        async with asyncio.timeout(SETTLED_WITHIN):
            while not await self._is_settled():
                self._check_services()
                if self.clock.all_asleep:
                    self._move(A_MOMENT)
                await asyncio.sleep(0.02)
        if "poller" in self.services and seconds >= GUARD_EVERY:
            self._count()

    async def call(self, **order: Any) -> list[Call]:
        """A call that ends now, with a recording each of its parts; insights come after five minutes unless told."""
        made = await orders.order_calls(self.world, order)
        return [self.world.company.calls_by_id[one["id"]] for one in made["calls"]]

    def _move(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        self.world.schedule.wake()
        self.clock.move(seconds)

    def _check_services(self) -> None:
        for name, service in self.services.items():
            assert service.health.live(), f"{name} is stalled"
            assert not service.task.done(), f"{name} has ended"

    def _count(self) -> None:
        """At no moment two for longer than a pass, nor none for longer than two."""
        self.counts.append(len(self.living))
        assert self.counts[-1] <= 1, "two subscriptions of ours after a pass"
        assert self.counts[-2:] != [0, 0], "none of ours after two passes"

    def _is_ready(self, name: str) -> Callable[[], Awaitable[bool]]:
        service = self.services[name]

        async def ready() -> bool:
            if service.task.done():
                service.task.result()
            return bool(service.health.conditions) and not service.health.unready()

        return ready

    async def _is_calm(self) -> bool:
        return self.clock.all_asleep

    async def _is_settled(self) -> bool:
        world = self.world
        if not self.clock.all_asleep or world.schedule.busy(world.clock.now()):
            return False
        for name, due in DUE.items():
            if "poller" in self.services and name in self.services and await self.rows.ask(due, self.clock.now()):
                return False
        return await self._is_journaled() and self.clock.all_asleep

    async def _is_journaled(self) -> bool:
        digests = {bytes.fromhex(one.sha256) for event in self.world.company.events for one in event.accepted}
        ours = list(digests - self.neighbour.heard)
        query = "SELECT count(*) FROM insight_events WHERE digest = ANY($1)"
        return bool(await self.rows.ask(query, ours) == len(ours))


@asynccontextmanager
async def long_life(pipeline: Pipeline, rows: Rows, simulator: Simulator) -> AsyncIterator[LongLife]:
    """Everything that a long life needs, before any service was started."""
    # Days pass in moments, and their minutes with them; each lets all tokens end.
    await control.set_limits(simulator.world, {"light": 3000, "medium": 3000, "heavy": 3000, "auth": 3000})
    async with neighbouring(simulator) as neighbour:
        life = LongLife(simulator, pipeline, rows, neighbour)
        try:
            yield life
            assert (await control.counts(simulator.world))["refused"] == 0
        finally:
            for service in life.services.values():
                service.stop.set()
            await asyncio.gather(*(service.task for service in life.services.values()), return_exceptions=True)
