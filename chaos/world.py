"""What is broken: two processes of each service, their servers, and the lines between all of them."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from random import Random
from typing import Final

from chaos.disks import Disk
from chaos.proxy import Line, Network
from demo.pipeline import SERVICES, START_WITHIN, Pipeline, Servers, wait_for
from private_servers.ports import free_ports
from private_servers.postgres import Postgres
from private_servers.process import Process
from private_servers.rabbitmq import RabbitMQ
from private_servers.s3 import RcloneS3

#: Processes of each service.
REPLICAS: Final = 2
#: What each service is connected to; the receiver also has the line that RingCentral's events come by.
USES: Final[Mapping[str, tuple[str, ...]]] = {
    "webhook": ("rabbitmq",),
    "insights": ("rabbitmq", "postgres"),
    "poller": ("rabbitmq", "postgres", "ringcentral"),
    "downloader": ("rabbitmq", "postgres", "ringcentral", "s3"),
}
#: RingCentral offers audio at one address to whichever downloader.
_AUDIO: Final = ("downloader-audio", "ringcentral")
#: A company that only makes the calls that are ordered. A minute of its time is a second, so the rate limit allows ten
#: requests a second and tokens last a minute. Its time begins a day ago, because the first poll looks back that far; a
#: subscription dies after ten real minutes of failing deliveries, as long as RingCentral's.
COMPANY: Final = {"recordings": 0, "speed": 60, "history": 82_800, "blacklist_after": 36_000}
#: Bytes to the storage, within one look, that only the first part of a large recording is.
_PART: Final = 4_000_000
#: Seconds of such a look, and how many seconds to look for a downloader in the middle: some large ones come meanwhile.
_LOOK, _LOOK_WITHIN = 0.5, 20.0
#: Where events arrive.
_PATH: Final = "/api/rc/webhook"


@dataclass(slots=True)
class World:
    """See above; made by `open_world`. `replicas` are the names of the living processes of each service, for example
    `poller-2-7`: the second poller, and the seventh process in all. `lines` go from `poller-2` to each of its servers.
    """

    pipeline: Pipeline
    servers: Servers
    disks: Mapping[str, Disk]
    front: Line
    lines: Mapping[tuple[str, str], Line]
    receivers: Mapping[int, int]
    simulator: Process
    replicas: dict[str, list[str]] = field(default_factory=dict)
    _lives: int = 0

    def start_all(self) -> None:
        """Start every service and return once all are at work and events can come."""
        for service in SERVICES:  # the receivers first: a subscription is made only for one that answers.
            self.replicas[service] = [self._launch(service, slot) for slot in range(1, REPLICAS + 1)]
            for name in self.replicas[service]:
                self.pipeline.wait_ready(name)
        wait_for(lambda: self._told("poller", "subscription_recorded"), within=START_WITHIN, what="a subscription")

    def victim(self, service: str, chance: Random) -> str:
        """Which process of a service is hurt: the poller that leads, for the other has nothing to do; the downloader in
        the middle of a large recording; else any.
        """
        found: str | None = None
        if service == "poller":
            found = next((name for name in self.replicas[service] if self._leads(name)), None)
        elif service == "downloader":
            found = self._uploading()
        return found or chance.choice(self.replicas[service])

    def process(self, name: str) -> Process:
        """A process of ours, by its name."""
        return self.pipeline.services[name]

    def replace(self, name: str) -> str:
        """Start a process in the place of one that has ended; returns its name."""
        service, slot = name.split("-")[:2]
        fresh = self._launch(service, int(slot))
        self.replicas[service][int(slot) - 1] = fresh
        return fresh

    def replace_the_dead(self) -> list[str]:
        """Start a process in the place of each that has ended by itself; returns the names of those."""
        names = [name for names in self.replicas.values() for name in names if not self.process(name).is_alive()]
        for name in names:
            self.replace(name)
        return names

    def lines_of(self, target: str) -> list[Line]:
        """All lines that begin or end at a service or a server; of the receiver, the one that events come by."""
        if target == "webhook":
            return [self.front]
        return [line for (place, server), line in self.lines.items() if target in {place.split("-")[0], server}]

    def _launch(self, service: str, slot: int) -> str:
        """A name is never used twice, so that each life keeps its log."""
        self._lives += 1
        name = f"{service}-{slot}-{self._lives}"
        settings = dict(self._settings(service, slot))
        if service == "webhook":
            settings["HTTP_PORT"] = str(self.receivers[slot])
        self.pipeline.launch(service, name, **settings)
        return name

    def _settings(self, service: str, slot: int) -> Iterator[tuple[str, str]]:
        """The process's addresses, with its own lines in the place of the servers' ports."""
        common = self.pipeline.environment
        variables = {
            "rabbitmq": "AMQP_URL",
            "postgres": "DATABASE_URL",
            "ringcentral": "RC_SERVER_URL",
            "s3": "AWS_ENDPOINT_URL_S3",
        }
        for server in USES[service]:
            name = variables[server]
            port = self.lines[f"{service}-{slot}", server].port
            yield name, re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", common[name])

    def _uploading(self) -> str | None:
        """The downloader that has just sent the first part of a large recording, so that its upload is open."""
        deadline = time.monotonic() + _LOOK_WITHIN
        lines = {name: self.lines[name.rpartition("-")[0], "s3"] for name in self.replicas["downloader"]}
        while time.monotonic() < deadline:
            sent = {name: line.sent for name, line in lines.items()}
            time.sleep(_LOOK)
            if found := [name for name, line in lines.items() if line.sent - sent[name] > _PART]:
                return found[0]
        return None

    def _leads(self, name: str) -> bool:
        return len(self.pipeline.told(name, "leadership_taken")) > len(self.pipeline.told(name, "leadership_ended"))

    def _told(self, service: str, event: str) -> bool:
        return any(self.pipeline.told(name, event) for name in self.replicas[service])


@contextmanager
def open_world(folder: Path, disks: Mapping[str, Disk], seed: int) -> Iterator[World]:
    """Start servers, lines and the simulator; end everything with the block."""
    paths = {name: disk.path for name, disk in disks.items()}
    spool = paths.get("spool", folder / "spool")
    servers = Servers(RabbitMQ(), Postgres(durable=True, disk=paths.get("postgres")), RcloneS3(disk=paths.get("s3")))
    receivers = dict(enumerate(free_ports(REPLICAS), 1))
    with servers.started(), Network() as network:
        front = network.line(*receivers.values())
        settings = {"RC_WEBHOOK_ADDRESS": f"http://127.0.0.1:{front.port}{_PATH}", "SPOOL_DIR": str(spool)}
        with Pipeline(folder, storage="s3", servers=servers, settings=settings) as pipeline:
            (port,) = free_ports(1)
            lines = dict(_lines(network, servers, port))
            pipeline.migrate()
            audio = f"127.0.0.1:{lines[_AUDIO].port}"
            pipeline.settings["RC_MEDIA_HOSTS"] = audio
            simulator = pipeline.start_simulator(**COMPANY, seed=seed, port=port, media_url=f"http://{audio}")
            yield World(pipeline, servers, disks, front, lines, receivers, simulator)


def _lines(network: Network, servers: Servers, simulator: int) -> Iterator[tuple[tuple[str, str], Line]]:
    """A line for each process and each of its servers, and the one for audio."""
    ports = {"rabbitmq": servers.rabbitmq.port, "postgres": servers.postgres.port, "ringcentral": simulator}
    if servers.s3 is not None:
        ports["s3"] = servers.s3.port
    for service, used in USES.items():
        for slot, server in product(range(1, REPLICAS + 1), used):
            yield (f"{service}-{slot}", server), network.line(ports[server])
    yield _AUDIO, network.line(simulator)
