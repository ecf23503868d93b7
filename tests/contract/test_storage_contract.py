"""What every storage promises, whichever it is: whole objects or none, and nothing left behind."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from common.storage.interface import ObjectFacts, Storage, StorageError, StoredObject
from common.storage.trials import sweep_trials, trial_name
from tests.contract.storage_servers import (
    MIB,
    PART,
    Gate,
    Noted,
    Opener,
    SourceLostError,
    breaks_after,
    chunks,
    content,
    read_all,
    uneven_chunks,
)

NAME = "7/pbx/2026/03/09/5501.mp3"

#: One loop for all, so that the S3 clients can be shared.
pytestmark = pytest.mark.asyncio(loop_scope="session")

#: One that fits a single request, and one that takes several parts.
SIZES = pytest.mark.parametrize("size", [3, PART + MIB], ids=["small", "large"])


async def assert_nothing_there(storage: Storage, name: str = NAME) -> None:
    with pytest.raises(FileNotFoundError):
        await storage.head(name)
    assert await storage.open_uploads() == []


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1, 2 * PART])
async def test_what_was_put_is_read_back(storage: Storage, size: int) -> None:
    data = content(size)

    stored = await storage.put(NAME, chunks(data), content_type="audio/mpeg")

    assert stored == StoredObject(size=size, sha256=hashlib.sha256(data).hexdigest())
    assert (await storage.head(NAME)).size == size
    assert await read_all(storage, NAME) == data
    assert await storage.open_uploads() == []


async def test_names_lists_a_folder_and_what_is_below_it_in_order(storage: Storage) -> None:
    names = ["7/journal/2026/03/10-0001.ndjson.gz", "7/pbx/2026/03/09/5501.json", NAME, "77/pbx/1.mp3"]
    for name in reversed(names):
        await storage.put(name, chunks(b"some"), content_type="audio/mpeg")

    assert [name async for name in storage.names("7")] == names[:3]
    assert [name async for name in storage.names("7/pbx")] == names[1:3]
    assert [name async for name in storage.names("8")] == []


async def test_names_lists_more_than_one_page(storage: Storage) -> None:
    names = [f"7/{number:04d}" for number in range(1001)]  # S3 tells a thousand at a time
    for start in range(0, len(names), 20):
        some = names[start : start + 20]
        await asyncio.gather(*(storage.put(name, chunks(b""), content_type="text/plain") for name in some))

    assert [name async for name in storage.names("7")] == names


async def test_uneven_chunks_make_one_object(storage: Storage) -> None:
    data = content(12 * MIB)

    stored = await storage.put(NAME, uneven_chunks(data), content_type="audio/wav")

    assert stored == StoredObject(size=len(data), sha256=hashlib.sha256(data).hexdigest())
    assert await read_all(storage, NAME) == data


@SIZES
async def test_an_object_says_its_size_and_its_type_where_one_is_kept(storage: Storage, size: int) -> None:
    await storage.put(NAME, chunks(content(size)), content_type="audio/x-wav")

    assert await storage.head(NAME) in (
        ObjectFacts(size=size, content_type="audio/x-wav"),
        ObjectFacts(size=size, content_type=None),  # a file system.
    )


@pytest.mark.parametrize(("before", "after"), [(PART + 1, 3), (3, PART + 1)])
async def test_a_second_put_replaces_the_first(storage: Storage, before: int, after: int) -> None:
    await storage.put(NAME, chunks(content(before)), content_type="audio/mpeg")
    await storage.put(NAME, chunks(content(after)), content_type="audio/mpeg")

    assert await read_all(storage, NAME) == content(after)


async def test_streams_at_once_do_not_mix(storage: Storage) -> None:
    sizes = [PART + number for number in range(1, 4)]

    await asyncio.gather(
        *(storage.put(f"{size}.bin", chunks(content(size)), content_type="audio/mpeg") for size in sizes)
    )

    for size in sizes:
        assert await read_all(storage, f"{size}.bin") == content(size)


async def test_an_object_that_is_not_there_is_a_file_that_is_not_found(storage: Storage) -> None:
    with pytest.raises(FileNotFoundError, match="has no object"):
        await storage.head(NAME)
    with pytest.raises(FileNotFoundError, match="has no object"):
        await read_all(storage, NAME)


async def test_a_reader_may_stop_early(storage: Storage) -> None:
    data = content(PART)
    await storage.put(NAME, chunks(data), content_type="audio/mpeg")

    async with aclosing(storage.read(NAME)) as stream:
        first = await anext(stream)

    assert data.startswith(first)


async def test_a_delete_may_run_twice(storage: Storage) -> None:
    await storage.put(NAME, chunks(b"audio"), content_type="audio/mpeg")

    await storage.delete(NAME)
    await storage.delete(NAME)

    await assert_nothing_there(storage)


@SIZES
async def test_when_the_source_breaks_nothing_is_left_and_its_error_comes_back(storage: Storage, size: int) -> None:
    with pytest.raises(SourceLostError):
        await storage.put(NAME, breaks_after(content(size)), content_type="audio/mpeg")

    await assert_nothing_there(storage)


@SIZES
async def test_when_the_last_check_refuses_nothing_is_left(storage: Storage, size: int) -> None:
    async def claim_is_lost() -> None:
        raise PermissionError("lost the claim")

    with pytest.raises(PermissionError, match="lost the claim"):
        await storage.put(NAME, chunks(content(size)), content_type="audio/mpeg", before_commit=claim_is_lost)

    await assert_nothing_there(storage)


@SIZES
async def test_when_the_note_of_the_upload_fails_nothing_is_left(storage: Storage, size: int) -> None:
    async def database_is_away(_upload_id: str) -> None:
        raise ConnectionError("database")

    try:
        await storage.put(NAME, chunks(content(size)), content_type="audio/mpeg", note_upload=database_is_away)
    except ConnectionError:
        await assert_nothing_there(storage)
    else:
        assert size < PART  # a storage that sends it in one request has nothing to note.


@SIZES
async def test_an_object_outlives_a_failed_replacement(storage: Storage, size: int) -> None:
    await storage.put(NAME, chunks(b"the first"), content_type="audio/mpeg")

    with pytest.raises(SourceLostError):
        await storage.put(NAME, breaks_after(content(size)), content_type="audio/mpeg")

    assert await read_all(storage, NAME) == b"the first"


@SIZES
async def test_a_cancellation_mid_stream_leaves_nothing(storage: Storage, size: int) -> None:
    # Given a source that gives some bytes and then waits for ever
    waits = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        async for chunk in chunks(content(size)):
            yield chunk
        waits.set()
        await asyncio.Event().wait()

    putting = asyncio.create_task(storage.put(NAME, source(), content_type="audio/mpeg"))
    await waits.wait()

    # When the task is cancelled
    putting.cancel()

    # Then it ends as cancelled and nothing is there
    with pytest.raises(asyncio.CancelledError):
        await putting
    await assert_nothing_there(storage)


@SIZES
async def test_a_cancellation_right_before_the_commit_leaves_nothing(storage: Storage, size: int) -> None:
    gate = Gate()
    putting = asyncio.create_task(
        storage.put(NAME, chunks(content(size)), content_type="audio/mpeg", before_commit=gate)
    )
    await gate.reached.wait()
    with pytest.raises(FileNotFoundError):  # not visible before the commit.
        await storage.head(NAME)

    putting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await putting
    await assert_nothing_there(storage)


async def test_an_upload_is_noted_under_an_id_that_the_storage_lists(storage: Storage) -> None:
    listed: list[list[tuple[str, str]]] = []
    noted = Noted()

    async def note(upload_id: str) -> None:
        await noted(upload_id)
        listed.append(await storage.open_uploads())

    await storage.put(NAME, chunks(content(PART + 1)), content_type="audio/mpeg", note_upload=note)

    assert listed == [[(NAME, noted.ids[0])]]


async def test_a_successor_aborts_exactly_the_noted_upload(opener: Opener) -> None:
    async with opener() as storage, opener() as successor:
        # Given two uploads of one process that wait for their commit
        gates, notes = (Gate(), Gate()), (Noted(), Noted())
        both = [
            asyncio.create_task(
                storage.put(
                    name, chunks(content(PART + 1)), content_type="audio/mpeg", note_upload=note, before_commit=gate
                )
            )
            for name, note, gate in zip((NAME, "other.mp3"), notes, gates, strict=True)
        ]
        await asyncio.gather(*(gate.reached.wait() for gate in gates))

        # When another process aborts the first of them, twice
        await successor.abort(NAME, notes[0].ids[0])
        await successor.abort(NAME, notes[0].ids[0])
        assert await successor.open_uploads() == [("other.mp3", notes[1].ids[0])]
        for gate in gates:
            gate.open.set()

        # Then the first cannot become an object any more, and the second is whole
        outcomes = await asyncio.gather(*both, return_exceptions=True)
        assert isinstance(outcomes[0], StorageError)
        await assert_nothing_there(successor)
        assert await read_all(successor, "other.mp3") == content(PART + 1)


async def test_what_is_left_open_of_an_object_is_aborted_and_what_lives_of_others_goes_on(opener: Opener) -> None:
    async with opener() as storage, opener() as successor:
        # Given two uploads of one object whose ids nobody noted, and those of two others with names alike; all of whose
        # parts are there: a part that meets the abort on its way may wait for rclone until it is given up
        names = (NAME, NAME, f"{NAME}.mp3", "other.mp3")
        gates = [Gate() for _ in names]
        uploads = [asyncio.create_task(_put_up_to_the_commit(storage, *one)) for one in zip(names, gates, strict=True)]
        for gate in gates:
            await gate.reached.wait()
        assert len(await successor.open_uploads()) == len(names)

        # When whoever alone may write that object aborts what is left of it, twice
        await successor.abort_left(NAME, None)
        await successor.abort_left(NAME, "no-such-upload")

        # Then the others become whole objects, and that one none
        assert sorted(name for name, _ in await successor.open_uploads()) == sorted(names[2:])
        for gate in gates:
            gate.open.set()
        outcomes = await asyncio.gather(*uploads, return_exceptions=True)
        assert [isinstance(outcome, StorageError) for outcome in outcomes] == [True, True, False, False]
        await assert_nothing_there(successor)
        assert await read_all(successor, "other.mp3") == content(PART + 1)


async def _put_up_to_the_commit(storage: Storage, name: str, gate: Gate) -> None:
    await storage.put(name, chunks(content(PART + 1)), content_type="audio/mpeg", before_commit=gate)


async def test_nothing_is_aborted_where_nothing_is_left(storage: Storage) -> None:
    await storage.put(NAME, chunks(b"audio"), content_type="audio/mpeg")

    await storage.abort_left(NAME, None)

    assert await read_all(storage, NAME) == b"audio"


@pytest.mark.parametrize("upload_id", ["0" * 32, "../../x", "no-such-upload"])
async def test_an_upload_that_is_not_open_can_be_aborted(storage: Storage, upload_id: str) -> None:
    await storage.abort(NAME, upload_id)


async def test_the_check_passes_where_all_is_well_and_leaves_nothing(storage: Storage) -> None:
    lacking = await asyncio.gather(storage.check(), storage.check())

    assert [*lacking] == [[], []]
    assert await storage.open_uploads() == []
    assert [name async for name in storage.names("check")] == []


async def test_a_start_removes_what_checks_left_long_ago_and_nothing_else(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opener() as storage, opener() as successor:
        # Given an object and an open upload of a check that broke off long ago, and what is not of that kind
        with monkeypatch.context() as long_ago:
            long_ago.setattr(time, "time", lambda: 1_700_000_000.0)
            left, left_open = trial_name(), trial_name()
        others = [trial_name(), "check/notes.txt", f"7/{left}", NAME]
        for name in [left, *others]:
            await storage.put(name, chunks(b"some"), content_type="audio/mpeg")
        gates = [Gate(), Gate()]
        names = (left_open, trial_name())
        uploads = [asyncio.create_task(_put_up_to_the_commit(storage, *one)) for one in zip(names, gates, strict=True)]
        for gate in gates:
            await gate.reached.wait()

        await sweep_trials(successor)

        assert [name for name, _ in await successor.open_uploads()] == [names[1]]
        for gate in gates:
            gate.open.set()
        outcomes = await asyncio.gather(*uploads, return_exceptions=True)
        assert [isinstance(outcome, StorageError) for outcome in outcomes] == [True, False]
        found = [name for folder in ("check", "7") async for name in successor.names(folder)]
        assert sorted(found) == sorted([*others, names[1]])
