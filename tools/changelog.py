"""What CHANGELOG.md says of releases, and the code of one, out of the repository's own history."""

import io
import re
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent

#: `## Unreleased`, or `## [0.1.0] - 2026-11-25`; whatever else is a heading of this kind is a fault.
_HEADING: Final = re.compile(r"^## (?P<title>.*)$", re.MULTILINE)
_RELEASED: Final = re.compile(r"\[(?P<version>[0-9]+\.[0-9]+\.[0-9]+)\] - (?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})")
_COMMIT: Final = re.compile(r"^Commit: (?P<commit>[0-9a-f]{40})$", re.MULTILINE)


class ReleaseError(Exception):
    """The text is one sentence that says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Release:
    """A released version; its commit is written down with the next change, as none can name itself."""

    version: str
    date: str
    commit: str | None


@dataclass(frozen=True, slots=True)
class Changelog:
    """The number of changes that are not released, and the releases, the newest first."""

    unreleased: int
    releases: list[Release]

    @property
    def previous(self) -> Release:
        """The newest release that names its commit; raises `ReleaseError` when there is none."""
        for release in self.releases:
            if release.commit:
                return release
        raise ReleaseError("CHANGELOG.md names no release with its commit: write `Commit: <40 hex digits>` below one.")


def read_changelog(text: str) -> Changelog:
    """Raises `ReleaseError` for a heading that is neither `## Unreleased` nor a version with its date."""
    headings = [*_HEADING.finditer(text)]
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    unreleased, releases = 0, []
    for heading, end in zip(headings, ends, strict=True):
        title, body = heading["title"], text[heading.end() : end]
        released, commit = _RELEASED.fullmatch(title), _COMMIT.search(body)
        if released:
            releases.append(Release(released["version"], released["date"], commit["commit"] if commit else None))
        elif title == "Unreleased" and not releases:
            unreleased += len(re.findall(r"^- ", body, re.MULTILINE))
        else:
            raise ReleaseError(f"CHANGELOG.md: write `## [1.2.3] - 2026-01-31` instead of `## {title}`.")
    return Changelog(unreleased, releases)


def in_history(release: Release, repository: Path = ROOT) -> str:
    """The release's commit; raises `ReleaseError` when the present one does not descend from it."""
    commit = release.commit or ""
    try:
        done = _git(repository, "merge-base", "--is-ancestor", commit, "HEAD")
    except FileNotFoundError:
        raise ReleaseError("git is not installed: the code of the previous release is in the history.") from None
    if done.returncode != 0:
        raise ReleaseError(
            f"commit {commit[:12]} of release {release.version}, which CHANGELOG.md names, is not in the history here: "
            "clone the repository whole (`git fetch --unshallow`)."
        )
    return commit


def unpack(release: Release, folder: Path, repository: Path = ROOT) -> None:
    """Write the files of a release into a folder; raises `ReleaseError` as above."""
    archive = _git(repository, "archive", in_history(release, repository))
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")


def file_of(release: Release, path: str, repository: Path = ROOT) -> str:
    """A file as the release had it; raises `ReleaseError` as above."""
    return _git(repository, "show", f"{in_history(release, repository)}:{path}").stdout.decode()


def _git(repository: Path, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["git", "-C", repository, *arguments], capture_output=True, check=False)
