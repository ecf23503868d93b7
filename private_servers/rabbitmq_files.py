"""RabbitMQ's and Erlang's files: the installed ones in place, or Debian's packages (33 MB) unpacked into the cache."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from private_servers.packages import Packaged, libraries_under


@dataclass(frozen=True)
class RabbitMQFiles:
    """Folders below one root."""

    root: Path
    server: Path
    erlang: Path
    runtime: Path

    def seen_from(self, link: Path) -> "RabbitMQFiles":
        """The same through a link made now: RabbitMQ's scripts do not work at a place with a space in its name."""
        link.symlink_to(self.root)
        below = (link / path.relative_to(self.root) for path in (self.server, self.erlang, self.runtime))
        return RabbitMQFiles(link, *below)

    @property
    def libraries(self) -> list[Path]:
        """Shared libraries that came along because the system lacks them."""
        return libraries_under(self.root)


def _files_under(root: Path) -> RabbitMQFiles | None:
    servers = sorted(root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"))
    runtimes = sorted(root.glob("usr/lib/erlang/erts-*/bin/beam.smp"))
    if not servers or not runtimes:
        return None
    return RabbitMQFiles(root, servers[-1].parents[1], root / "usr/lib/erlang", runtimes[-1].parents[1])


#: All of Erlang is fetched with it, installed or not: RabbitMQ wants the version that it was packaged with.
RABBITMQ: Final = Packaged("RabbitMQ", "rabbitmq-server", _files_under, with_it=("erlang",))
