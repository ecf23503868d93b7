"""Faults of requests by seed: for each endpoint an order of faults and of well answers between them, drawn beforehand.

Bounded, so that a client that does right always finishes: each kind happens ``fault_times`` at an endpoint and no more,
after a fault at least one request goes well, and one and the same recording meets at most ``MOST_OF_ONE``.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from simulator.faults import Fault
from simulator.tally import Tally

#: faults that requests for one and the same resource meet.
MOST_OF_ONE = 2

CONTENT = ("recording.content",)
LOG = ("call_log.list", "call_log.sync")
INSIGHTS = ("insights.record", "insights.session")
#: endpoints whose path names one resource.
RESOURCES = ("call_log.get", "recording.get", *CONTENT, *INSIGHTS)
READS = (*LOG, *RESOURCES, "account.get", "permission.check", "subscription.list", "subscription.get")
CHANGES = ("subscription.create", "subscription.update", "subscription.renew", "subscription.delete")
EVERY = (*READS, *CHANGES, "oauth.token")
SYNC = ("call_log.sync",)


@dataclass(frozen=True)
class StormFault:
    """``kind`` and ``parameters`` as one orders them; ``endpoints``: where the storm lets it happen."""

    name: str
    kind: str
    endpoints: tuple[str, ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    match: str = ""


STORM = (
    StormFault("token:dropped", "token_dropped", (*CONTENT, *SYNC, *INSIGHTS)),
    StormFault("token:expired", "token_expired", (*CONTENT, *SYNC)),
    StormFault("token:session-limit", "sessions_taken", (*CONTENT, *LOG)),
    StormFault("token:unavailable", "status", ("oauth.token",), {"retry_after": 1}),
    StormFault("budget:penalty", "penalty", EVERY),
    StormFault("budget:throttled", "429", EVERY, {"retry_after": 1}),
    StormFault("budget:throttled-all", "throttle_all", EVERY, {"seconds": 1}),
    StormFault("budget:bare", "429", EVERY, {"retry_after": None}),
    StormFault("call-log:token-rejected", "sync_rejected", SYNC, {"code": "CLG-101"}, "syncToken="),
    StormFault("call-log:full-sync", "sync_rejected", SYNC, {"code": "CLG-104"}, "syncToken="),
    StormFault("call-log:sync-away", "sync_away", SYNC, {"seconds": 5}),
    StormFault("call-log:shift", "shift", ("call_log.list",), {}, "page=2"),
    StormFault("call-log:shift-back", "shift", ("call_log.list",), {"vanish": True}, "page=2"),
    StormFault("http:500", "status", EVERY, {"status": 500, "code": "CMN-203"}),
    StormFault("http:502", "status", EVERY, {"status": 502}),
    StormFault("http:503", "status", EVERY),
    StormFault("http:503-retry-after", "status", EVERY, {"retry_after": 1}),
    StormFault("http:dropped", "drop", READS),
    StormFault("http:slow-start", "stall", READS),
    StormFault("http:stall", "stall", (*CONTENT, *LOG), {"after_bytes": 0}),
    StormFault("http:cut", "cut", (*CONTENT, *LOG, *INSIGHTS)),
    StormFault("http:cut-chunked", "cut", (*CONTENT, *LOG, *INSIGHTS), {"length": False}),
    StormFault("http:cut-unframed", "cut_unframed", CONTENT),
    StormFault("http:truncated", "truncated", CONTENT),
    StormFault("http:error-as-200", "json200", (*CONTENT, *LOG, *INSIGHTS)),
    StormFault("http:wrong-type", "wrong_type", CONTENT),
    StormFault("http:empty", "empty", CONTENT),
    StormFault("http:not-ready", "not_ready", CONTENT),
    StormFault("events:handshake-refused", "unreachable", ("subscription.create",)),
    StormFault("events:disabled-filters", "disabled_filters", ("subscription.create",)),
)


class Storm:
    """The faults still to come. ``stall_seconds`` are real ones."""

    def __init__(
        self, seed: int, names: frozenset[str], *, rate: float = 0.2, times: int = 2, stall_seconds: float = 5.0
    ) -> None:
        self._rate = rate
        self._stall_seconds = stall_seconds
        self._met: Counter[str] = Counter()
        self._planned: Counter[tuple[str, str]] = Counter()
        self._happened: Counter[tuple[str, str]] = Counter()
        self._rngs: dict[str, Random] = {}
        self._gaps: dict[str, int] = {}
        self._plans: dict[str, deque[StormFault]] = {}
        chosen = [one for one in STORM if one.name in names]
        for endpoint in sorted({endpoint for one in chosen for endpoint in one.endpoints}):
            self._rngs[endpoint] = rng = Random(f"{seed}/{endpoint}")
            self._plans[endpoint] = deque(_plan(rng, [one for one in chosen if endpoint in one.endpoints], times))
            self._gaps[endpoint] = self._gap(rng)
            self._planned.update((one.name, endpoint) for one in self._plans[endpoint])

    def next_for(self, endpoint: str, path: str) -> Fault | None:
        plan = self._plans.get(endpoint)
        if not plan:
            return None
        if self._gaps[endpoint] > 0:
            self._gaps[endpoint] -= 1
            return None
        resource = path.partition("?")[0] if endpoint in RESOURCES else ""
        found = next((one for one in plan if one.match in path), None)
        if found is None or (resource and self._met[resource] >= MOST_OF_ONE):
            return None
        plan.remove(found)
        self._met[resource] += 1
        self._gaps[endpoint] = self._gap(self._rngs[endpoint])
        self._happened[found.name, endpoint] += 1
        parameters = {"seconds": self._stall_seconds, **found.parameters}
        return Fault(endpoint, found.kind, parameters=parameters, name=found.name)

    def missed(self, fault: Fault) -> None:
        self._happened[fault.name, fault.endpoint] -= 1
        if fault.endpoint in self._plans:
            self._plans[fault.endpoint].append(next(one for one in STORM if one.name == fault.name))

    def tally(self) -> list[Tally]:
        return [
            Tally(name, endpoint, planned, self._happened[name, endpoint])
            for (name, endpoint), planned in self._planned.items()
        ]

    def left(self) -> list[dict[str, Any]]:
        return [{"endpoint": endpoint, "storm": one.name} for endpoint, plan in self._plans.items() for one in plan]

    def clear(self) -> None:
        self._plans.clear()

    def _gap(self, rng: Random) -> int:
        """Requests that go well before the next fault: at least one."""
        return max(1, round(rng.expovariate(self._rate)))


def _plan(rng: Random, faults: list[StormFault], times: int) -> Iterable[StormFault]:
    """Each kind once in any order, then each a second time, and so on."""
    for _ in range(times):
        yield from rng.sample(faults, len(faults))
