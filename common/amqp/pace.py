"""How quickly a consume loop goes on when nearly everything that it handles fails.

Each failure is one more dead letter. When it is not the messages that are at fault, a loop at full speed would turn a
whole queue into dead letters before anybody looked; slowed down, it still finds out by itself when all is well again.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import structlog

from common.telemetry.health import Work

#: Outcomes that are looked back on: enough for a few bad messages among good ones to slow nothing down.
LAST: Final = 20
#: The share of failures among them from which on the loop is slow: nearly all.
FAILING: Final = 0.9
#: Seconds of the first pause, which doubles with each further failure, and of the longest: two dead letters a minute
#: are few beside a queue, and nobody waits longer than that once the cause is mended.
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0


@dataclass(slots=True)
class Pace:
    """The pace of one loop; all of its workers share it."""

    queue: str
    stop: asyncio.Event
    slow: bool = False
    _outcomes: deque[bool] = field(default_factory=lambda: deque(maxlen=LAST))
    _pause: float = FIRST_PAUSE
    _hurry: asyncio.Event = field(default_factory=asyncio.Event)

    def succeeded(self) -> None:
        """Note a message that was handled: nobody pauses any longer."""
        self._note(succeeded=True)
        self._pause = FIRST_PAUSE
        self._hurry.set()

    async def failed(self, work: Work) -> None:
        """Note a message that became a dead letter; when nearly all do, return after a pause only.

        A success of another worker and the stop of the process end the pause.
        """
        self._note(succeeded=False)
        if not self.slow:
            return
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
        self._hurry.clear()
        with work.waiting():
            await first_of(self.stop, self._hurry, within=pause)

    def _note(self, *, succeeded: bool) -> None:
        self._outcomes.append(succeeded)
        failures = self._outcomes.count(False)
        slow = len(self._outcomes) == LAST and failures >= FAILING * LAST
        if slow and not self.slow:
            structlog.get_logger().error("consumer_slowed_down", queue=self.queue, failed=failures, of_the_last=LAST)
        elif self.slow and not slow:
            structlog.get_logger().info("consumer_at_full_speed", queue=self.queue)
        self.slow = slow


async def first_of(*events: asyncio.Event, within: float | None = None) -> None:
    """Return once any of them is set, or after so many seconds."""
    tasks = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
