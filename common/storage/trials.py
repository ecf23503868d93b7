"""Trial objects: what a check of the storage writes and deletes, and the end of those that a check had to leave behind.

When the storage goes away in the middle of a check, its object stays, or its open upload. The name tells when it was
made; nobody asks a storage that, and clocks of storages differ.
"""

import re
import time
import uuid
from typing import Final

import structlog

from common.storage.interface import Storage, StorageError

#: Their folder, beside those of the accounts, whose names are digits.
_FOLDER: Final = "check"
#: The kinds of characters that names of ours have: small and capital letters, digits, `-`, `_`, `.` and `/`.
_TRIAL: Final = re.compile(rf"{_FOLDER}/(?P<made>[0-9]{{10}})-[0-9a-f]{{32}}-A_2f\.bin")
#: Seconds after which a trial object is nobody's any more: a check takes minutes at most, and clocks may differ.
LEFT_AFTER: Final = 3600.0


def trial_name() -> str:
    """A new one each time, because several processes check one storage at once."""
    return f"{_FOLDER}/{int(time.time()):010}-{uuid.uuid4().hex}-A_2f.bin"


async def sweep_trials(storage: Storage) -> None:
    """Delete and abort what checks have left over an hour ago, and nothing else. May run twice.

    Where that cannot be done it is logged, and hinders nobody: they are a few small objects.
    """
    try:
        left = [name async for name in storage.names(_FOLDER) if _is_left(name)]
        for name in left:
            await storage.delete(name)
        uploads = [(name, upload) for name, upload in await storage.open_uploads(_FOLDER) if _is_left(name)]
        for name, upload in uploads:
            await storage.abort(name, upload)
    except StorageError as error:
        structlog.get_logger().info("trials_left", reason=str(error))
        return
    if left or uploads:
        structlog.get_logger().info("trials_swept", objects=len(left), uploads=len(uploads))


def _is_left(name: str) -> bool:
    """Whether it is a trial object, and old enough to be nobody's."""
    trial = _TRIAL.fullmatch(name)
    return trial is not None and int(trial["made"]) < time.time() - LEFT_AFTER
