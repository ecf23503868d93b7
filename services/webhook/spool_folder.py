"""Who owns which file in `SPOOL_DIR`: one file per process, locked as long as it lives, adopted when it is gone.

The lock is on a file of its own, because closing a second handle of a database would drop SQLite's locks on it. The
kernel releases it with the process, so a file whose lock is free has no owner.
"""

import contextlib
import fcntl
import os
import uuid
from pathlib import Path
from typing import Final

import structlog

from services.webhook.spool_file import SpoolDamaged, SpoolDiskFails, SpoolFile, SpoolUnusable, as_unusable

SUFFIX: Final = ".spool"
DAMAGED_SUFFIX: Final = ".damaged"


class SpoolFolder:
    """The files that this process owns; every method blocks and is for the spool's one thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._locks: dict[Path, int] = {}

    def create(self) -> SpoolFile:
        """A new, empty file of ours; raises `SpoolUnusable`."""
        path = self._folder / f"{uuid.uuid4().hex}{SUFFIX}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._lock(path):  # nobody else can know the name.
                raise SpoolUnusable("a new file cannot be locked")
        except OSError as error:
            with contextlib.suppress(OSError):  # nobody would remove it later, and there may be one for each try.
                path.with_suffix(".lock").unlink()
            raise as_unusable(error) from None
        try:
            return SpoolFile(path)
        except (SpoolUnusable, SpoolDamaged) as error:
            self._delete(path)  # nobody could read it as long as we hold its lock.
            if isinstance(error, SpoolDamaged):  # so soon: by the disk alone.
                raise SpoolDiskFails(str(error)) from None
            raise

    def adopt(self) -> list[SpoolFile]:
        """The files whose owners are gone, from now on ours; an empty one is deleted, a damaged one set aside.

        Raises nothing.
        """
        paths = sorted(self._folder.glob(f"*{SUFFIX}"))
        files = [self._adopt(path) for path in paths if path not in self._locks]
        return [file for file in files if file is not None]

    def _adopt(self, path: Path) -> SpoolFile | None:
        try:
            if not self._lock(path):
                return None
            if not path.exists():  # its owner finished with it while we looked.
                self._unlock(path)
                return None
            file = SpoolFile(path)
        except SpoolDamaged:
            self._set_aside(path)
            return None
        except (SpoolUnusable, OSError) as error:
            structlog.get_logger().warning("spool_not_adopted", file=path.name, reason=str(error))
            self._unlock(path, remove=False)
            return None
        structlog.get_logger().info("spool_adopted", file=path.name, events=file.events)
        if not file.events:  # each process that is killed leaves one, mostly empty.
            self.finish(file)
            return None
        return file

    def finish(self, file: SpoolFile) -> None:
        """Close a file: an empty one is deleted, any other is left to whoever adopts it. Raises nothing."""
        file.close()
        if file.events:
            self._unlock(file.path, remove=False)
        else:
            self._delete(file.path)

    def _delete(self, path: Path) -> None:
        try:
            for each in (path, *_companions(path)):
                each.unlink(missing_ok=True)
        except OSError as error:
            structlog.get_logger().warning("spool_not_deleted", file=path.name, reason=error.strerror)
        self._unlock(path)

    def set_aside(self, file: SpoolFile) -> None:
        """Close a damaged file and keep it under a name that nobody adopts, for a person to look at."""
        file.close()
        self._set_aside(file.path)

    def _set_aside(self, path: Path) -> None:
        aside = path.with_suffix(DAMAGED_SUFFIX)
        try:
            for old, new in zip((path, *_companions(path)), (aside, *_companions(aside)), strict=True):
                if old.exists():
                    old.rename(new)
        except OSError as error:
            structlog.get_logger().error("spool_not_set_aside", file=path.name, reason=error.strerror)
        self._unlock(path)
        structlog.get_logger().error(
            "spool_damaged", file=aside.name, hint="events that waited in it may be lost; sqlite3's .recover may help"
        )

    def _lock(self, path: Path) -> bool:
        lock = path.with_suffix(".lock")
        number = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lock.stat().st_ino != os.fstat(number).st_ino:  # deleted by its owner, and made anew by another.
                raise BlockingIOError  # noqa: TRY301 - the same answer as a lock that is held
        except (BlockingIOError, FileNotFoundError):
            os.close(number)
            return False
        except BaseException:
            os.close(number)
            raise
        self._locks[path] = number
        return True

    def _unlock(self, path: Path, *, remove: bool = True) -> None:
        number = self._locks.pop(path, None)
        if number is None:
            return
        with contextlib.suppress(OSError):  # a lock file that stays does no harm.
            if remove:
                path.with_suffix(".lock").unlink(missing_ok=True)
        os.close(number)


def _companions(path: Path) -> tuple[Path, ...]:
    """The files that SQLite keeps beside a database."""
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-journal")
