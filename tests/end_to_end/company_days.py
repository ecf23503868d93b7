"""What the people of a company do day by day, and what becomes of their calls."""

import random
from dataclasses import dataclass, field
from typing import Any

from simulator import company_orders, control
from simulator.company import Call, InsightEvent
from tests.end_to_end.long_life import DAY, HOUR, MINUTE, LongLife


@dataclass
class Company:
    """Calls of all kinds, drawn by lot."""

    life: LongLife
    rng: random.Random
    began: float
    #: Recordings of which RingCentral gives another audio than it tells of.
    quarantined: set[str] = field(default_factory=set)

    @property
    def day(self) -> float:
        """Days since the begin."""
        return (self.life.world.clock.now() - self.began) / DAY

    async def days(self, number: int, *, changes: bool = True) -> None:
        """So many days as any others: calls in the morning and in the afternoon, and changes to older ones."""
        last = int(self.day + 0.5) + number
        while int(self.day + 0.5) < last:
            await self.life.neighbour.renew()
            await self.usual_calls()
            await self.life.pass_time(10 * MINUTE)
            if changes:
                await self.change_something()
            await self.life.pass_time(self.rng.uniform(3, 5) * HOUR)
            await self.usual_calls()
            await self.life.pass_time(10 * MINUTE)
            await self.life.pass_time(self.began + (int(self.day) + 1) * DAY - self.life.world.clock.now())

    async def quiet_until(self, day: int) -> None:
        """Nobody calls any more, and what there was comes to its end."""
        while self.day < day:
            await self.life.neighbour.renew()
            await self.life.pass_time(DAY / 2)

    async def call(self, **order: Any) -> Call:
        """A call of somebody with a licence, whose insights come after some minutes; of several parts the first."""
        usual = {
            "extension_id": self._extension(licensed=True),
            "insights_after": self.rng.uniform(4, 8) * MINUTE,
            "seconds": self.rng.uniform(40, 90),
        }
        return (await self.life.call(**usual | order))[0]

    async def everybody_calls(self) -> None:
        """So that it shows who has a licence."""
        for one in self.life.world.company.extensions:
            await self.call(extension_id=one.id, **({} if one.licensed else {"insights_after": None}))
        await self.life.pass_time(10 * MINUTE)

    async def usual_calls(self) -> None:
        """Some of all kinds."""
        shapes: list[dict[str, Any]] = [
            {"insights_after": None, "extension_id": self._extension(licensed=False)},
            {"wav": True, "notes_after": MINUTE},
            {"insights_after": None, "notes_after": 2 * MINUTE},
            {"second_recording": True},
            {"transfer": True},
            {"queue": True, "recording_after": 3 * MINUTE},
            {"recording_seconds": 20.0},
            {"recorded": False, "insights_after": None},
            {"recorded": False, "insights_after": None, "short_recording": True},
            {"recording_after": self.rng.uniform(1, 30) * HOUR},
            {"appears_after": self.rng.uniform(1, 40) * HOUR},
        ]
        for shape in [{}, {"insights_after": None}, *self.rng.sample(shapes, 3)]:
            await self.call(**shape)

    async def change_something(self) -> None:
        """Records are rewritten and deleted; now and then there is a meeting, audio is gone before it could be had, or
        is another one than RingCentral tells of.
        """
        world = self.life.world
        written = [call for call in world.company.calls[-30:] if call.revisions[-1].at <= world.clock.now()]
        shown = [call for call in written if not call.revisions[-1].deleted]
        rewritten, deleted = self.rng.sample(shown, 2)
        await company_orders.rewrite_calls(world, {"id": rewritten.id, "legs": 4, "mask": True, "result": "Accepted"})
        await company_orders.delete_calls(world, {"id": deleted.id})
        if int(self.day) % 3 == 0:
            await company_orders.order_conversations(world, {"domain": "rcv"})
            (recording,) = (await self.call(audio_after=2 * HOUR)).recordings()
            await self.life.pass_time(9 * MINUTE)
            gone = {"recording_id": recording.id, "remove": self.rng.random() < 0.5}
            await company_orders.expire_recordings(world, gone)
        if int(self.day) % 10 == 1:
            (recording,) = (await self.call()).recordings()
            other = {"endpoint": "recording.content", "kind": "other_audio", "match": f"/{recording.id}/", "times": 100}
            await control.add_faults(world, other)
            self.quarantined.add(recording.id)

    async def lose_events(self, number: int) -> None:
        """Events that nobody gets, while those of other calls arrive."""
        await company_orders.order_event_faults(self.life.world, {"kind": "lost", "times": number})
        for _ in range(number):
            await self.call(insights_after=self.rng.uniform(1, 2) * MINUTE)
        await self.call()
        await self.life.pass_time(10 * MINUTE)
        lost = [event for event in self.life.world.company.events if event.lost]
        assert len(lost) >= number

    def events_of(self, call: Call) -> list[InsightEvent]:
        """All that is told of a call."""
        by_recording = self.life.world.company.events_by_recording
        return [event for recording in call.recordings() for event in by_recording.get(recording.id, [])]

    def _extension(self, *, licensed: bool) -> int:
        return self.rng.choice([one.id for one in self.life.world.company.extensions if one.licensed is licensed])
