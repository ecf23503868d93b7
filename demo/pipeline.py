"""The product on private servers: what the demonstration and the end-to-end tests start, hurt and stop."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.request import Request, urlopen

from private_servers.pgbouncer import PgBouncer
from private_servers.ports import free_ports
from private_servers.postgres import Postgres
from private_servers.process import Process
from private_servers.rabbitmq import RabbitMQ
from private_servers.s3 import RcloneS3, S3Server

SERVICES: Final = ("webhook", "insights", "poller", "downloader")
#: The bucket, and the token of the subscription, of every private pipeline.
BUCKET: Final = "calls"
TOKEN: Final = "demo-verification-token"  # noqa: S105 - known to nobody but processes on this machine
#: Seconds for a process of ours to start: it imports, connects, and checks what it needs. Beside others on a busy
#: machine that takes long, and only a failure takes all of it.
START_WITHIN: Final = 90.0


@dataclass(frozen=True, slots=True)
class Servers:
    """The private servers below a pipeline."""

    rabbitmq: RabbitMQ
    postgres: Postgres
    s3: S3Server | None = None
    pooler: PgBouncer | None = None

    def database_url(self, name: str) -> str:
        """How the services reach a database: through the pooler, if there is one."""
        return (self.pooler or self.postgres).database_url(name)

    @contextmanager
    def started(self) -> Iterator[Self]:
        """Run them while the block lasts."""
        with ExitStack() as stack:
            for server in (self.rabbitmq, self.postgres, self.s3, self.pooler):
                if server is not None:
                    stack.enter_context(server)
            yield self


class Pipeline:
    """RabbitMQ, Postgres, perhaps S3, the simulator, and any number of processes of each service.

    Servers that are given run already and outlive it; otherwise it starts and stops its own. `settings` are those of
    all services that differ from the usual ones.
    """

    def __init__(
        self,
        folder: Path,
        *,
        storage: Literal["file", "s3"] = "file",
        audio: Path | None = None,
        servers: Servers | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self._borrowed = servers is not None
        servers = servers or Servers(RabbitMQ(), Postgres(durable=True), RcloneS3() if storage == "s3" else None)
        self.rabbitmq, self.postgres = servers.rabbitmq, servers.postgres
        self.s3 = servers.s3 if storage == "s3" else None
        self.audio = audio or folder / "audio"
        self.settings = dict(settings or {})
        self.services: dict[str, Process] = {}
        self.simulator: dict[str, str] = {}
        (self.webhook_port,) = free_ports(1)
        self._simulator: Process | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            if not self._borrowed:
                self._stack.enter_context(Servers(self.rabbitmq, self.postgres, self.s3).started())
            if self.s3 is not None:
                self.s3.create_bucket(BUCKET)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.services.values():
            process.send(signal.SIGTERM)
        for process in (*self.services.values(), *([self._simulator] if self._simulator else [])):
            process.end(signal.SIGTERM)
        self._stack.close()

    @property
    def webhook_url(self) -> str:
        """Where the receiver serves its endpoint."""
        return f"http://127.0.0.1:{self.webhook_port}/api/rc/webhook"

    @property
    def environment(self) -> dict[str, str]:
        """The settings of all services, as environment variables."""
        settings = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "ADMIN_PORT": "0",
            "LOG_FORMAT": "json",
            "DATABASE_URL": self.postgres.url,
            "AMQP_URL": self.rabbitmq.url,
            "SPOOL_DIR": str(self.folder / "spool"),
            "HTTP_HOST": "127.0.0.1",
            "RC_WEBHOOK_ADDRESS": self.webhook_url,
            "RC_WEBHOOK_TOKEN": TOKEN,
            "POLL_INTERVAL": "1",
            **self._storage(),
        }
        if self.simulator:
            settings |= {
                "RC_SERVER_URL": self.simulator["url"],
                "RC_ACCOUNT_ID": self.simulator["account_id"],
                "RC_CLIENT_ID": self.simulator["client_id"],
                "RC_CLIENT_SECRET": self.simulator["client_secret"],
                "RC_JWT": self.simulator["jwt"],
            }
        return settings | self.settings

    def _storage(self) -> dict[str, str]:
        if self.s3 is None:
            return {"STORAGE_URL": self.audio.as_uri()}
        return {
            "STORAGE_URL": f"s3://{BUCKET}/audio",
            "AWS_ENDPOINT_URL_S3": self.s3.endpoint_url,
            "AWS_REGION": self.s3.region,
            "AWS_ACCESS_KEY_ID": self.s3.access_key,
            "AWS_SECRET_ACCESS_KEY": self.s3.secret_key,
        }

    def migrate(self) -> None:
        """Bring the schema up to date; raises `PrivateServerError` with its last words when that fails."""
        process = self._run("migrate", ["-m", "cli", "migrate"], self.environment)
        process.wait_until(lambda: process.exit_code == 0, within=START_WITHIN, name="ringvault migrate")

    def start_simulator(self, **options: object) -> Process:
        """Start the simulator; every option is one of its own."""
        arguments = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
        process = self._run("simulator", ["-m", "simulator", *arguments], {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"})
        self._simulator = process
        process.wait_until(lambda: _announced(process.log) is not None, within=START_WITHIN, name="the simulator")
        self.simulator = _announced(process.log) or {}
        return process

    def start(self, service: str, name: str | None = None, **settings: str) -> Process:
        """Start one more process of a service, named after it unless told otherwise, and return once it is at work."""
        process = self.launch(service, name, **settings)
        self.wait_ready(name or service)
        return process

    def start_all(self, *services: str) -> None:
        """Start one process of each service and return once all are at work.

        The receiver comes before the others: RingCentral makes a subscription only for one that answers.
        """
        for group in (
            [name for name in services if name == "webhook"],
            [name for name in services if name != "webhook"],
        ):
            for service in group:
                self.launch(service)
            for service in group:
                self.wait_ready(service)

    def launch(self, service: str, name: str | None = None, **settings: str) -> Process:
        """Start one more process of a service and do not wait for it. A name may be used again after its end."""
        name = name or service
        environment = self.environment | {"HTTP_PORT": str(self.webhook_port)} | settings
        self.services[name] = self._run(name, ["-m", f"services.{service}"], environment)
        return self.services[name]

    def wait_ready(self, name: str) -> None:
        """Return once a process that was launched is at work."""
        process = self.services[name]
        process.wait_until(lambda: _ready(process.log), within=START_WITHIN, name=name)

    def kill(self, *names: str) -> None:
        """End processes as a power cut would."""
        for name in names:
            self.services[name].end(signal.SIGKILL)

    def told(self, name: str, event: str) -> list[dict[str, Any]]:
        """What a process has said of an event in its log, line by line."""
        return [line for line in events_of(self.services[name].log) if line.get("event") == event]

    def ask_simulator(self, path: str, order: Mapping[str, Any] | None = None) -> Any:
        """Ask the simulator's control endpoint; with an order, it is a POST."""
        body = None if order is None else json.dumps(order).encode()
        request = Request(f"{self.simulator['url']}{path}", data=body, headers={"Content-Type": "application/json"})  # noqa: S310 - the simulator's own address
        with urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
            return json.load(answer)

    def _run(self, name: str, arguments: list[str], environment: Mapping[str, str]) -> Process:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "log").unlink(missing_ok=True)
        return Process([sys.executable, *arguments], folder=folder, env=environment)


def events_of(log: Path) -> list[dict[str, Any]]:
    """The log lines that are JSON, as far as they are whole."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return [line for line in found if isinstance(line, dict)]


def _announced(log: Path) -> dict[str, str] | None:
    return next((line for line in events_of(log) if "jwt" in line), None)


def _ready(log: Path) -> bool:
    port = next((line["port"] for line in events_of(log) if line.get("event") == "admin_port_opened"), None)
    if port is None:
        return False
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def wait_for(holds: Any, *, within: float, what: str) -> None:
    """Wait until something holds; raises `TimeoutError` that says what did not."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within:g} s")
        time.sleep(0.05)
