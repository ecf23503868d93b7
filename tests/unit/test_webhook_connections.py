"""Who is let in, who makes room, and how many bytes of bodies there are at a time."""

import asyncio
import resource
from contextlib import AsyncExitStack

import pytest

from common.telemetry.metrics import REGISTRY
from services.webhook import connections as module
from services.webhook import room as room_module
from services.webhook.answers import Outcome, Refused
from services.webhook.connections import Connections
from services.webhook.room import Room


class Line(asyncio.Transport):
    """A transport that only knows whether it was cut."""

    cut = False

    def abort(self) -> None:
        self.cut = True


def connect(connections: Connections) -> tuple[Line, asyncio.Protocol]:
    line = Line()
    protocol = connections.around(asyncio.Protocol)()
    protocol.connection_made(line)
    return line, protocol


def lines(connections: Connections, count: int) -> list[Line]:
    return [connect(connections)[0] for _ in range(count)]


def closed(reason: str) -> float:
    return REGISTRY.get_sample_value("ringvault_webhook_connections_closed_total", {"reason": reason}) or 0.0


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "YIELDS_AFTER", 0.0)


@pytest.mark.usefixtures("impatient")
async def test_the_one_that_has_kept_us_waiting_longest_makes_room() -> None:
    connections, before = Connections(3), closed("crowded")
    first, *others = lines(connections, 3)

    await connections.room()

    assert first.cut
    assert not any(line.cut for line in others)
    assert closed("crowded") == before + 1
    assert REGISTRY.get_sample_value("ringvault_webhook_connections") == 2


async def test_nobody_is_closed_for_another_before_he_has_had_his_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "YIELDS_AFTER", 0.05)
    connections, began = Connections(1), asyncio.get_running_loop().time()
    [line] = lines(connections, 1)

    await connections.room()

    assert line.cut
    assert asyncio.get_running_loop().time() - began >= 0.05


async def test_whoever_leaves_makes_room_at_once() -> None:
    connections = Connections(1)
    line, protocol = connect(connections)
    waiting = asyncio.create_task(connections.room())
    await asyncio.sleep(0)
    assert not waiting.done()

    protocol.connection_lost(None)
    await waiting

    assert not line.cut


@pytest.mark.usefixtures("impatient")
async def test_whoever_asked_lately_has_not_kept_us_waiting() -> None:
    connections = Connections(3)
    first, second, _ = lines(connections, 3)
    with connections.request(first):
        pass

    await connections.room()

    assert (first.cut, second.cut) == (False, True)


@pytest.mark.usefixtures("impatient")
async def test_a_request_whose_body_does_not_come_makes_room_too() -> None:
    connections = Connections(2)
    slow, _ = lines(connections, 2)

    with connections.request(slow):
        await connections.room()

    assert slow.cut


@pytest.mark.usefixtures("impatient")
async def test_whoever_waits_for_our_answer_is_never_closed_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_EVERY", 0.001)
    connections = Connections(2)
    first, second = lines(connections, 2)

    with connections.request(first), connections.answering(first):
        with connections.request(second), connections.answering(second):
            waiting = asyncio.create_task(connections.room())
            _, pending = await asyncio.wait([waiting], timeout=0.02)  # some looks
            assert pending
        await waiting

    assert (first.cut, second.cut) == (False, True)


@pytest.mark.parametrize(
    ("limits", "raised", "affordable"),
    [
        ((1024, 4096), [(2200, 4096)], 2000),
        ((1024, -1), [(2200, -1)], 2000),
        ((1024, 1024), [(1024, 1024)], 824),
        ((20_000, 20_000), [], 2000),
        ((-1, -1), [], 2000),
    ],
)
def test_as_many_connections_as_there_are_descriptors_for(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], raised: list[tuple[int, int]], affordable: int
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: asked.append(wanted))

    assert module.affordable(2000) == affordable
    assert asked == raised


async def test_who_has_left_takes_no_place() -> None:
    connections = Connections(3)
    gone, protocol = connect(connections)
    with connections.request(gone), connections.answering(gone):
        protocol.connection_lost(None)
    others = lines(connections, 2)
    await connections.room()

    assert not any(line.cut for line in others)


async def test_a_head_that_does_not_end_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEAD_WITHIN", 0.01)
    before = closed("slow_head")
    line, protocol = connect(Connections())
    protocol.data_received(b"POST ")

    while not line.cut:  # noqa: ASYNC110 - whenever the timer fires
        await asyncio.sleep(0.001)

    assert closed("slow_head") == before + 1


async def test_neither_silence_nor_a_slow_body_is_a_slow_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEAD_WITHIN", 0.01)
    connections = Connections()
    (silent, _), (asking, protocol), (leaving, left) = (connect(connections) for _ in range(3))
    left.data_received(b"POST ")
    left.connection_lost(None)
    protocol.data_received(b"POST / HTTP/1.1\r\n\r\n")
    with connections.request(asking):
        protocol.data_received(b"{")
        timer = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.02, timer.set_result, None)  # fires after theirs would
        await timer

        assert [line.cut for line in (silent, asking, leaving)] == [False, False, False]


def test_what_arrives_is_handed_on() -> None:
    heard: list[object] = []

    class Inner(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            heard.append(data)

        def eof_received(self) -> bool:
            return True

        def pause_writing(self) -> None:
            heard.append("pause")

        def resume_writing(self) -> None:
            heard.append("resume")

    async def hear() -> bool | None:
        protocol = Connections().around(Inner)()
        protocol.connection_made(Line())
        protocol.data_received(b"1")
        protocol.pause_writing()
        protocol.resume_writing()
        return protocol.eof_received()

    assert asyncio.run(hear()) is True
    assert heard == [b"1", "pause", "resume"]


async def test_bodies_wait_for_room_in_the_order_of_their_coming() -> None:
    room, order = Room(10), list[str]()

    async def body(name: str, size: int) -> None:
        async with room.taken(size):
            order.append(name)

    async with AsyncExitStack() as held:
        await held.enter_async_context(room.taken(8))
        large, small = asyncio.create_task(body("large", 9)), asyncio.create_task(body("small", 1))
        for _ in range(5):  # turns of the loop in which both could take what is free
            await asyncio.sleep(0)
        assert order == []
    await asyncio.gather(large, small)

    assert order == ["large", "small"]


async def test_a_body_that_finds_no_room_in_time_is_refused_and_leaves_nothing_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room_module, "ROOM_WITHIN", 0.01)
    room = Room(10)
    async with room.taken(10):
        with pytest.raises(Refused) as refused:
            async with room.taken(1):
                raise AssertionError
    async with room.taken(10):
        pass

    assert refused.value.outcome is Outcome.CROWDED
