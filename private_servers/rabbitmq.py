"""A private RabbitMQ: one node with its own epmd, bound to loopback only."""

import secrets
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from private_servers.errors import PrivateServerError
from private_servers.ports import listens
from private_servers.process import Process
from private_servers.rabbitmq_files import RABBITMQ, RabbitMQFiles
from private_servers.server import PrivateServer

#: AMQP 0-9-1's opening bytes; a broker that is ready answers with a method frame, whose type is 1.
AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME = b"\x01"

#: Alarms by the machine's memory or disk would stall demo and tests for no fault of theirs.
LIMITS = {"disk_free_limit.absolute": "50MB", "vm_memory_high_watermark.absolute": "1GB"}

#: Resolves `localhost`, the node's host, without /etc/hosts and without a resolver process of Erlang's.
INETRC = '{host, {127,0,0,1}, ["localhost"]}.\n{lookup, [file]}.\n'

#: Debian's `erl` has the place of its installation written in; this one takes it from where the files are.
ERL = """\
#!/bin/sh
export ROOTDIR='{root}' BINDIR='{runtime}/bin' EMU=beam PROGNAME=erl
exec "$BINDIR/erlexec" "$@"
"""

#: Seconds a `rabbitmqctl` command may take; it starts an Erlang of its own, about 2 s.
CTL_WITHIN = 60.0


class RabbitMQ(PrivateServer):
    """A broker; `url` works from the first `start` on and survives restarts. `settings` are lines of rabbitmq.conf."""

    name: ClassVar[str] = "rabbitmq"
    port_count: ClassVar[int] = 3

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._settings = {**LIMITS, **(settings or {})}
        self._password = secrets.token_hex(16)
        self._files: RabbitMQFiles | None = None
        self._epmd: Process | None = None

    @property
    def url(self) -> str:
        return f"amqp://ringvault:{self._password}@127.0.0.1:{self.port}/"

    def ctl(self, *arguments: str) -> str:
        """Run `rabbitmqctl`, e.g. `ctl("set_vm_memory_high_watermark", "0")`; returns what it prints."""
        command: list[str | Path] = [self._prepared_files().server / "sbin/rabbitmqctl", "--quiet", *arguments]
        environment = {**self._environment(self.folder), "RABBITMQ_CTL_ERL_ARGS": ""}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=CTL_WITHIN, cwd=self.folder
        )
        if done.returncode != 0:
            raise PrivateServerError(
                f"rabbitmqctl {arguments[0]} failed: {(done.stderr or done.stdout).strip()[-500:]}"
            )
        return done.stdout

    def settle(self) -> None:
        """Have the broker write down which quorum queues it has; call it between declaring them and `kill`.

        RabbitMQ 3.10 does that up to 3 s late by itself: a queue declared right before a kill loses its confirmed
        messages, and never answers a `basic.get` afterwards.
        """
        self.ctl("eval", "ok = dets:sync(ra_directory_reverse).")

    def shut_down(self) -> None:
        super().shut_down()
        self._end_epmd()

    def kill(self) -> None:
        super().kill()
        self._end_epmd()

    def _end_epmd(self) -> None:
        if self._epmd is not None:
            self._epmd.end(signal.SIGKILL)  # it keeps nothing, and while a node is known it ignores kinder words.
            self._epmd = None

    def _prepared_files(self) -> RabbitMQFiles:
        if self._files is None:
            raise PrivateServerError("RabbitMQ was not prepared: start it first.")
        return self._files

    def _prepare(self, folder: Path) -> None:
        files = self._files = RABBITMQ.files().seen_from(folder / "files")
        for name in ("home", "mnesia", "logs", "bin", "epmd"):
            (folder / name).mkdir()
        cookie = folder / "home/.erlang.cookie"
        cookie.write_text(secrets.token_hex(20))
        cookie.chmod(0o400)
        settings = {
            "listeners.tcp.1": f"127.0.0.1:{self.port}",
            "default_user": "ringvault",
            "default_pass": self._password,
            **self._settings,
        }
        (folder / "rabbitmq.conf").write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
        (folder / "enabled_plugins").write_text("[].\n")
        (folder / "inetrc").write_text(INETRC)
        erl = folder / "bin/erl"
        erl.write_text(ERL.format(root=files.erlang, runtime=files.runtime))
        erl.chmod(0o755)

    def _environment(self, folder: Path) -> dict[str, str]:
        _, distribution, epmd = self._ports
        libraries = self._prepared_files().libraries
        return {
            "PATH": f"{folder}/bin:{self._prepared_files().erlang}/bin:/usr/bin:/bin",
            "ESCRIPT_EMULATOR": f"{folder}/bin/erl",  # RabbitMQ 4's rabbitmqctl is an escript.
            "HOME": f"{folder}/home",
            "LANG": "C.UTF-8",
            "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
            "ERL_INETRC": f"{folder}/inetrc",
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP_SECONDS": "0",
            "RABBITMQ_NODENAME": "ringvault@localhost",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",  # an installed broker's settings are not ours.
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/logs",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "detached": "1",  # the start script then becomes the Erlang VM instead of waiting for it.
        }

    def _launch(self, folder: Path) -> Process:
        """Start epmd first: a node that finds none would start one that outlives it."""
        files, environment, port = self._prepared_files(), self._environment(folder), self._ports[2]
        epmd = Process(
            [files.runtime / "bin/epmd", "-port", str(port), "-address", "127.0.0.1"],
            folder=folder / "epmd",
            env=environment,
        )
        self._epmd = epmd
        epmd.wait_until(lambda: listens(epmd.pid, port), within=self.start_within, name="epmd")
        return Process([files.server / "sbin/rabbitmq-server"], folder=folder, env=environment)

    def _answers(self) -> bool:
        if not listens(self.pid, self.port):
            return False
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(AMQP_HEADER)
                return connection.recv(1) == METHOD_FRAME
        except OSError:
            return False
