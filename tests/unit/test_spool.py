"""The spool: what was put is there until removed, whoever dies in between."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from common.messages import Wire
from common.telemetry.metrics import REGISTRY
from services.webhook import spool_folder
from services.webhook.spool import Spool, SpoolUnusable, open_spool
from services.webhook.spool_file import SpoolDiskFails, SpoolFile
from services.webhook.spool_folder import SpoolFolder

#: A process that spools events 0, 1, 2, … and says so after each, until it is killed.
SPOOLING = """
import asyncio, pathlib, sys
from common.clock import SystemClock
from common.messages import Wire
from services.webhook.spool import open_spool

async def main():
    async with open_spool(pathlib.Path(sys.argv[1]), 1 << 20, SystemClock()) as spool:
        for number in range(1_000_000):
            await spool.put("q", Wire({"n": str(number)}, b"x" * 100))
            print(number, flush=True)

asyncio.run(main())
"""

#: A process that has a spool, and says so; it spools nothing until it is killed.
OPENING = """
import asyncio, pathlib, sys
from common.clock import SystemClock
from services.webhook.spool import open_spool

async def main():
    async with open_spool(pathlib.Path(sys.argv[1]), 1 << 20, SystemClock()) as spool:
        await spool.look_after()
        print(flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def waiting(spool: Spool) -> list[Wire]:
    return [event.wire for event in (await spool.oldest(1000)).events]


async def put(spool: Spool, *bodies: bytes) -> None:
    for body in bodies:
        await spool.put("q", Wire({"kind": "k"}, body))


async def test_events_come_back_as_they_were_put_in_order_until_removed(spool: Spool) -> None:
    await put(spool, b"1", b"\x00\xff", b"")
    batch = await spool.oldest(2)

    assert [(event.queue, event.wire) for event in batch.events] == [
        ("q", Wire({"kind": "k"}, b"1")),
        ("q", Wire({"kind": "k"}, b"\x00\xff")),
    ]
    await spool.remove(batch, [event.id for event in batch.events])
    await spool.remove(batch, [event.id for event in batch.events])
    assert [wire.body for wire in await waiting(spool)] == [b""]


async def test_depth_and_age_are_metrics(spool: Spool, clock: Any) -> None:
    def shown() -> tuple[float | None, float | None]:
        names = ("ringvault_spool_events", "ringvault_spool_oldest_seconds")
        first, second = (REGISTRY.get_sample_value(name) for name in names)
        return first, second

    assert shown() == (0, 0)
    await put(spool, b"1")
    clock.time += timedelta(seconds=90)
    await put(spool, b"2")
    assert shown() == (2, 90)

    batch = await spool.oldest(1)
    await spool.remove(batch, [event.id for event in batch.events])
    assert shown() == (1, 0)


async def test_a_full_spool_refuses_and_takes_again_when_there_is_room(open_one: Any) -> None:
    async with open_one(limit=10) as spool:
        await put(spool, b"12345678")
        with pytest.raises(SpoolUnusable):
            await put(spool, b"123")
        await put(spool, b"12")
        assert not spool.accepts

        batch = await spool.oldest(1)
        await spool.remove(batch, [batch.events[0].id])
        assert spool.accepts
        await put(spool, b"12345678")


async def test_many_at_once_never_exceed_the_limit(open_one: Any) -> None:
    async with open_one(limit=1000) as spool:
        fates = await asyncio.gather(*(put(spool, b"x" * 100) for _ in range(50)), return_exceptions=True)

        assert spool.events == 10
        assert sum(isinstance(fate, SpoolUnusable) for fate in fates) == 40


async def test_a_batch_holds_a_bounded_amount_of_memory(open_one: Any) -> None:
    async with open_one(limit=1 << 30) as spool:
        for _ in range(4):
            await put(spool, b"x" * (3 << 20))

        assert len((await spool.oldest(100)).events) == 2


async def test_an_event_whose_sender_gave_up_before_it_was_written_is_left_out(spool: Spool) -> None:
    tasks = [asyncio.ensure_future(put(spool, body)) for body in (b"1", b"2")]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.wait(tasks)
    await put(spool, b"3")

    assert [wire.body for wire in await waiting(spool)] == [b"1", b"3"]


@asynccontextmanager
async def hung_disk(spool: Spool) -> AsyncIterator[threading.Event]:
    """No file work gets done until the event is set, or the block is left."""
    works_again = threading.Event()
    spool._thread.submit(works_again.wait)
    try:
        yield works_again
    finally:
        works_again.set()


async def give_up(spool: Spool, body: bytes) -> None:
    """Put, and leave before the disk has done anything."""
    task = asyncio.ensure_future(put(spool, body))
    for _ in range(3):  # turns of the loop: put, then the writer
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


async def test_while_the_disk_hangs_nothing_is_held_for_those_who_gave_up(open_one: Any) -> None:
    # Given a disk that hangs with one event in hand
    async with open_one(limit=100) as spool, hung_disk(spool) as disk:
        await give_up(spool, b"in hand")

        # When others come, and go unanswered
        for _ in range(10):
            await give_up(spool, b"x" * 60)

        # Then neither memory nor room is taken, and once it works the next event has its place
        assert not spool._unwritten
        after = asyncio.ensure_future(put(spool, b"y" * 60))
        await asyncio.sleep(0)
        disk.set()
        await after
        assert [wire.body for wire in await waiting(spool)] == [b"in hand", b"y" * 60]


async def test_an_empty_spool_leaves_nothing_behind(open_one: Any, tmp_path: Path) -> None:
    async with open_one() as spool:
        await put(spool, b"1")
        batch = await spool.oldest(1)
        await spool.remove(batch, [event.id for event in batch.events])

    assert list((tmp_path / "spool").iterdir()) == []


async def test_nobody_else_can_read_what_waits(spool: Spool, tmp_path: Path) -> None:
    await put(spool, b"secret")

    folder = tmp_path / "spool"
    assert folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


async def test_what_is_left_at_the_end_is_adopted_by_the_next_process_and_goes_first(open_one: Any) -> None:
    async with open_one() as first:
        await put(first, b"1", b"2")
    async with open_one() as second:
        await put(second, b"3")

        await second.look_after()

        assert second.events == 3
        batch = await second.oldest(100)
        assert [event.wire.body for event in batch.events] == [b"1", b"2"]
        await second.remove(batch, [event.id for event in batch.events])
        assert [wire.body for wire in await waiting(second)] == [b"3"]


def test_what_killed_processes_left_empty_is_removed_by_whoever_adopts_it(tmp_path: Path) -> None:
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", OPENING, str(tmp_path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            while next(process.stdout).strip():  # what its log says of files that it adopts
                pass
            process.send_signal(signal.SIGKILL)

    assert SpoolFolder(tmp_path).adopt() == []  # each would hold descriptors, all of them at once at first.
    assert list(tmp_path.iterdir()) == []


async def test_a_file_whose_process_lives_is_left_alone(open_one: Any) -> None:
    async with open_one() as first, open_one() as second:
        await put(first, b"1")

        await second.look_after()

        assert second.events == 0
        assert first.events == 1


async def test_two_adopters_share_no_file(open_one: Any) -> None:
    async with open_one() as gone:
        await put(gone, b"1")
    async with open_one() as second, open_one() as third:
        await asyncio.gather(second.look_after(), third.look_after())

        assert second.events + third.events == 1


def test_after_sigkill_nothing_that_was_answered_is_lost(tmp_path: Path, clock: Any) -> None:
    # Given a process that is killed in the middle of writing
    with subprocess.Popen([sys.executable, "-c", SPOOLING, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        answered = [int(next(process.stdout)) for _ in range(50)]
        process.send_signal(signal.SIGKILL)
        answered += [int(line) for line in process.stdout if line.endswith(b"\n")]

    # When another one looks after the folder
    async def adopted() -> list[Wire]:
        async with open_spool(tmp_path, 1 << 30, clock) as spool:
            await spool.look_after()
            return [event.wire for event in (await spool.oldest(1_000_000)).events]

    found = asyncio.run(adopted())

    # Then it has every event that was answered, and at most the one that was being written
    assert [int(wire.headers["n"]) for wire in found[: len(answered)]] == answered
    assert len(found) - len(answered) <= 1


def cut_off(log: Path) -> None:
    os.truncate(log, log.stat().st_size - 100)


def overwritten_at_its_end(log: Path) -> None:
    with log.open("r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(os.urandom(100))


@pytest.mark.parametrize("tear", [cut_off, overwritten_at_its_end])
def test_a_torn_last_write_loses_that_event_alone(tmp_path: Path, clock: Any, tear: Callable[[Path], None]) -> None:
    # Given a process that is killed, and whose last write has reached the disk in part, as at a power cut
    with subprocess.Popen([sys.executable, "-c", SPOOLING, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(50):
            next(process.stdout)
        process.send_signal(signal.SIGKILL)
        process.stdout.read()
    [log] = tmp_path.glob("*-wal")

    async def adopted() -> list[int]:
        async with open_spool(tmp_path, 1 << 30, clock) as spool:
            await spool.look_after()
            return [int(event.wire.headers["n"]) for event in (await spool.oldest(1_000_000)).events]

    tear(log)

    # When another one looks after the folder
    found = asyncio.run(adopted())

    # Then all events before are there, in order
    assert found == list(range(len(found)))
    assert len(found) >= 49


async def leave_behind(open_one: Any) -> Path:
    async with open_one() as gone:
        await put(gone, *(b"x" * 1000 for _ in range(50)))
        return Path(gone._own.path)


def torn(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwritten(path: Path) -> None:
    path.write_bytes(b"this is no database at all".ljust(9000))


@pytest.mark.parametrize("damage", [torn, overwritten])
async def test_a_damaged_file_is_set_aside_loudly_and_everything_goes_on(
    open_one: Any, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path = await leave_behind(open_one)
    damage(path)
    async with open_one() as spool:
        with capture_logs() as logs:
            await spool.look_after()
            await spool.oldest(1000)

        assert spool.events == 0
        assert [line["log_level"] for line in logs if line["event"] == "spool_damaged"] == ["error"]
        assert [path.name for path in (tmp_path / "spool").glob("*.damaged")] == [f"{path.stem}.damaged"]
        await put(spool, b"1")
        await spool.look_after()
        assert [wire.body for wire in await waiting(spool)] == [b"1"]


def own_file(spool: Spool) -> SpoolFile:
    assert spool._own is not None
    return spool._own


def database_of(spool: Spool) -> sqlite3.Connection:
    return own_file(spool)._database


def break_own_file(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = sqlite3.DatabaseError("database disk image is malformed")
    broken.sqlite_errorcode = sqlite3.SQLITE_CORRUPT

    class Broken:
        def execute(self, *_: object) -> None:
            raise broken

        def close(self) -> None: ...

    database_of(spool).close()
    monkeypatch.setattr(own_file(spool), "_database", Broken())


async def test_when_our_own_file_breaks_a_new_one_takes_the_event(
    open_one: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_one() as spool:
        await put(spool, b"1")
        break_own_file(spool, monkeypatch)

        await put(spool, b"2")

        assert [wire.body for wire in await waiting(spool)] == [b"2"]
        assert len(list((tmp_path / "spool").glob("*.damaged"))) == 1


async def test_a_failing_file_of_ours_that_is_found_damaged_is_replaced_and_looking_after_goes_on(
    open_one: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_one() as spool:
        fill_disk(spool)
        with pytest.raises(SpoolUnusable):
            await put(spool, b"x" * 100_000)
        break_own_file(spool, monkeypatch)

        await spool.look_after()

        assert spool.accepts
        await put(spool, b"1")
        assert [wire.body for wire in await waiting(spool)] == [b"1"]
        assert len(list((tmp_path / "spool").glob("*.damaged"))) == 1


def fill_disk(spool: Spool) -> None:
    """From now on there is no room for more pages."""
    pages = database_of(spool).execute("PRAGMA page_count").fetchone()[0]
    database_of(spool).execute(f"PRAGMA max_page_count = {pages}")


async def test_two_who_find_the_same_file_broken_make_one_new_file(
    open_one: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_one() as spool:
        # Given a broken file of ours
        await put(spool, b"1")
        break_own_file(spool, monkeypatch)

        # When the drain and the writer find out at the same time
        async with hung_disk(spool):
            both = asyncio.gather(spool.oldest(10), put(spool, b"2"))
            for _ in range(3):  # turns of the loop, in which both turn to the file
                await asyncio.sleep(0)
        await both

        # Then there is one new file, with the event in it
        assert [wire.body for wire in await waiting(spool)] == [b"2"]
        assert len(list((tmp_path / "spool").glob("*.spool"))) == 1
        assert len(list((tmp_path / "spool").glob("*.damaged"))) == 1


async def test_a_failing_disk_stays_failing_when_those_who_wait_for_it_give_up(spool: Spool) -> None:
    fill_disk(spool)
    with pytest.raises(SpoolUnusable):
        await put(spool, b"x" * 100_000)

    task = asyncio.ensure_future(put(spool, b"1"))
    await asyncio.sleep(0)
    task.cancel()  # before the writer has taken it
    await asyncio.wait([task])
    await spool.oldest(1)  # whatever the writer did is done by now
    await asyncio.sleep(0)

    assert not spool.accepts


def test_a_file_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(path: Path) -> None:
        path.touch()
        raise SpoolUnusable("database or disk is full")

    monkeypatch.setattr(spool_folder, "SpoolFile", disk_full)

    with pytest.raises(SpoolUnusable):
        SpoolFolder(tmp_path).create()

    assert list(tmp_path.iterdir()) == []


async def test_a_full_disk_is_said_and_forgotten_when_there_is_room_again(spool: Spool) -> None:
    fill_disk(spool)
    with pytest.raises(SpoolUnusable, match="full"):
        await put(spool, b"x" * 100_000)
    assert not spool.accepts

    # When it has again
    database_of(spool).execute("PRAGMA max_page_count = 1000000")
    await spool.look_after()

    assert spool.accepts
    await put(spool, b"x" * 100_000)
    assert spool.events == 1


async def test_a_spool_on_a_full_disk_opens_and_takes_events_as_soon_as_there_is_room(
    open_one: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given events that a process left, and a disk that has become full
    async with open_one() as spool:
        await put(spool, b"left")
    monkeypatch.setattr(SpoolFolder, "create", disk_full)

    async with open_one() as spool:
        # Then nothing is taken, and what was left is found
        assert not spool.accepts
        with pytest.raises(SpoolUnusable, match="full"):
            await put(spool, b"1")
        await spool.look_after()
        assert not spool.accepts
        assert [wire.body for wire in await waiting(spool)] == [b"left"]

        # When there is room again
        monkeypatch.undo()
        await spool.look_after()

        # Then it takes the next
        assert spool.accepts
        await put(spool, b"2")
        assert spool.events == 2

    assert len(list((tmp_path / "spool").glob("*.spool"))) == 2


async def test_all_who_want_the_file_that_a_full_disk_refused_make_one_together(
    open_one: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a spool without a file, and a disk that has room again
    async with opened_on_full_disk(open_one, monkeypatch) as spool:
        # When all come before any file work is done
        async with hung_disk(spool):
            all_of_them = asyncio.gather(spool.look_after(), spool.look_after(), put(spool, b"1"), put(spool, b"2"))
            for _ in range(3):  # turns of the loop, in which the writer turns to the file as well
                await asyncio.sleep(0)
        await all_of_them

        # Then there is one file, with both events in it
        assert len(list((tmp_path / "spool").glob("*.spool"))) == 1
        assert sorted(wire.body for wire in await waiting(spool)) == [b"1", b"2"]


async def test_the_end_waits_for_the_file_that_is_being_made_for_somebody_who_gave_up(
    open_one: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a spool without a file, and a disk that has room again, but hangs
    async with opened_on_full_disk(open_one, monkeypatch) as spool, hung_disk(spool):
        # When somebody has come and given up, and the process ends
        await give_up(spool, b"in hand")

    # Then the event is written, and its file left to the next
    [file] = SpoolFolder(tmp_path / "spool").adopt()
    assert [event.wire.body for event in file.oldest(10, 1000)] == [b"in hand"]
    file.close()


async def test_a_spool_on_a_full_disk_without_events_has_an_empty_batch(
    open_one: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SpoolFolder, "create", disk_full)
    async with open_one() as spool:
        batch = await spool.oldest(10)
        await spool.remove(batch, [])
        assert list(batch.events) == []


def disk_full(_folder: SpoolFolder) -> None:
    raise SpoolDiskFails("database or disk is full")


@asynccontextmanager
async def opened_on_full_disk(open_one: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Spool]:
    """A spool that a full disk refused its file; the disk has room again."""
    monkeypatch.setattr(SpoolFolder, "create", disk_full)
    async with open_one() as spool:
        monkeypatch.undo()
        yield spool


async def test_a_folder_that_cannot_be_made_is_said_in_words(tmp_path: Path, clock: Any) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolUnusable, match="Not a directory"):
        async with open_spool(tmp_path / "file" / "spool", 1, clock):
            pass


async def test_the_disk_is_given_back_after_an_outage(open_one: Any, tmp_path: Path) -> None:
    async with open_one(limit=1 << 30) as spool:
        for _ in range(100):
            await put(spool, b"x" * 100_000)
        while spool.events:
            batch = await spool.oldest(100)
            await spool.remove(batch, [event.id for event in batch.events])

        assert sum(path.stat().st_size for path in (tmp_path / "spool").iterdir()) < 200_000
