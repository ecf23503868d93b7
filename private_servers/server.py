"""What every private server can do: start, stop, die, freeze and come back with its data."""

import re
import signal
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from private_servers.errors import PrivateServerError
from private_servers.folders import DataFolder
from private_servers.ports import free_ports
from private_servers.process import Process

#: Starts with fresh ports before giving up: each needs another process to take a port within a second.
START_TRIES = 3

#: How the servers say that a port is taken.
PORT_TAKEN = re.compile(r"address (already )?in use|eaddrinuse|port \d+ is in use", re.IGNORECASE)


class PrivateServer(ABC):
    """One server with a data folder of its own.

    Ports and data are made by the first `start` and stay until `stop`, so that after `kill` or `shut_down` the next
    `start` finds both as they were. All verbs may be called twice.
    """

    #: What people call it, for folders and errors.
    name: ClassVar[str]
    #: Ports it needs; the first is the one for clients.
    port_count: ClassVar[int] = 1
    #: Seconds a start may take before it counts as failed; generous, machines with busy disks are slow.
    start_within: ClassVar[float] = 120.0
    #: What ends it in good order.
    polite_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, disk: Path | None = None) -> None:
        """`disk` is where its data folder is made, the temporary folder unless given."""
        self._disk = disk
        self._data: DataFolder | None = None
        self._process: Process | None = None
        self._ports: list[int] = []

    @property
    def folder(self) -> Path:
        """Its data folder, for the life from the first `start` to `stop`."""
        if self._data is None:
            raise PrivateServerError(f"{self.name} has no folder before its start.")
        return self._data.path

    @property
    def port(self) -> int:
        if not self._ports:
            raise PrivateServerError(f"{self.name} has no port before its start.")
        return self._ports[0]

    @property
    def pid(self) -> int:
        """The process to watch or to hurt."""
        if self._process is None:
            raise PrivateServerError(f"{self.name} is not running.")
        return self._process.pid

    def start(self) -> Self:
        """Start it, with the data it had; returns when it answers. Raises `PrivateServerError`."""
        if self._process is not None and self._process.is_alive():
            return self
        if self._data is not None:
            self._run()
            return self
        for attempt in range(1, START_TRIES + 1):
            try:
                self._run_fresh()
            except BaseException as error:
                self.stop()
                taken = isinstance(error, PrivateServerError) and PORT_TAKEN.search(str(error))
                if attempt == START_TRIES or not taken:
                    raise
            else:
                break
        return self

    def _run_fresh(self) -> None:
        self._data = DataFolder(self.name, self._disk)
        self._ports = free_ports(self.port_count)
        self._prepare(self._data.path)
        self._run()

    def _run(self) -> None:
        self._process = self._launch(self.folder)
        self._process.wait_until(self._answers, within=self.start_within, name=self.name)

    def shut_down(self) -> None:
        """End it in good order; data and ports stay for the next `start`."""
        if self._process is not None:
            self.resume()
            self._process.end(self.polite_signal)
            self._process = None

    def stop(self) -> None:
        """End it and remove its data."""
        try:
            self.shut_down()
        finally:
            if self._data is not None:
                self._data.remove()
            self._data, self._ports = None, []

    def kill(self) -> None:
        """End it as a power cut would, without a goodbye; data and ports stay for the next `start`."""
        if self._process is not None:
            self._process.end(signal.SIGKILL)
            self._process = None

    def restart(self) -> None:
        """Shut down and start, on the same ports with the same data."""
        self.shut_down()
        self.start()

    def pause(self) -> None:
        """Freeze it: connections stay open, nothing answers from now on, until `resume`."""
        if self._process is not None:
            self._process.freeze()

    def resume(self) -> None:
        if self._process is not None:
            self._process.send(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @abstractmethod
    def _prepare(self, folder: Path) -> None:
        """Fill a new data folder; the ports are known."""

    @abstractmethod
    def _launch(self, folder: Path) -> Process:
        """Start the process."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it, and no stranger on its port, answers clients."""
