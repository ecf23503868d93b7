"""What of all that a disk can say lets the receiver start, and what ends the start."""

import errno
import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from services.webhook.spool import SpoolUnusable
from services.webhook.spool_file import SpoolDiskFails


def system_says(monkeypatch: pytest.MonkeyPatch, number: int, suffix: str) -> None:
    """Files with this suffix cannot be opened."""
    opened = os.open

    def refuse(path: Any, *arguments: Any, **others: Any) -> int:
        if str(path).endswith(suffix):
            raise OSError(number, os.strerror(number))
        return opened(path, *arguments, **others)

    monkeypatch.setattr(os, "open", refuse)


def sqlite_says(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_: object, **__: object) -> None:
        error = sqlite3.DatabaseError("no")
        error.sqlite_errorcode = code
        raise error

    monkeypatch.setattr(sqlite3, "connect", refuse)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def assert_starts_without_a_file(open_one: Any, folder: Path) -> None:
    async with open_one() as spool:
        assert not spool.accepts
        await spool.look_after()
        assert not spool.accepts
        assert names(folder) == []


async def assert_ends_the_start(open_one: Any, folder: Path, words: str) -> None:
    with pytest.raises(SpoolUnusable, match=words) as caught:
        async with open_one():
            pass
    assert not isinstance(caught.value, SpoolDiskFails)
    assert names(folder) == []


@pytest.mark.parametrize("suffix", [".lock", ".spool"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
async def test_a_disk_that_the_system_calls_full_or_failing_lets_the_receiver_start(
    open_one: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, suffix: str
) -> None:
    system_says(monkeypatch, number, suffix)

    await assert_starts_without_a_file(open_one, tmp_path / "spool")


@pytest.mark.parametrize("suffix", [".lock", ".spool"])
@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
async def test_a_folder_that_is_not_for_us_ends_the_start(
    open_one: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, suffix: str
) -> None:
    system_says(monkeypatch, number, suffix)

    await assert_ends_the_start(open_one, tmp_path / "spool", os.strerror(number))


@pytest.mark.parametrize(
    "code",
    [
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_CANTOPEN,  # no inode is left for SQLite's own files
        sqlite3.SQLITE_CORRUPT,  # what is new can be damaged by its disk alone
        sqlite3.SQLITE_NOTADB,
    ],
)
async def test_a_disk_that_sqlite_finds_full_or_failing_lets_the_receiver_start(
    open_one: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    sqlite_says(monkeypatch, code)

    await assert_starts_without_a_file(open_one, tmp_path / "spool")


@pytest.mark.parametrize("code", [sqlite3.SQLITE_READONLY, sqlite3.SQLITE_READONLY_DIRECTORY, sqlite3.SQLITE_PERM])
async def test_a_file_that_sqlite_may_not_write_ends_the_start(
    open_one: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    sqlite_says(monkeypatch, code)

    await assert_ends_the_start(open_one, tmp_path / "spool", "no")


async def test_a_disk_without_locks_ends_the_start_and_keeps_no_lock_file(
    open_one: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)

    await assert_ends_the_start(open_one, tmp_path / "spool", "No locks available")
