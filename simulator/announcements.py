"""From an event that is due to its delivery, and what may go wrong between, one function per kind."""

from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from simulator.clock import Clock, Schedule
from simulator.company import Company, InsightEvent
from simulator.delivery import Delivery
from simulator.insights import UNKNOWN_KIND

#: business seconds that a delayed event comes late.
DELAY_SECONDS = 900.0
#: business seconds until a duplicate follows, or until an event comes that others were to overtake.
SHORT_DELAY_SECONDS = 45.0


class Announcements:
    """Plans events; ``neighbour`` is the other account, whose events may be sent to the same addresses.

    While ``calm``, nothing happens to events that was not ordered one by one.
    """

    def __init__(
        self, delivery: Delivery, clock: Clock, schedule: Schedule, company: Company, neighbour: Company
    ) -> None:
        self._delivery = delivery
        self._clock = clock
        self._schedule = schedule
        self._company = company
        self._neighbour = neighbour
        self._ordered: deque[str] = deque()
        self.happened: Counter[str] = Counter()
        self.calm = False

    def plan(self, events: list[InsightEvent]) -> None:
        for event in events:
            self._schedule.at(event.at, partial(self.happen, event))

    def plan_foreign(self, events: list[InsightEvent]) -> None:
        """Events of the neighbour, sent to whoever has subscribed here."""
        for event in events:
            self._company.happens(event.at)
            self._schedule.at(event.at, partial(self._delivery.announce_foreign, self._neighbour, event))

    def order(self, kind: str, times: int) -> None:
        """That goes wrong with the next ``times`` events. Raises ValueError for an unknown kind."""
        if kind not in EVENT_KINDS:
            raise ValueError(f"kind must be one of: {', '.join(EVENT_KINDS)}")
        self._ordered.extend([kind] * times)

    def left(self) -> list[dict[str, object]]:
        return [{"event": kind} for kind in self._ordered]

    def clear(self) -> None:
        self._ordered.clear()
        self.calm = True

    async def happen(self, event: InsightEvent) -> None:
        fault = self._ordered.popleft() if self._ordered else ("" if self.calm else event.fault)
        event.fault = fault
        if not fault:
            return await self.announce(event)
        self.happened[fault] += 1
        return await EVENT_KINDS[fault](self, event)

    async def announce(self, event: InsightEvent) -> None:
        await self._delivery.announce(event)

    def later(self, event: InsightEvent, seconds: float) -> None:
        """Sends the event that much later; until then not everything has happened."""
        moment = self._clock.now() + seconds
        self._company.happens(moment)
        self._schedule.at(moment, partial(self.announce, event))

    def later_event_of(self, event: InsightEvent) -> InsightEvent | None:
        """The next event of the same recording."""
        others = self._company.events_by_recording.get(event.recording.id, [])
        return next((other for other in others if other.at > event.at), None)


async def _duplicated(announcements: Announcements, event: InsightEvent) -> None:
    """It comes twice, the second time a little later."""
    await announcements.announce(event)
    announcements.later(event, SHORT_DELAY_SECONDS)


async def _copied(announcements: Announcements, event: InsightEvent) -> None:
    """It comes twice, the second time under another uuid."""
    await announcements.announce(event)
    announcements.later(replace(event, uuid=f"{event.uuid}0"), SHORT_DELAY_SECONDS)


async def _delayed(announcements: Announcements, event: InsightEvent) -> None:
    announcements.later(event, DELAY_SECONDS)


async def _reordered(announcements: Announcements, event: InsightEvent) -> None:
    """Later ones overtake it: first of all the next one of its recording."""
    other = announcements.later_event_of(event)
    announcements.later(event, (other.at - event.at if other else 0.0) + SHORT_DELAY_SECONDS)


async def _lost(_announcements: Announcements, event: InsightEvent) -> None:
    """Nobody ever gets it; what it was about can be asked for."""
    event.lost = True


async def _nulls(announcements: Announcements, event: InsightEvent) -> None:
    """Facts of its payload are null where the specification forbids it."""
    event.nulls = True
    await announcements.announce(event)


async def _unknown_kind(announcements: Announcements, event: InsightEvent) -> None:
    """It holds a kind of insights that nobody knows."""
    if UNKNOWN_KIND not in event.kinds:
        event.kinds = (*event.kinds, UNKNOWN_KIND)
    await announcements.announce(event)


EVENT_KINDS: dict[str, Callable[[Announcements, InsightEvent], Awaitable[None]]] = {
    "duplicated": _duplicated,
    "copied": _copied,
    "delayed": _delayed,
    "reordered": _reordered,
    "lost": _lost,
    "nulls": _nulls,
    "unknown-kind": _unknown_kind,
}
