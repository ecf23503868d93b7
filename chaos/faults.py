"""The faults: what each does to each target, for how long, and why some are not there."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from random import Random
from time import sleep
from typing import Final

from chaos.proxy import Slow, cut, mend, slow_down
from chaos.world import USES, World
from private_servers.server import PrivateServer

#: What is broken, in the order in which it is shown; the names that people read, by ours.
TARGETS: Final = {
    "webhook": "receiver",
    "insights": "insights",
    "poller": "poller",
    "downloader": "downloader",
    "rabbitmq": "RabbitMQ",
    "postgres": "Postgres",
    "s3": "S3",
    "ringcentral": "RingCentral",
}
#: How, and how many seconds that lasts. What is ended comes back after some seconds, as an orchestrator would have it;
#: 20 s frozen is longer than the poller's lease and two heartbeats; a cut, a slow line and a full disk last long enough
#: for everything that is under way to meet them, and for what meets them first to be tried again.
FAULTS: Final = {"SIGTERM": 3.0, "SIGKILL": 3.0, "frozen": 20.0, "cut": 8.0, "slow": 15.0, "full": 12.0}
#: A bad line: each piece 150 ms late, 64 KB/s: RabbitMQ's and Postgres's small exchanges take seconds together, a large
#: recording outlives the fault; RingCentral's three seconds for an answer are not all used up by a transcript.
_SLOW: Final = Slow(latency=0.15, bytes_per_second=64_000)
#: RabbitMQ's own alarm: so much disk is never free.
_TOO_MUCH: Final = "1000000GB"
#: What it is set to otherwise; see `private_servers.rabbitmq`.
_USUAL: Final = "50MB"

_NO_STORAGE: Final = "it keeps nothing on a disk"
_SIMULATED: Final = (
    "the simulator keeps the truth in its memory and cannot come back with it; cut looks the same from here"
)
_NO_DISK: Final = "no small disk could be made here: that takes root, or a system that allows user namespaces"
#: Cells that are not there, and why.
NOT_THERE: Final = {
    **{(service, "full"): _NO_STORAGE for service in ("insights", "poller", "downloader")},
    ("ringcentral", "SIGTERM"): _SIMULATED,
    ("ringcentral", "SIGKILL"): _SIMULATED,
    ("ringcentral", "full"): "its storage is not ours to fill",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One target and one fault."""

    target: str
    fault: str

    def __str__(self) -> str:
        return f"{TARGETS[self.target]}:{self.fault}"

    def why_not(self, world: World) -> str:
        """Why it is not run; empty when it is."""
        reason = NOT_THERE.get((self.target, self.fault), "")
        if not reason and self.fault == "full" and self.target != "rabbitmq" and not world.disks:
            return _NO_DISK
        return reason


def inflict(cell: Cell, world: World, chance: Random) -> AbstractContextManager[None]:
    """The fault for as long as the block lasts. After it, what has ended was started again; a server answers again."""
    effects: dict[str, Callable[[World, Cell, Random], AbstractContextManager[None]]] = {
        "SIGTERM": partial(_ended, how=signal.SIGTERM),
        "SIGKILL": partial(_ended, how=signal.SIGKILL),
        "frozen": _frozen,
        "cut": _cut,
        "slow": _slow,
        "full": _full,
    }
    return effects[cell.fault](world, cell, chance)


@contextmanager
def _ended(world: World, cell: Cell, chance: Random, *, how: signal.Signals) -> Iterator[None]:
    if cell.target in USES:
        name = world.victim(cell.target, chance)
        world.process(name).end(how)
        yield
        world.replace(name)
        return
    server = _server(world, cell.target)
    if how is signal.SIGKILL:
        server.kill()
    else:
        server.shut_down()
    yield
    server.start()


@contextmanager
def _frozen(world: World, cell: Cell, chance: Random) -> Iterator[None]:
    if cell.target in USES or cell.target == "ringcentral":
        simulated = cell.target == "ringcentral"
        process = world.simulator if simulated else world.process(world.victim(cell.target, chance))
        try:
            process.freeze()
            yield
        finally:  # what is frozen does not end when it is told to.
            process.send(signal.SIGCONT)
        return
    server = _server(world, cell.target)
    server.pause()
    try:
        yield
    finally:
        server.resume()


@contextmanager
def _cut(world: World, cell: Cell, _chance: Random) -> Iterator[None]:
    lines = world.lines_of(cell.target)
    cut(lines)
    yield
    mend(lines)


@contextmanager
def _slow(world: World, cell: Cell, _chance: Random) -> Iterator[None]:
    lines = world.lines_of(cell.target)
    slow_down(lines, _SLOW)
    yield
    mend(lines)


@contextmanager
def _full(world: World, cell: Cell, _chance: Random) -> Iterator[None]:
    """The disk has no byte left. The receiver needs its own only without the broker, so in the end it has neither."""
    if cell.target == "rabbitmq":
        world.servers.rabbitmq.ctl("set_disk_free_limit", _TOO_MUCH)
        yield
        world.servers.rabbitmq.ctl("set_disk_free_limit", _USUAL)
        return
    disk = world.disks["spool" if cell.target == "webhook" else cell.target]
    disk.fill()
    yield
    if cell.target == "webhook":
        broker = [line for (place, _), line in world.lines.items() if place.startswith("webhook-")]
        cut(broker)
        sleep(FAULTS["cut"])
        disk.free()
        mend(broker)
        return
    disk.free()
    # Postgres ends when it cannot write its log; whoever looks after it starts it again.
    _server(world, cell.target).start()


def _server(world: World, target: str) -> PrivateServer:
    servers: dict[str, PrivateServer | None] = {
        "rabbitmq": world.servers.rabbitmq,
        "postgres": world.servers.postgres,
        "s3": world.servers.s3,
    }
    found = servers[target]
    if found is None:
        raise LookupError(f"{target} does not run")
    return found
