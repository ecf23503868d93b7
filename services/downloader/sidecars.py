"""The small file beside each stored recording, written again whenever its row has learnt something."""

from collections.abc import AsyncGenerator
from typing import Final

import structlog

from common.archive.sidecar import write_sidecar
from common.database.pool import Pool
from common.database.statements import statements
from common.storage.interface import Storage
from common.storage.object_names import sidecar_name

#: Files that one look writes, one after another: they are small, and must not get in the way of audio.
AT_ONCE: Final = 50


async def write_sidecars(pool: Pool, storage: Storage) -> int:
    """Write those that are due, and return how many there were, `AT_ONCE` at most. May run twice, in one process.

    Raises `StorageError` and `DatabaseAway`; what is not written then is due again.
    """
    sql = statements("sidecars")
    rows = await pool.fetch(sql["due"], AT_ONCE)
    for row in rows:
        raw = write_sidecar(dict(row))
        await storage.put(sidecar_name(row["audio_object"]), _once(raw), content_type="application/json")
        key = (row["account_id"], row["domain"], row["source_record_id"])
        await pool.execute(sql["written"], *key, row["updated_at"])
    if rows:
        structlog.get_logger().debug("sidecars_written", files=len(rows))
    return len(rows)


async def _once(raw: bytes) -> AsyncGenerator[bytes, None]:
    yield raw
