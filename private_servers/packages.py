"""Programs of Debian's packages: used where they are installed, or unpacked into the cache, once."""

import logging
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from private_servers.apt import Apt, AptError
from private_servers.errors import cannot_run
from private_servers.folders import cache_folder, locked

logger = logging.getLogger(__name__)

F = TypeVar("F")


@dataclass(frozen=True)
class Packaged(Generic[F]):
    """A server that Debian packages; `find` says what a root folder holds of it, or None."""

    name: str
    package: str
    find: Callable[[Path], F | None]
    #: How the names of packages begin that are fetched with it: none of the server's own is installed.
    with_it: tuple[str, ...] = ()

    def files(self) -> F:
        """Find its files, fetching them the first time; raises `PrivateServerError` where that cannot work.

        An installed server lends its files only: its service, its data and its settings are left alone.
        """
        installed = self.find(Path("/"))
        if installed:
            return installed
        release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
        version = f"{release.get('ID', 'unknown')}-{release.get('VERSION_ID', '0')}-{platform.machine()}"
        return self.fetched(cache_folder() / f"{self.name.lower()}-{version}")

    def fetched(self, root: Path) -> F:
        """Fetch into the folder unless that was done; of several at once one fetches, the others find it done."""
        with locked(root.with_name(f"{root.name}.lock")):
            files = self.find(root)
            if files is None:
                logger.info("Fetching %s from the distribution's packages into %s, once.", self.name, root)
                self._fetch(root)
                files = self.find(root)
        if files is None:
            raise cannot_run(self.name, "the distribution's packages do not hold it where Debian has it")
        return files

    def _fetch(self, root: Path) -> None:
        """Unpack beside the place and move there at the end, so that what is there is whole; the lock is ours."""
        partial = root.with_name(f"{root.name}.partial")
        for leftover in (partial, root):  # of a fetch that was killed, or a cleaner of old files.
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir()
        try:
            apt = Apt(partial / "apt")
            apt.update()
            installed = apt.installed()
            wanted = [name for name in apt.needed_by(self.package) if self._is_wanted(name, installed)]
            apt.unpack(wanted, partial / "root")
            (partial / "root").rename(root)
        except (AptError, OSError) as error:
            raise cannot_run(self.name, f"Debian's packages could not be had ({error})") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _is_wanted(self, package: str, installed: set[str]) -> bool:
        """The server always; of the rest only shared libraries that are missing."""
        if package == self.package or package.startswith(self.with_it):
            return True
        return package.startswith("lib") and package not in installed


def libraries_under(root: Path) -> list[Path]:
    """The folders of shared libraries that came along because the system lacks them."""
    return [] if root.resolve() == Path("/") else sorted(root.glob("usr/lib/*-linux-gnu*"))
