"""Uploads that nobody would abort: those of recordings that are not tried again, whose last attempt left one open, and
those of pieces of the journal, whose ids stand nowhere.
"""

from datetime import timedelta
from typing import Final

import structlog

from common.database.pool import Pool
from common.database.statements import statements
from common.storage.interface import Storage, StorageError
from common.storage.object_names import JOURNAL, account_folder

#: Between two looks: they are rare, and cost only room in the storage.
EVERY: Final = timedelta(hours=1)


async def abort_left_uploads(pool: Pool, storage: Storage, account_id: str) -> int:
    """Abort them all, and return of how many recordings. May run twice.

    Raises `StorageError` at the first that fails, and `DatabaseAway`; what is left is found again, in another order.
    """
    sql, aborted = statements("left_uploads"), 0
    for row in await pool.fetch(sql["due"], account_id):
        key = (account_id, row["domain"], row["source_record_id"])
        async with pool.transaction() as connection:  # it holds the row, so that no upload is begun meanwhile.
            left = await connection.fetchrow(sql["lock"], *key)
            if left is None:
                continue
            await storage.abort_left(left["audio_object"], left["audio_upload_id"])
            await connection.execute(sql["aborted"], *key)
        aborted += 1
    if aborted:
        structlog.get_logger().info("left_uploads_aborted", recordings=aborted)
    return aborted


async def abort_left_pieces(storage: Storage, account_id: str) -> None:
    """Abort what a process that was killed left open; for whoever alone writes pieces, between two. May run twice.

    Where that cannot be done it is logged, and hinders nobody: what is left then is found again by the next sweep.
    """
    log, aborted = structlog.get_logger(), 0
    try:
        left = await storage.open_uploads(f"{account_folder(account_id)}/{JOURNAL}")
    except StorageError as error:  # some servers list no uploads.
        log.info("pieces_left", reason=str(error))
        return
    for name, upload_id in left:
        try:
            await storage.abort(name, upload_id)
        except StorageError as error:
            log.info("pieces_left", name=name, reason=str(error))
        else:
            aborted += 1
    if aborted:
        log.info("left_pieces_aborted", uploads=aborted)
