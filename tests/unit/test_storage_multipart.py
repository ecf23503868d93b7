"""The multipart algorithm itself: how much it holds, and what it leaves, at moments that a real server hides."""

import asyncio
import io
import weakref
from collections.abc import AsyncIterator

import pytest

from common.storage.interface import StorageError, nothing_to_check, nothing_to_note
from common.storage.multipart import put_in_parts
from common.storage.parts import Parts


class Server:
    """Keeps uploads in a dictionary; each request waits for its gate when it has one."""

    def __init__(self, *, gate_of: str = "", breaks_at: str = "") -> None:
        self.open: dict[str, list[bytes]] = {}
        self.objects: list[bytes] = []
        self.log: list[str] = []
        self.reached, self.gate = asyncio.Event(), asyncio.Event()
        self._gate_of, self._breaks_at = gate_of, breaks_at

    async def _pass(self, what: str) -> None:
        self.log.append(what)
        if what == self._gate_of:
            self.reached.set()
            await self.gate.wait()
        if what == self._breaks_at:
            raise StorageError(f"{what} is refused")

    async def begin(self) -> str:
        self.open["id"] = []
        await self._pass("begin")
        return "id"

    async def send(self, upload_id: str, number: int, part: io.BytesIO) -> int:
        await self._pass(f"send {number}")
        self.open[upload_id].append(part.getvalue())
        return number

    async def complete(self, upload_id: str, sent: list[int]) -> None:
        await self._pass("complete")
        assert sent == list(range(1, len(sent) + 1))
        self.objects.append(b"".join(self.open.pop(upload_id)))

    async def abandon(self, upload_id: str) -> None:
        await self._pass("abandon")
        self.open.pop(upload_id, None)


async def source(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def gathered(*chunks: bytes) -> Parts:
    parts = Parts(source(*chunks), part_bytes=4)
    await parts.advance()
    return parts


async def put(server: Server, parts: Parts) -> None:
    await put_in_parts(server, parts, note_upload=nothing_to_note, before_commit=nothing_to_check)


async def test_parts_arrive_in_order_and_become_one_object() -> None:
    server = Server()

    await put(server, await gathered(b"abc", b"defgh", b"i"))

    assert server.objects == [b"abcdefghi"]
    assert server.log == ["begin", "send 1", "send 2", "send 3", "complete"]


async def test_the_upload_is_noted_before_its_first_part() -> None:
    server = Server()

    async def note(upload_id: str) -> None:
        server.log.append(f"note {upload_id}")

    await put_in_parts(server, await gathered(b"abcdef"), note_upload=note, before_commit=nothing_to_check)

    assert server.log[:3] == ["begin", "note id", "send 1"]


async def test_a_cancellation_while_the_upload_is_being_opened_still_aborts_it() -> None:
    # Given a server that has opened the upload but has not answered yet
    server = Server(gate_of="begin")
    putting = asyncio.create_task(put(server, await gathered(b"abcdef")))
    await server.reached.wait()

    # When the task is cancelled and the answer comes after that
    putting.cancel()
    await asyncio.wait([putting], timeout=0)
    server.gate.set()

    # Then the upload is aborted, though nobody ever learned its id
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert server.open == {}
    assert server.log == ["begin", "abandon"]


async def test_a_second_cancellation_does_not_stop_the_clean_up() -> None:
    server = Server(breaks_at="send 1", gate_of="abandon")
    putting = asyncio.create_task(put(server, await gathered(b"abcdef")))
    await server.reached.wait()

    putting.cancel()
    await asyncio.wait([putting], timeout=0)
    server.gate.set()

    with pytest.raises(asyncio.CancelledError):
        await putting
    assert server.open == {}


@pytest.mark.parametrize("moment", ["send 1", "send 2", "complete"])
async def test_a_refusal_at_any_moment_aborts_the_upload(moment: str) -> None:
    server = Server(breaks_at=moment)

    with pytest.raises(StorageError, match=f"{moment} is refused"):
        await put(server, await gathered(b"abcdef"))

    assert server.open == {}
    assert server.objects == []


async def test_an_upload_that_cannot_be_aborted_is_told_of_in_a_note() -> None:
    server = Server(breaks_at="abandon")

    async def refuse() -> None:
        raise PermissionError("lost the claim")

    with pytest.raises(PermissionError, match="lost the claim") as told:
        await put_in_parts(server, await gathered(b"abcdef"), note_upload=nothing_to_note, before_commit=refuse)

    assert told.value.__notes__ == ["The multipart upload could not be aborted and may still be open."]


async def test_two_buffers_are_all_there_are_however_many_parts_are_sent() -> None:
    # The one that is sent, and the one that is gathered meanwhile.
    server = Server()
    buffers: weakref.WeakSet[io.BytesIO] = weakref.WeakSet()
    most = 0
    parts = await gathered(*[b"abcd"] * 20)
    send = server.send

    async def watch(upload_id: str, number: int, part: io.BytesIO) -> int:
        nonlocal most
        buffers.add(part)
        most = max(most, len(buffers))
        return await send(upload_id, number, part)

    server.send = watch  # type: ignore[method-assign]  # watched, not replaced.
    await put(server, parts)

    assert len(server.objects[0]) == 80
    assert most == 2
