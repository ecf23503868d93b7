"""What one downloader among the replicas does beside downloads: what storage needs to rebuild the rows by itself, and
the end of uploads and trial objects that were left there.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from common.clock import Clock, PausingClock
from common.database.leases import Lease
from common.database.pool import DatabaseAway, Pool
from common.storage.interface import Storage, StorageError
from common.storage.trials import sweep_trials
from services.downloader.journal_archive import archive_piece, forget_day
from services.downloader.left_uploads import EVERY, abort_left_pieces, abort_left_uploads
from services.downloader.sidecars import AT_ONCE, write_sidecars

#: Seconds that the right to do this holds: longer than any one step, a piece of the journal on a slow line included.
_HOLDS: Final = 900.0
#: Seconds between two looks. A file beside the audio may be so much older than its row.
LOOK_EVERY: Final = 30.0


@dataclass(slots=True)
class _Steps:
    """How some steps went: whether there is more to do, and whether one failed."""

    more: bool = False
    failed: bool = False

    @contextmanager
    def one(self) -> Iterator[None]:
        """Around each step: that it failed is told, and the others do not wait for it."""
        try:
            yield
        except (StorageError, DatabaseAway) as error:
            self.failed = True
            structlog.get_logger().warning("housekeeping_waited", reason=str(error))
        except Exception:  # noqa: BLE001 - nobody waits for this task: it would end for good, and nobody would know.
            self.failed = True
            structlog.get_logger().exception("housekeeping_failed")

    @property
    def go_on(self) -> bool:
        """Whether the next look comes at once: a step that failed has a pause before it is tried again."""
        return self.more and not self.failed


async def keep_house(
    pool: Pool,
    storage: Storage,
    clock: PausingClock,
    account_id: str,
    journal_keep: timedelta | None,
    stop: asyncio.Event,
) -> None:
    """Do it whenever this process has the lease, until the stop or cancelled, which leaves nothing half done.

    What fails is tried again at the next look, and never disturbs the downloads; the other steps go on, once a look.
    """
    lease = Lease(f"housekeeping of {account_id}")
    swept_at: datetime | None = None
    try:
        while not stop.is_set():
            steps = _Steps()
            with steps.one():
                if await lease.hold(pool, _HOLDS) is not None:
                    await _write(steps, pool, storage, clock, journal_keep)
                    if not steps.go_on and _is_due(swept_at, clock) and await _sweep(lease, pool, storage, account_id):
                        swept_at = clock.now()
            if not steps.go_on:
                await clock.pause(LOOK_EVERY, stop)
    finally:
        await lease.release(pool)


def _is_due(swept_at: datetime | None, clock: Clock) -> bool:
    """Whether left uploads and trials are to be looked for: after a while, or when the clock was set back."""
    return swept_at is None or not timedelta() <= clock.now() - swept_at < EVERY


async def _write(steps: _Steps, pool: Pool, storage: Storage, clock: Clock, journal_keep: timedelta | None) -> None:
    """One step of each kind."""
    with steps.one():
        steps.more |= await write_sidecars(pool, storage) == AT_ONCE
    with steps.one():
        steps.more |= await archive_piece(pool, storage, clock)
    if journal_keep is not None:
        with steps.one():
            steps.more |= await forget_day(pool, storage, clock, journal_keep)


async def _sweep(lease: Lease, pool: Pool, storage: Storage, account_id: str) -> bool:
    """End what was left in the storage; whether all of it went well."""
    steps = _Steps()
    with steps.one():
        await abort_left_uploads(pool, storage, account_id)
    with steps.one():
        if await lease.hold(pool, _HOLDS) is None:  # what came before has outlasted it.
            return False
        await abort_left_pieces(storage, account_id)
    with steps.one():
        await sweep_trials(storage)
    return not steps.failed
