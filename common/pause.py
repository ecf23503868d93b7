"""Waiting that a stop ends early."""

import asyncio
import contextlib


async def pause(seconds: float, stop: asyncio.Event) -> bool:
    """Wait so long, or until `stop` is set; True when it was not."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
    return not stop.is_set()
