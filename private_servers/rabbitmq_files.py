"""RabbitMQ's and Erlang's files: the installed ones in place, or Debian's packages unpacked into the cache."""

import logging
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from private_servers.apt import Apt, AptError
from private_servers.errors import cannot_run
from private_servers.folders import cache_folder, locked

logger = logging.getLogger(__name__)


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
        return [] if self.root.resolve() == Path("/") else sorted(self.root.glob("usr/lib/*-linux-gnu*"))


def rabbitmq_files() -> RabbitMQFiles:
    """Find them, fetching about 33 MB the first time; raises `PrivateServerError` where that cannot work.

    An installed RabbitMQ lends its files only: its service, its data and its settings are left alone.
    """
    installed = _files_under(Path("/"))
    if installed:
        return installed
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    version = f"{release.get('ID', 'unknown')}-{release.get('VERSION_ID', '0')}-{platform.machine()}"
    return fetched_files(cache_folder() / f"rabbitmq-{version}")


def fetched_files(root: Path) -> RabbitMQFiles:
    """Fetch into the folder unless that was done; of several at once one fetches, the others wait and find it done."""
    with locked(root.with_name(f"{root.name}.lock")):
        files = _files_under(root)
        if files is None:
            logger.info("Fetching RabbitMQ from the distribution's packages into %s, once.", root)
            _fetch(root)
            files = _files_under(root)
    if files is None:
        raise cannot_run("RabbitMQ", "the distribution's packages do not hold it where Debian has it")
    return files


def _files_under(root: Path) -> RabbitMQFiles | None:
    servers = sorted(root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"))
    runtimes = sorted(root.glob("usr/lib/erlang/erts-*/bin/beam.smp"))
    if not servers or not runtimes:
        return None
    return RabbitMQFiles(root, servers[-1].parents[1], root / "usr/lib/erlang", runtimes[-1].parents[1])


def _fetch(root: Path) -> None:
    """Unpack beside the place and move there at the end, so that what is there is whole; the lock is ours."""
    partial = root.with_name(f"{root.name}.partial")
    for leftover in (partial, root):  # of a fetch that was killed, or a cleaner of old files.
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir()
    try:
        apt = Apt(partial / "apt")
        apt.update()
        installed = apt.installed()
        apt.unpack([name for name in apt.needed_by("rabbitmq-server") if _is_wanted(name, installed)], partial / "root")
        (partial / "root").rename(root)
    except (AptError, OSError) as error:
        raise cannot_run("RabbitMQ", f"Debian's packages could not be had ({error})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _is_wanted(package: str, installed: set[str]) -> bool:
    """Erlang and RabbitMQ always, since none is installed; of the rest only shared libraries that are missing."""
    if package.startswith("erlang") or package == "rabbitmq-server":
        return True
    return package.startswith("lib") and package not in installed
