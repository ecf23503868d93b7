"""Business time that a test moves: whoever pauses in it wakes when the end of the pause has come."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from common.tasks import end


@dataclass
class MovedClock:
    """The machine's clock, and so much more. Of each task that has ever paused it is known whether it does now."""

    _ahead: timedelta = timedelta()
    _pausing: set["asyncio.Task[Any]"] = field(default_factory=set)
    _asleep: dict["asyncio.Task[Any]", tuple[datetime, asyncio.Event]] = field(default_factory=dict)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    async def pause(self, seconds: float, stop: asyncio.Event) -> bool:
        """Wait until so much business time has passed, by itself or because it was moved, or until the stop."""
        task, until = asyncio.current_task(), self.now() + timedelta(seconds=seconds)
        assert task is not None
        self._pausing.add(task)
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set() and (left := (until - self.now()).total_seconds()) > 0:
                woken = asyncio.Event()
                self._asleep[task] = until, woken
                waking = asyncio.create_task(woken.wait())
                try:
                    await asyncio.wait([stopping, waking], timeout=left, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    self._asleep.pop(task, None)
                    await end(waking)
        finally:
            await end(stopping)
        return not stop.is_set()

    def move(self, seconds: float) -> None:
        """So many seconds pass at once. From here on, those whose pause is over do not count as asleep."""
        self._ahead += timedelta(seconds=seconds)
        now = self.now()
        for task, (until, woken) in list(self._asleep.items()):
            if until <= now:
                woken.set()
                del self._asleep[task]

    @property
    def all_asleep(self) -> bool:
        """Whether everybody who pauses now and then does so: each has ended the round that the last move began."""
        self._pausing = {task for task in self._pausing if not task.done()}
        return self._pausing <= self._asleep.keys()
