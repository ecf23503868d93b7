"""What is said of the file system alone: files that people can find, and disks that fail."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.storage.interface import StorageError
from common.storage.open import open_storage
from tests.contract.storage_servers import SourceLostError, breaks_after, chunks

NAME = "7/pbx/2026/03/09/5501.mp3"


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def forbidden(folder: Path) -> Path:
    """A folder in which this process may make nothing; root may write everywhere but in the kernel's own."""
    if os.geteuid() == 0:
        return Path("/sys/kernel")
    folder.chmod(0o500)
    return folder


async def test_an_object_is_a_file_of_its_name_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    async with open_storage(f"file://{tmp_path}") as storage:
        await storage.put(NAME, chunks(b"audio"), content_type="audio/mpeg")
        with pytest.raises(SourceLostError):
            await storage.put(NAME, breaks_after(b"other"), content_type="audio/mpeg")

    assert files_in(tmp_path) == {NAME: b"audio"}


async def test_files_that_are_no_uploads_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".notes.partial").write_text("mine")
    async with open_storage(f"file://{tmp_path}") as storage:
        assert await storage.open_uploads() == []


async def test_a_folder_that_cannot_be_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    async with open_storage(f"file://{tmp_path}/file/objects") as storage:
        with pytest.raises(StorageError, match=r"^The storage [^\n]+: a file stands where a folder should be[^\n]+\.$"):
            await storage.check()


async def test_a_folder_that_may_not_be_written_is_told_in_one_sentence(tmp_path: Path) -> None:
    async with open_storage(f"file://{forbidden(tmp_path)}/objects") as storage:
        with pytest.raises(StorageError, match=r"^The storage [^\n]+: this process may not do that there[^\n]+\.$"):
            await storage.check()


#: Runs inside a mount namespace with a disk of 1 MiB: puts twice as much and looks at what is left.
FULL_DISK = """
import asyncio, sys
from pathlib import Path
from common.storage.interface import StorageError
from common.storage.open import open_storage

async def source():
    for _ in range(32):
        yield bytes(65536)

async def main():
    folder = sys.argv[1]
    async with open_storage(f"file://{folder}/objects") as storage:
        try:
            await storage.put("a/b.mp3", source(), content_type="audio/mpeg")
        except StorageError as error:
            print(error)
        print([path.name for path in Path(folder).rglob("*") if path.is_file()])
        try:
            await storage.check()  # for its trial object there is room.
        except StorageError as error:
            print(error)

asyncio.run(main())
"""


def test_a_full_disk_is_told_in_one_sentence_also_by_the_check_and_its_room_is_given_back(tmp_path: Path) -> None:
    command = 'mount -t tmpfs -o size=1m none "$1" && exec "$2" -W error -c "$3" "$1"'
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", command, "sh", tmp_path, sys.executable, FULL_DISK],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.stderr == ""
    sentence = f"The storage {tmp_path}/objects failed: the disk is full: free some space or give it a larger one."
    assert done.stdout.splitlines() == [sentence, "[]", sentence]
