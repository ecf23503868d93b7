"""Unit tests open no network connection; what would, fails here instead of on a machine without one."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from common.amqp.publisher import NotConfirmed
from common.messages import Wire
from services.webhook.spool import Spool, open_spool
from tests.clocks import StandingClock


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sockets of this machine's own kind (`AF_UNIX`, as asyncio needs) through, and nothing else."""

    def guarded(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: socket.socket, *args: Any) -> Any:
            if self.family != socket.AF_UNIX:
                raise AssertionError("a unit test uses the network: make it an integration test")
            return real(self, *args)

        return call

    for name in ("connect", "connect_ex", "bind"):
        monkeypatch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)))


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock(datetime(2026, 3, 1, 12, tzinfo=UTC))


@dataclass
class Broker:
    """What the receiver sees of a broker: it confirms, it is frozen (no answer in time), or it is away."""

    taken: list[tuple[str, Wire]] = field(default_factory=list)
    frozen: bool = False
    #: Bodies that it does not confirm.
    refuses: set[bytes] = field(default_factory=set)
    #: Publishes that were tried.
    tries: int = 0
    _there: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._there.set()

    def goes_away(self) -> None:
        self._there.clear()

    def comes_back(self) -> None:
        self.frozen = False
        self._there.set()

    @property
    def connected(self) -> bool:
        return self._there.is_set()

    async def wait_connected(self) -> None:
        await self._there.wait()

    async def publish(self, queue: str, wire: Wire, *, timeout: float = 10.0) -> None:  # noqa: ARG002 - as there
        self.tries += 1
        await asyncio.sleep(0)
        if self.frozen or not self.connected or wire.body in self.refuses:
            raise NotConfirmed("the broker did not confirm")
        self.taken.append((queue, wire))


@pytest.fixture
async def broker() -> Broker:
    return Broker()


class OpensSpools(Protocol):
    """Opens one more spool, as another process would, in the same folder."""

    def __call__(self, *, limit: int = ...) -> AbstractAsyncContextManager[Spool]: ...


@pytest.fixture
def open_one(tmp_path: Path, clock: StandingClock) -> OpensSpools:
    def opened(*, limit: int = 1 << 20) -> AbstractAsyncContextManager[Spool]:
        return open_spool(tmp_path / "spool", limit, clock)

    return opened


@pytest.fixture
async def spool(open_one: OpensSpools) -> AsyncIterator[Spool]:
    async with open_one() as opened:
        yield opened


@pytest.fixture
def running() -> Callable[[Awaitable[None]], AbstractAsyncContextManager[asyncio.Future[None]]]:
    """Run something endless for as long as a block lasts."""

    @asynccontextmanager
    async def run(work: Awaitable[None]) -> AsyncIterator[asyncio.Future[None]]:
        task = asyncio.ensure_future(work)
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])

    return run


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Wait until something holds; the test's own time limit is the only one."""

    async def wait(holds: Callable[[], object]) -> None:
        while not holds():  # noqa: ASYNC110 - any fact of any object
            await asyncio.sleep(0.002)

    return wait


@pytest.fixture
def insights_event() -> Mapping[str, Any]:
    """An event as RingCentral sends it, for account 4711."""
    return {
        "uuid": "3f6d1c9a-0f5f-4a0e-a6d5-5a1d8f9c0b11",
        "event": "/ai/ringsense/v1/public/accounts/4711/domains/pbx/insights",
        "timestamp": "2026-03-01T12:00:00.000Z",
        "subscriptionId": "0a7c",
        "ownerId": "999",
        "body": {"domain": "pbx", "sourceRecordId": "1", "sourceSessionId": "s-1", "insights": {}},
    }
