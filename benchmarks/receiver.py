"""A receiver as its container runs it, on a private RabbitMQ, for the commands that attack it."""

import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from demo.pipeline import START_WITHIN, events_of
from private_servers.process import Process
from private_servers.rabbitmq import RabbitMQ

ACCOUNT: Final = "700100200"
TOKEN: Final = "a-token-that-only-these-processes-know"  # noqa: S105 - made up
#: Seconds that it may take to be at work.
_READY_WITHIN: Final = START_WITHIN


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver at work."""

    process: Process
    port: int
    admin_port: int

    def samples(self) -> dict[str, float]:
        """Its metrics now, by name and labels."""
        with urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
        return {name: float(value) for name, _, value in pairs}

    def answers(self) -> dict[str, int]:
        """How often it gave each answer."""
        prefix = "ringvault_webhook_requests_total"
        found = {re.sub(r'.*"(.*)".*', r"\1", name): value for name, value in self.samples().items() if prefix in name}
        return {outcome: int(value) for outcome, value in found.items()}

    def memory(self) -> int:
        """Bytes that it holds in memory now."""
        return self._status("VmRSS") * 1024

    def memory_peak(self) -> int:
        """The most bytes that it has held."""
        return self._status("VmHWM") * 1024

    def errors(self) -> list[str]:
        """The errors in its log."""
        return [str(line["event"]) for line in events_of(self.process.log) if line.get("level") == "error"]

    def _status(self, name: str) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(next(line.split()[1] for line in text.splitlines() if line.startswith(name)))


@contextmanager
def running(rabbitmq: RabbitMQ, folder: Path, **settings: str) -> Iterator[Receiver]:
    """A receiver for the block's time; its log is in the folder."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "LOG_FORMAT": "json",
        "AMQP_URL": rabbitmq.url,
        "RC_ACCOUNT_ID": ACCOUNT,
        "RC_WEBHOOK_TOKEN": TOKEN,
        "SPOOL_DIR": str(folder / "spool"),
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": "0",
        "ADMIN_PORT": "0",
        **settings,
    }
    process = Process([sys.executable, "-m", "services.webhook"], folder=folder, env=environment)
    try:
        process.wait_until(
            lambda: {"endpoint_opened", "broker_connected"} <= {line.get("event") for line in events_of(process.log)},
            within=_READY_WITHIN,
            name="the receiver",
        )
        ports = {line["event"]: line["port"] for line in events_of(process.log) if "port" in line}
        yield Receiver(process, ports["endpoint_opened"], ports["admin_port_opened"])
    finally:
        process.end(signal.SIGTERM)
