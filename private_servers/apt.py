"""Debian packages without root: fetched from the system's sources under private apt state, unpacked, not installed."""

import logging
import re
import shutil
import subprocess
from pathlib import Path

logger = logging.getLogger(__name__)

TOOLS = ("apt-get", "apt-cache", "dpkg", "dpkg-query")

#: Names as apt prints them for packages that exist; virtual ones stand in angle brackets.
PACKAGE = re.compile(r"^[a-z0-9][a-z0-9.+-]+$", re.MULTILINE)

#: What apt would follow besides dependencies.
OTHER_RELATIONS = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")

#: Only lists and downloads are private: sources, keys, proxies and pins are the system's. Hooks after an update
#: belong to the system's own updates and may need root.
CONFIG = """\
Dir::State "{state}";
Dir::State::lists "{state}/lists";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "{state}/cache";
Dir::Log "{state}";
APT::Sandbox::User "";
Acquire::Languages "none";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


class AptError(Exception):
    """apt could not deliver; the text is its own last line."""


class Apt:
    """apt with all that it writes in one folder."""

    def __init__(self, state: Path) -> None:
        missing = [tool for tool in TOOLS if not shutil.which(tool)]
        if missing:
            raise AptError(f"{', '.join(missing)} not found")
        self._state = state
        for folder in ("lists/partial", "cache/archives/partial", "packages"):
            (state / folder).mkdir(parents=True)
        self._config = state / "apt.conf"
        self._config.write_text(CONFIG.format(state=state))

    def update(self) -> None:
        """Read the package lists anew; a source that cannot be reached is no reason to give up on the others."""
        try:
            self._run("apt-get", "update", "-qq")
        except AptError as error:
            logger.debug("apt-get update: %s", error)

    def needed_by(self, package: str) -> list[str]:
        """The package and all that it depends on, by name."""
        only_depends = [f"--no-{kind}" for kind in OTHER_RELATIONS]
        return sorted(set(PACKAGE.findall(self._run("apt-cache", "depends", "--recurse", *only_depends, package))))

    def installed(self) -> set[str]:
        lines = self._run("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n").splitlines()
        return {line.removeprefix("installed ") for line in lines if line.startswith("installed ")}

    def unpack(self, packages: list[str], root: Path) -> None:
        """Download the packages and unpack them under the root."""
        root.mkdir()
        self._run("apt-get", "download", "-qq", *packages)
        for package in sorted((self._state / "packages").glob("*.deb")):
            self._run("dpkg", "-x", str(package), str(root))

    def _run(self, tool: str, *arguments: str) -> str:
        config = ["-c", str(self._config)] if tool.startswith("apt") else []
        done = subprocess.run(
            [tool, *config, *arguments], cwd=self._state / "packages", capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise AptError((done.stderr.strip().splitlines() or [f"{tool} failed"])[-1])
        return done.stdout
