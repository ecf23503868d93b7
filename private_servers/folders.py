"""Where files go: the cache that stays, and temporary data folders that go with their owner."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: The checkout, or the folder of the installed packages.
CHECKOUT = Path(__file__).resolve().parent.parent

#: How data folders begin, so that those of killed owners can be told from anything else.
PREFIX = "ringvault-private-"


def cache_folder() -> Path:
    """The first of the user's cache, the checkout's `.cache` and the temporary folder that can be written to."""
    users = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    temporary = Path(tempfile.gettempdir(), f"ringvault-cache-{os.geteuid()}")
    for folder in (Path(users).expanduser() / "ringvault", CHECKOUT / ".cache", temporary):
        if _is_ours(folder):
            return folder
    raise OSError(f"No folder for downloaded server files can be written to, not even {temporary}.")


def _is_ours(folder: Path) -> bool:
    """Programs are run from there, so a folder that a stranger made in /tmp will not do."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return False
    return folder.is_absolute() and folder.lstat().st_uid == os.geteuid() and os.access(folder, os.W_OK | os.X_OK)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the file's lock; others wait, and get it at once when the holder dies."""
    with file.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class DataFolder:
    """A temporary folder with a lock that says that its owner lives; making one sweeps those of dead owners."""

    def __init__(self, name: str, disk: Path | None = None) -> None:
        _sweep()
        self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{name}-", dir=disk))
        lock = self.path / "owner.new"
        self._lock = lock.open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        lock.rename(self.path / "owner.lock")  # only now: a sweep must never find it unlocked.

    def remove(self) -> None:
        """Remove it with all it holds. May be called again."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def _sweep() -> None:
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/owner.lock"):
        try:
            with lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
        except OSError:  # its owner lives, or it is another user's.
            continue
