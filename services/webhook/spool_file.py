"""One spool file: a SQLite database with the events that wait, in order of arrival. Blocking; used by one thread."""

import contextlib
import errno
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from common.messages import Wire

#: Gives the disk back after a long outage. It counts only before the first table; later it would write all the same, so
#: that a file on a full disk could not be opened.
_SETUP_OF_NEW: Final = "PRAGMA auto_vacuum = FULL"

#: WAL with FULL makes a commit one fsync. An exclusive lock spares the shared-memory file, for which a full disk has no
#: room, if nothing reads the file before.
_SETUP: Final = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    spooled_at REAL NOT NULL
);
"""

#: Seconds to wait for another process that holds SQLite's lock: nobody should, the owner's lock is in front of it.
_BUSY_SECONDS: Final = 0.5

_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
#: How SQLite and the system say that a disk is full or fails, as opposed to a folder that is not for us. SQLite cannot
#: open a file of its own when no inode is left; nearly every wrong folder was found out before, by the lock in it.
_DISK: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
_DISK_OF_SYSTEM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


class SpoolUnusable(Exception):
    """The spool cannot take, give or delete events now: the disk is full or fails, or the limit is reached."""


class SpoolDiskFails(SpoolUnusable):
    """The disk is full or fails; once it has room or works again, so does the spool."""


class SpoolDamaged(Exception):
    """The file is no database any more, or part of it is not."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event in the spool."""

    id: int
    queue: str
    wire: Wire


class SpoolFile:
    """Opens or makes the file; all methods raise `SpoolUnusable` or `SpoolDamaged`. What returned is on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        #: Events inside, the bytes of their bodies, and when the oldest came (seconds since 1970; None when empty).
        self.events = 0
        self.bytes = 0
        self.oldest_at: float | None = None
        with _as_ours():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # transcripts: for nobody else to read.
            self._database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            with _as_ours():
                if not path.stat().st_size:
                    self._database.execute(_SETUP_OF_NEW)
                self._database.executescript(_SETUP)
                self._measure()
                _sync_folder(path.parent)
        except BaseException:
            self.close()
            raise

    def append(self, wires: Sequence[tuple[str, Wire]], at: float) -> None:
        """Add events in one transaction: all or none."""
        rows = [(queue, json.dumps(dict(wire.headers)), wire.body, at) for queue, wire in wires]
        with self._transaction():
            self._database.executemany(
                "INSERT INTO events (queue, headers, body, spooled_at) VALUES (?, ?, ?, ?)", rows
            )
        self.events += len(rows)
        self.bytes += sum(len(wire.body) for _, wire in wires)
        self.oldest_at = at if self.oldest_at is None else self.oldest_at

    def oldest(self, count: int, size: int) -> list[Waiting]:
        """The oldest events, at most `count`, and no further one once their bodies have `size` bytes together."""
        found: list[Waiting] = []
        with (
            _as_ours(),
            contextlib.closing(
                self._database.execute("SELECT id, queue, headers, body FROM events ORDER BY id LIMIT ?", (count,))
            ) as rows,
        ):
            for number, queue, headers, body in rows:
                found.append(Waiting(number, queue, Wire(json.loads(headers), body)))
                size -= len(body)
                if size <= 0:
                    break
        return found

    def remove(self, ids: Iterable[int]) -> None:
        """Delete events. Ids that are gone do not matter."""
        among = json.dumps(list(ids))
        with self._transaction():
            events, size = self._database.execute(
                "SELECT count(*), coalesce(sum(length(body)), 0) FROM events"
                " WHERE id IN (SELECT value FROM json_each(?))",
                (among,),
            ).fetchone()
            self._database.execute("DELETE FROM events WHERE id IN (SELECT value FROM json_each(?))", (among,))
        self.events -= events
        self.bytes -= size
        with _as_ours():
            oldest = self._database.execute("SELECT spooled_at FROM events ORDER BY id LIMIT 1").fetchone()
            self.oldest_at = oldest[0] if oldest else None
            if not self.events:
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def probe(self) -> None:
        """Write something, to see whether that works."""
        with self._transaction():
            self._database.execute("PRAGMA user_version = 1")

    def close(self) -> None:
        """Close the database; no error, also when it is damaged."""
        with contextlib.suppress(sqlite3.Error):
            self._database.close()

    def _measure(self) -> None:
        query = "SELECT count(*), coalesce(sum(length(body)), 0), min(spooled_at) FROM events"
        self.events, self.bytes, self.oldest_at = self._database.execute(query).fetchone()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _as_ours():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back already.
                    self._database.execute("ROLLBACK")
                raise


@contextmanager
def _as_ours() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGE:
            raise SpoolDamaged(str(error)) from None
        raise (SpoolDiskFails if code in _DISK else SpoolUnusable)(str(error)) from None
    except OSError as error:
        raise as_unusable(error) from None
    except (ValueError, TypeError):  # what was read is not what was written.
        raise SpoolDamaged("a row is not readable") from None


def as_unusable(error: OSError) -> SpoolUnusable:
    """Ours for what the system says."""
    kind = SpoolDiskFails if error.errno in _DISK_OF_SYSTEM else SpoolUnusable
    return kind(error.strerror or type(error).__name__)


def _sync_folder(folder: Path) -> None:
    """Make a new file's name last."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
