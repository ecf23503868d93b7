"""Ending tasks for sure."""

import asyncio
from typing import Any, Final

#: Seconds after which a task that was cancelled and goes on is cancelled again.
_AGAIN: Final = 1.0


async def end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks until they have ended: connecting, a library may take a cancellation for a lost connection."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN)
