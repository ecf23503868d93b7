"""`make release-check`: whether the commit that is checked out can be released; a sentence for each fault.

| checked | what holds |
|---|---|
| version | pyproject.toml, Dockerfile and the manifests tell one version |
| changelog | it is higher than what was released, and each release before names its commit, which has that version |
| tree | nothing is left uncommitted, or those who build from the commit get something else |
| locks | they hold what pyproject.toml demands, in versions that it allows, and nothing that nobody needs |
| audit | `make audit`, known vulnerabilities included |
| image | `tools/image-check`: labels, size, user, signals, two equal builds |
| sbom | `make sbom` lists just what requirements/run.txt pins for the image |

What cannot be checked here (no Docker, no network) is told, and is a fault as well unless ALLOW_UNCHECKED=1.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from tools.audit import read_lock
from tools.changelog import ROOT, ReleaseError, file_of, in_history, read_changelog

#: Where else than in pyproject.toml the version stands.
_PLACES: Final = {
    "Dockerfile": r"^ARG VERSION=(\S+)",
    "deploy/kubernetes/overlays/local/kustomization.yaml": r"(?:newTag: |ringvault:)([0-9]\S*)",
    "deploy/kubernetes/overlays/production/kustomization.yaml": r"newTag: (\S+)",
    "docs/kubernetes.md": r"ringvault:([0-9]\S*)",
}
#: The lock of each group of pyproject.toml; `run` is of the project itself, which `dev` holds too.
_LOCKS: Final = ("run", "dev", "audit", "conformance", "kubernetes", "openapi", "sbom")
#: Last lines of a command that failed.
_SHOWN: Final = 5
#: Letters of a line of another program that are shown: enough for the cause.
_WIDTH: Final = 120


class Faults(Exception):
    """Sentences, each about one fault."""

    def __init__(self, *sentences: str) -> None:
        super().__init__(*sentences)
        self.sentences = sentences


class NotChecked(Exception):
    """It cannot be checked on this machine; the text says why."""


def check_version(root: Path) -> str:
    version = project_of(root)["version"]
    faults = []
    for place, pattern in _PLACES.items():
        found = {*re.findall(pattern, (root / place).read_text(), re.MULTILINE)}
        if found != {version}:
            faults.append(f"{place} says {', '.join(sorted(found)) or 'no version'}, pyproject.toml {version}.")
    _raise(faults)
    return f"{version} in pyproject.toml and {len(_PLACES)} other files"


def check_changelog(root: Path) -> str:
    try:
        changelog = read_changelog((root / "CHANGELOG.md").read_text())
    except ReleaseError as fault:
        raise Faults(str(fault)) from None
    version = project_of(root)["version"]
    is_dated = bool(changelog.releases) and changelog.releases[0].version == version
    before = changelog.releases[1:] if is_dated else changelog.releases
    faults = [f"release {one.version} names no commit: write `Commit: …` below it." for one in before if not one.commit]
    for release in (one for one in changelog.releases if one.commit):
        try:
            in_history(release, root)
            was = tomllib.loads(file_of(release, "pyproject.toml", root))["project"]["version"]
        except ReleaseError as fault:
            faults.append(str(fault))
            continue
        if was != release.version:
            faults.append(f"the commit of release {release.version} has version {was} in its pyproject.toml.")
    if is_dated and (changelog.unreleased or changelog.releases[0].commit):
        faults.append(f"{version} was released already: raise the version in pyproject.toml for what is unreleased.")
    if not is_dated and not changelog.unreleased:
        faults.append(f"CHANGELOG.md tells nothing of {version}: what has changed?")
    if before and Version(version) <= Version(before[0].version):
        faults.append(f"version {version} is not higher than {before[0].version}, which was released.")
    _raise(faults)
    return "dated" if is_dated else f"{changelog.unreleased} changes; when all else is well, name them and date them"


def check_tree(root: Path) -> str:
    left = _run(root, "git", "status", "--porcelain").splitlines()
    _raise([f"{line[3:]} is not committed." for line in left])
    return f"all is in commit {_run(root, 'git', 'rev-parse', '--short=12', 'HEAD').strip()}"


def check_locks(root: Path) -> str:
    project, groups = project_of(root), tomllib.loads((root / "pyproject.toml").read_text())["dependency-groups"]
    installed = {canonicalize_name(one.metadata["Name"]): one for one in distributions()}
    faults: list[str] = []
    for name in _LOCKS:
        texts = [*(project["dependencies"] if name in {"run", "dev"} else []), *groups.get(name, [])]
        roots, (locked, _) = [Requirement(text) for text in texts], read_lock(root / f"requirements/{name}.txt")
        faults += [f"{name}.txt: {fault}" for fault in unsatisfied(roots, locked)]
        if name in {"run", "dev"}:  # the others are not installed here, so that nobody can say what they need.
            faults += [f"{name}.txt: {fault}" for fault in unneeded(roots, locked, installed)]
    _raise([f"{fault}: run `make lock`." for fault in faults])
    return f"{len(_LOCKS)} locks hold what pyproject.toml demands, run.txt and dev.txt just that"


def unsatisfied(roots: list[Requirement], locked: list[Requirement]) -> Iterator[str]:
    """What is demanded and not pinned in a version that will do."""
    pins = {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in locked}
    for one in roots:
        pin = pins.get(canonicalize_name(one.name))
        if pin is None or not one.specifier.contains(pin, prereleases=True):
            yield f"{one} is demanded, {f'{pin} pinned' if pin else 'and not pinned'}"


def unneeded(
    roots: list[Requirement], locked: list[Requirement], installed: Mapping[NormalizedName, Distribution]
) -> Iterator[str]:
    """What is needed and not pinned, and what is pinned and not needed, by what the installed packages say of each."""
    extras: dict[NormalizedName, set[str]] = {}
    todo = list(roots)
    while todo:
        one = todo.pop()
        name = canonicalize_name(one.name)
        if name in extras and one.extras <= extras[name]:
            continue
        extras.setdefault(name, {""}).update(one.extras)
        needs = [Requirement(text) for text in (installed[name].requires or [] if name in installed else [])]
        todo += [
            need
            for need in needs
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras[name])
        ]
    pinned = {canonicalize_name(one.name) for one in locked if one.marker is None or one.marker.evaluate()}
    yield from (f"{name} is needed, and not pinned" for name in sorted(extras.keys() - pinned))
    yield from (f"{name} is pinned, and nothing needs it" for name in sorted(pinned - extras.keys()))


def check_audit(root: Path) -> str:
    told = _run(root, "make", "--no-print-directory", "audit")
    for line in told.splitlines():
        if "NOT CHECKED" in line:
            raise NotChecked(line[:_WIDTH])
    return "locks, files, licences, vulnerabilities"


def check_image(root: Path) -> str:
    _demand_docker()
    return _run(root, "tools/image-check").splitlines()[0]


def check_sbom(root: Path) -> str:
    _demand_docker()
    _run(root, "make", "--no-print-directory", "sbom")
    components = json.loads((root / "dist/sbom.json").read_text())["components"]
    python = re.search(r"^ARG BASE=python:([0-9.]+)", (root / "Dockerfile").read_text(), re.MULTILINE)
    locked, _ = read_lock(root / "requirements/run.txt")
    _raise([*differing(components, locked, python[1] if python else "3.13")])
    return f"{len(components)} packages in dist/sbom.json, just as run.txt pins them"


def differing(components: list[dict[str, Any]], locked: list[Requirement], python: str) -> Iterator[str]:
    """Where a list of what is installed is not that of the lock, on Linux with such a Python."""
    there = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    pins = {
        (canonicalize_name(one.name), str(one.specifier).removeprefix("=="))
        for one in locked
        if one.marker is None or one.marker.evaluate(there)
    }
    listed = {(canonicalize_name(one["name"]), one["version"]) for one in components}
    yield from (f"{name} {version} is pinned, and not in the SBOM." for name, version in sorted(pins - listed))
    yield from (f"{name} {version} is in the SBOM, and not pinned." for name, version in sorted(listed - pins))


def project_of(root: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return project


def _raise(faults: list[str]) -> None:
    if faults:
        raise Faults(*faults)


def _demand_docker() -> None:
    if shutil.which("docker") is None:
        raise NotChecked("there is no docker command")
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0:
        raise NotChecked("no Docker engine answers")


def _run(root: Path, *command: str) -> str:
    """What a command prints; raises `Faults` with its last words."""
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = " / ".join((done.stdout + done.stderr).strip().splitlines()[-_SHOWN:])
        raise Faults(f"`{' '.join(command)}` failed: {last}")
    return done.stdout


CHECKS: Final[dict[str, Callable[[Path], str]]] = {
    "version": check_version,
    "changelog": check_changelog,
    "tree": check_tree,
    "locks": check_locks,
    "audit": check_audit,
    "image": check_image,
    "sbom": check_sbom,
}


def run(root: Path, checks: Mapping[str, Callable[[Path], str]], *, allow_unchecked: bool) -> bool:
    """Print a line for each check, with its faults, and the verdict; whether this can be released."""
    good, unchecked = True, []
    for name, check in checks.items():
        try:
            print(f"{name:<10} ok           {check(root)}", flush=True)
        except NotChecked as why:
            unchecked.append(name)
            print(f"{name:<10} NOT CHECKED  {why}", flush=True)
        except Faults as faults:
            good = False
            print(f"{name:<10} FAILED", flush=True)
            for sentence in faults.sentences:
                print(f"           {sentence}", flush=True)
    good = good and (allow_unchecked or not unchecked)
    print(f"release-check: {'passed' if good else 'FAILED'}{''.join(f', {name} not checked' for name in unchecked)}")
    return good


def main() -> int:
    """Run all checks; 0 when all is well."""
    return 0 if run(ROOT, CHECKS, allow_unchecked=os.environ.get("ALLOW_UNCHECKED") == "1") else 1


if __name__ == "__main__":
    sys.exit(main())
