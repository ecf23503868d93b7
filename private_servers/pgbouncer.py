"""A private PgBouncer in transaction mode in front of a private Postgres: loopback TCP only, never as root."""

import os
import shutil
from pathlib import Path
from typing import ClassVar, Final

from private_servers.packages import Packaged, libraries_under
from private_servers.ports import listens
from private_servers.postgres import USER, Postgres
from private_servers.postgres_files import runs_as
from private_servers.process import Process
from private_servers.server import PrivateServer

#: Any database, over so few connections that clients must share them, and so that a client's next transaction meets
#: another one than its last (round robin): whatever counts on its session is found out. A Postgres that is away is told
#: to clients within seconds instead of two minutes.
SETTINGS: Final = """\
[databases]
* = host=127.0.0.1 port={postgres_port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {connections}
server_round_robin = 1
max_client_conn = 500
server_login_retry = 1
query_wait_timeout = 3
"""


def _files_under(root: Path) -> tuple[Path, Path] | None:
    """The program, and the root that it and its libraries lie under."""
    program = root / "usr/sbin/pgbouncer"
    return (program, root) if program.exists() else None


PGBOUNCER: Final = Packaged("PgBouncer", "pgbouncer", _files_under)


class PgBouncer(PrivateServer):
    """In front of a server that runs and keeps its port; `connections` are those to one database of it."""

    name: ClassVar[str] = "pgbouncer"

    def __init__(self, postgres: Postgres, *, connections: int = 4) -> None:
        super().__init__()
        self._postgres = postgres
        self._connections = connections

    def database_url(self, name: str) -> str:
        """The URL of a database of Postgres through the pooler."""
        return self._postgres.database_url(name).replace(f":{self._postgres.port}/", f":{self.port}/")

    def _prepare(self, folder: Path) -> None:
        """Copy what it needs to where `nobody` can reach it: 1 MB."""
        program, root = PGBOUNCER.files()
        shutil.copy(program, folder / "pgbouncer")
        (folder / "libraries").mkdir()
        for library in (file for place in libraries_under(root) for file in place.glob("*.so*")):
            shutil.copy(library, folder / "libraries")
        users, settings = folder / "users", folder / "settings"
        users.touch(0o600)
        users.write_text(f'"{USER}" "{self._postgres.password}"\n')
        settings.write_text(
            SETTINGS.format(
                port=self.port, postgres_port=self._postgres.port, folder=folder, connections=self._connections
            )
        )
        user = runs_as()
        if user is not None:
            folder.chmod(0o711)
            os.chown(users, user, user)

    def _launch(self, folder: Path) -> Process:
        return Process(
            [folder / "pgbouncer", folder / "settings"],
            folder=folder,
            env={"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": str(folder / "libraries")},
            user=runs_as(),
        )

    def _answers(self) -> bool:
        return listens(self.pid, self.port)
