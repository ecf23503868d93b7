"""The running simulator's parts in one place, as handlers get them, and the request that a handler answers."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace

from aiohttp import web

from simulator.announcements import Announcements
from simulator.call_plans import Planner
from simulator.clock import Clock, Schedule
from simulator.company import Company
from simulator.delivery import Delivery
from simulator.faults import Faults
from simulator.line import Line
from simulator.oauth import Session, Tokens, User
from simulator.options import SimulatorOptions
from simulator.rate_limits import RateLimits
from simulator.subscriptions import Subscriptions
from simulator.webhook_client import WebhookClient


@dataclass
class World:
    """``url`` is known once the server listens. ``sync_epoch`` grows when all sync tokens are to be refused.

    ``neighbour`` is the company of another account; ``without_extract_sync`` the status with which that endpoint is
    refused, 0 for an account that has it; ``sync_away_until``: until when, in real seconds, it has none for a while.
    """

    options: SimulatorOptions
    clock: Clock
    schedule: Schedule
    company: Company
    neighbour: Company
    planner: Planner
    limits: RateLimits
    tokens: Tokens
    subscriptions: Subscriptions
    webhooks: WebhookClient
    delivery: Delivery
    announcements: Announcements
    faults: Faults
    url: str = ""
    sync_epoch: int = 0
    without_extract_sync: int = 0
    sync_away_until: float = float("-inf")
    requests: Counter[str] = field(default_factory=Counter)
    #: the same by endpoint and by path with its query.
    asked: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    #: when each of them was asked for first, as the machine's clock shows it.
    first_asked: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    #: bytes of bodies that were written, by endpoint.
    sent: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    digests: dict[str, str] = field(default_factory=dict)
    #: what slow answers share that are slow together.
    line: Line = field(default_factory=Line)

    @property
    def media_url(self) -> str:
        return (self.options.media_url or self.url).rstrip("/")

    def as_seen_by(self, user: User) -> "World":
        """To a user of the other account, the company is that one; everything else is shared."""
        return self if user.account_id == self.company.account_id else replace(self, company=self.neighbour)


@dataclass(frozen=True)
class Incoming:
    """One request with the session it belongs to."""

    request: web.Request
    session: Session

    def path(self, name: str) -> str:
        return self.request.match_info[name]

    def query(self, name: str) -> str | None:
        return self.request.query.get(name)
