"""The gate before RingCentral: after our storage has failed, nothing is asked for until the storage is proven to work.

What RingCentral sends costs its budget, ten requests a minute; a probe of the storage costs nothing.
"""

import asyncio
import time
from typing import Final

import structlog

from common.storage.interface import Storage, StorageError

#: Seconds between two probes of one process: so late the end of an outage is noticed at most.
_PROBE_EVERY: Final = 10.0
#: Seconds that a probe may take; ending what it had begun may take three minutes more. Together that is less than half
#: of an attempt, so that one which waited for it has time left. The probe's part of 5 MiB gets through on any line on
#: which those of recordings do, at 30 KB/s.
_PROBE_WITHIN: Final = 240.0


class StorageAway(Exception):
    """The storage does not work just now; the sentence is that of its probe."""


class StorageGate:
    """One for each process."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._reason: str | None = None
        self._again_at = 0.0
        self._probing = asyncio.Lock()

    def close(self, reason: str) -> None:
        """The storage has failed just now."""
        self._reason = reason

    async def pass_through(self) -> None:
        """Return when the storage may be relied on; raises `StorageAway`."""
        if self._reason is None:
            return
        async with self._probing:
            if self._reason is not None and time.monotonic() >= self._again_at:
                await self._probe()
            if self._reason is not None:
                raise StorageAway(self._reason)

    async def _probe(self) -> None:
        try:
            async with asyncio.timeout(_PROBE_WITHIN):
                await self._storage.check()
        except (StorageError, TimeoutError) as error:
            self._reason = str(error) or "The storage does not answer."
            self._again_at = time.monotonic() + _PROBE_EVERY
            structlog.get_logger().warning("storage_away", reason=self._reason)
        else:
            self._reason = None
            structlog.get_logger().info("storage_back")
