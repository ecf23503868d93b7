"""Which request meets which fault: those ordered one by one, then those of the storm. What they do: ``wire_faults``
and ``service_faults``.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from simulator.tally import Tally

#: what an order says of a fault itself; the rest are parameters of its kind.
_FIELDS = ("endpoint", "kind", "times", "skip", "match", "chance")


@dataclass
class Fault:
    """``match``: only requests whose path holds this text; ``skip``: so many are let through first; ``chance``: of the
    others, so large a share meets it.

    ``name`` is that of the storm's; one that was ordered has none.
    """

    endpoint: str
    kind: str
    times: int = 1
    skip: int = 0
    match: str = ""
    chance: float = 1.0
    parameters: dict[str, Any] = field(default_factory=dict)
    name: str = ""


class Source(Protocol):
    """Where faults come from that nobody ordered one by one."""

    def next_for(self, endpoint: str, path: str) -> Fault | None: ...

    def missed(self, fault: Fault) -> None: ...

    def left(self) -> list[dict[str, Any]]: ...

    def tally(self) -> list[Tally]: ...

    def clear(self) -> None: ...


class Faults:
    """``endpoints`` and ``kinds`` are the names that faults may be ordered for and by."""

    def __init__(self, source: Source) -> None:
        self.endpoints: frozenset[str] = frozenset()
        self.kinds: frozenset[str] = frozenset()
        self.happened: dict[str, int] = defaultdict(int)
        self._source = source
        self._rng = Random("faults")
        self._queues: dict[str, list[Fault]] = defaultdict(list)

    def add(self, order: dict[str, Any]) -> Fault:
        """Queues a fault as the control endpoint takes it; whatever is no field is a parameter of the kind."""
        known = {name: order.pop(name) for name in _FIELDS if name in order}
        if known.get("kind") not in self.kinds:
            raise ValueError(f"kind must be one of: {', '.join(sorted(self.kinds))}")
        if known.get("endpoint") not in self.endpoints:
            raise ValueError(f"endpoint must be one of: {', '.join(sorted(self.endpoints))}")
        fault = Fault(**known, parameters=order)
        self._queues[fault.endpoint].append(fault)
        return fault

    def clear(self) -> None:
        self._queues.clear()
        self._source.clear()

    def left(self) -> list[dict[str, Any]]:
        queued = [
            {"endpoint": fault.endpoint, "kind": fault.kind, "times": fault.times}
            for queue in self._queues.values()
            for fault in queue
        ]
        return queued + self._source.left()

    def next_for(self, endpoint: str, path: str) -> Fault | None:
        """The fault that this request meets; it is used up."""
        fault = self._ordered_for(endpoint, path) or self._source.next_for(endpoint, path)
        if fault:
            self.happened[f"{endpoint}:{fault.kind}"] += 1
        return fault

    def missed(self, fault: Fault) -> None:
        """A request was refused for another reason before it could meet the storm's fault: a later one will."""
        self.happened[f"{fault.endpoint}:{fault.kind}"] -= 1
        self._source.missed(fault)

    def tally(self) -> list[Tally]:
        """What the storm planned for requests, and what happened of it."""
        return self._source.tally()

    def _ordered_for(self, endpoint: str, path: str) -> Fault | None:
        queue = self._queues.get(endpoint, [])
        for fault in queue:
            if fault.match and fault.match not in path:
                continue
            if fault.skip > 0:
                fault.skip -= 1
                return None
            if self._rng.random() >= fault.chance:
                return None
            fault.times -= 1
            if fault.times <= 0:
                queue.remove(fault)
            return fault
        return None
