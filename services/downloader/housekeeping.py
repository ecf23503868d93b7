"""What one downloader among the replicas does beside downloads: what storage needs to rebuild the rows by itself, and
the end of uploads and trial objects that were left there.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
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


async def keep_house(
    pool: Pool,
    storage: Storage,
    clock: PausingClock,
    account_id: str,
    journal_keep: timedelta | None,
    stop: asyncio.Event,
) -> None:
    """Do it whenever this process has the lease, until the stop or cancelled, which leaves nothing half done.

    What fails is tried again at the next look, and never disturbs the downloads.
    """
    lease = Lease(f"housekeeping of {account_id}")
    swept_at: datetime | None = None
    try:
        while not stop.is_set():
            more = False
            if await _tried(partial(_holds, lease, pool)):
                more = await _once(pool, storage, clock, journal_keep)
                if not more and _is_due(swept_at, clock) and await _tried(partial(_sweep, pool, storage, account_id)):
                    swept_at = clock.now()
            if not more:
                await clock.pause(LOOK_EVERY, stop)
    finally:
        await lease.release(pool)


def _is_due(swept_at: datetime | None, clock: Clock) -> bool:
    """Whether left uploads and trials are to be looked for: after a while, or when the clock was set back."""
    return swept_at is None or not timedelta() <= clock.now() - swept_at < EVERY


async def _once(pool: Pool, storage: Storage, clock: Clock, journal_keep: timedelta | None) -> bool:
    """One step of each kind; whether there is more to do at once."""
    more = await _tried(partial(_write_sidecars, pool, storage))
    more = await _tried(partial(archive_piece, pool, storage, clock)) or more
    if journal_keep is not None:
        more = await _tried(partial(forget_day, pool, storage, clock, journal_keep)) or more
    return more


async def _tried(step: Callable[[], Awaitable[bool]]) -> bool:
    """What the step says; False, which is told, when it fails: the others do not wait for it."""
    try:
        return await step()
    except (StorageError, DatabaseAway) as error:
        structlog.get_logger().warning("housekeeping_waited", reason=str(error))
    except Exception:  # noqa: BLE001 - nobody waits for this task: it would end for good, and nobody would know.
        structlog.get_logger().exception("housekeeping_failed")
    return False


async def _holds(lease: Lease, pool: Pool) -> bool:
    return await lease.hold(pool, _HOLDS) is not None


async def _write_sidecars(pool: Pool, storage: Storage) -> bool:
    return await write_sidecars(pool, storage) == AT_ONCE


async def _sweep(pool: Pool, storage: Storage, account_id: str) -> bool:
    await abort_left_uploads(pool, storage, account_id)
    await abort_left_pieces(storage, account_id)
    await sweep_trials(storage)
    return True
