"""A line that carries so much at a time, for one answer or for many."""

import asyncio
import time

#: Seconds that may be made up for after a sleep that was too long, or a reader that was slow.
_BEHIND = 0.05


class Line:
    """Who sends waits until what was sent is through."""

    def __init__(self) -> None:
        self._free_at = float("-inf")

    async def carry(self, seconds: float) -> None:
        """Return once the line has carried what takes it so long, behind all that came before."""
        now = time.monotonic()
        await asyncio.sleep(self.through_at(now, seconds) - now)

    def through_at(self, now: float, seconds: float) -> float:
        """When it is through, if it is sent now."""
        self._free_at = max(self._free_at, now - _BEHIND) + seconds
        return self._free_at
