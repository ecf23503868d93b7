"""The running simulator's parts in one place, as handlers get them, and the request that a handler answers."""

from collections import Counter
from dataclasses import dataclass, field

from aiohttp import web

from simulator.call_plans import Planner
from simulator.clock import Clock, Schedule
from simulator.company import Company
from simulator.delivery import Delivery
from simulator.faults import Faults
from simulator.oauth import Session, Tokens
from simulator.options import SimulatorOptions
from simulator.rate_limits import RateLimits
from simulator.subscriptions import Subscriptions
from simulator.webhook_client import WebhookClient


@dataclass
class World:
    """``url`` is known once the server listens. ``sync_epoch`` grows when all sync tokens are to be refused."""

    options: SimulatorOptions
    clock: Clock
    schedule: Schedule
    company: Company
    planner: Planner
    limits: RateLimits
    tokens: Tokens
    subscriptions: Subscriptions
    webhooks: WebhookClient
    delivery: Delivery
    faults: Faults
    url: str = ""
    sync_epoch: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def media_url(self) -> str:
        return (self.options.media_url or self.url).rstrip("/")


@dataclass(frozen=True)
class Incoming:
    """One request with the session it belongs to."""

    request: web.Request
    session: Session

    def path(self, name: str) -> str:
        return self.request.match_info[name]

    def query(self, name: str) -> str | None:
        return self.request.query.get(name)
