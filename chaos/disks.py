"""Small disks of our own that can be filled: tmpfs in a mount namespace, which is gone with its processes.

Root makes the namespace at once; anybody else inside a user namespace, if the system allows those. Where neither works,
there are no disks, and the cells that need one are shown as not run.
"""

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: The variable that tells the process inside where its disks are.
_VARIABLE: Final = "CHAOS_DISKS"
#: Megabytes of each disk. The spool holds what comes within seconds; Postgres begins with 50 and gets some 4000 rows
#: with their transcripts; S3 keeps the audio of the whole matrix, which is held against the truth again at the end.
SIZES: Final[Mapping[str, int]] = {"spool": 16, "postgres": 700, "s3": 2500}
#: Mounts a tmpfs for each NAME=SIZE until --, then becomes the rest of its arguments.
_MOUNTS: Final = """
set -e
while [ "$1" != -- ]; do
    mount -t tmpfs -o "size=${1#*=}m,mode=1777" tmpfs "$CHAOS_DISKS/${1%%=*}"
    shift
done
shift
exec "$@"
"""
#: Bytes of a disk that are written one page after another, and of such a page.
_MARGIN: Final = 4 * 1024 * 1024
_PAGE: Final = 4096


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk."""

    path: Path

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"

    def fill(self) -> None:
        """Leave not a byte free, until `free`."""
        with self._ballast.open("ab", buffering=0) as file:
            left = os.statvfs(self.path)
            if (most := left.f_bavail * left.f_frsize - _MARGIN) > 0:  # quick, while others may still write.
                os.posix_fallocate(file.fileno(), 0, most)
            for size in (_PAGE, 1):
                _write_until_full(file.fileno(), b"\0" * size)

    def free(self) -> None:
        """Give back what `fill` took. May be called again."""
        self._ballast.unlink(missing_ok=True)


def _write_until_full(file: int, piece: bytes) -> None:
    try:
        while os.write(file, piece):
            pass
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def disks_of(environment: Mapping[str, str]) -> dict[str, Disk]:
    """The disks that this process was given, by name; none where there can be none."""
    folder = environment.get(_VARIABLE)
    return {name: Disk(Path(folder, name)) for name in SIZES} if folder else {}


def with_disks(arguments: Sequence[str]) -> int:
    """Run `python -m chaos` with these arguments and disks of its own if the system allows that; its exit code."""
    with tempfile.TemporaryDirectory(prefix="ringvault-chaos-") as folder:
        Path(folder).chmod(0o711)  # Postgres runs as nobody when we are root.
        for name in SIZES:
            Path(folder, name).mkdir()
        environment = os.environ | {_VARIABLE: folder}
        sizes = [f"{name}={size}" for name, size in SIZES.items()]
        inside = [*_namespace(), "sh", "-c", _MOUNTS, "sh", *sizes, "--", *_back_to_our_user()]
        if subprocess.run([*inside, "true"], env=environment, capture_output=True, check=False).returncode != 0:
            inside, environment[_VARIABLE] = [], ""
        # Whoever ends us ends the process inside as well.
        tied = ["setpriv", "--pdeathsig", "TERM", "--", sys.executable, "-m", "chaos", *arguments]
        with subprocess.Popen([*inside, *tied], env=environment | {"CHAOS_INSIDE": "1"}) as process:
            while True:
                try:
                    return process.wait()
                except KeyboardInterrupt:  # it has been told as well, and tidies up.
                    continue


def _namespace() -> list[str]:
    return ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]


def _back_to_our_user() -> list[str]:
    """Postgres does not run as root, and inside a user namespace we look like root."""
    if os.geteuid() == 0:
        return []
    return ["unshare", "--user", f"--map-user={os.geteuid()}", f"--map-group={os.getegid()}"]
