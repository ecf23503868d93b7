"""The release check finds each fault that is planted, in a small repository of the test's own."""

import subprocess
from collections.abc import Callable
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from tools.changelog import ROOT, ReleaseError, read_changelog, unpack
from tools.release_check import (
    Faults,
    NotChecked,
    check_changelog,
    check_image,
    check_locks,
    check_sbom,
    check_tree,
    check_version,
    differing,
    run,
    unneeded,
    unsatisfied,
)

UNRELEASED = "# Changelog\n\n## Unreleased\n\n- Something.\n"
RELEASED = "\n## [0.1.0] - 2026-01-31\n\nCommit: {commit}\n\n- The begin.\n"


class Repository:
    """A project of version 0.2.0, one commit after 0.1.0."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet")
        self.version("0.1.0")
        self.released = self.commit()
        self.version("0.2.0")
        self.changelog(UNRELEASED + RELEASED)
        self.commit()

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.com")
        command = ["git", "-C", str(self.folder), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "Change something")
        return self.git("rev-parse", "HEAD")

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)

    def version(self, version: str) -> None:
        self.write("pyproject.toml", f'[project]\nname = "thing"\nversion = "{version}"\n')
        self.write("Dockerfile", f"ARG VERSION={version}\n")
        self.write("deploy/kubernetes/overlays/local/kustomization.yaml", f"newTag: {version} # thing:1\n")
        self.write("deploy/kubernetes/overlays/production/kustomization.yaml", f"newTag: {version}\n")
        self.write("docs/kubernetes.md", f"docker build --tag ringvault:{version} .\n")

    def changelog(self, text: str) -> None:
        self.write("CHANGELOG.md", text.replace("{commit}", self.released))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def faults_of(check: Callable[[Path], str], repository: Repository) -> list[str]:
    with pytest.raises(Faults) as found:
        check(repository.folder)
    return list(found.value.sentences)


def test_a_sound_commit_has_no_fault(repository: Repository) -> None:
    for check in (check_version, check_changelog, check_tree):
        assert check(repository.folder)


@pytest.mark.parametrize(
    ("path", "text", "fault"),
    [
        ("Dockerfile", "ARG VERSION=0.1.0\n", "Dockerfile says 0.1.0, pyproject.toml 0.2.0."),
        ("docs/kubernetes.md", "nothing\n", "docs/kubernetes.md says no version, pyproject.toml 0.2.0."),
    ],
)
def test_another_version_elsewhere_is_a_fault(repository: Repository, path: str, text: str, fault: str) -> None:
    repository.write(path, text)

    assert faults_of(check_version, repository) == [fault]


@pytest.mark.parametrize(
    ("changelog", "fault"),
    [
        ("# Changelog\n\n## Unreleased\n" + RELEASED, "tells nothing of 0.2.0"),
        (UNRELEASED + RELEASED.replace("{commit}", "0" * 40), "commit 000000000000 of release 0.1.0, which"),
        (UNRELEASED + RELEASED.replace("Commit: {commit}\n", ""), "release 0.1.0 names no commit"),
        (UNRELEASED + RELEASED.replace("0.1.0", "0.1.1"), "release 0.1.1 has version 0.1.0 in its pyproject.toml"),
        (UNRELEASED + RELEASED.replace("0.1.0", "0.3.0"), "0.2.0 is not higher than 0.3.0"),
        (UNRELEASED + "\n## [0.2.0] - 2026-02-01\n" + RELEASED, "0.2.0 was released already: raise the version"),
        (UNRELEASED + RELEASED.replace(" - 2026-01-31", ""), "instead of `## [0.1.0]`"),
    ],
)
def test_a_changelog_that_does_not_fit_is_a_fault(repository: Repository, changelog: str, fault: str) -> None:
    repository.changelog(changelog)

    assert any(fault in one for one in faults_of(check_changelog, repository))


def test_the_commit_of_the_release_itself_cannot_be_named_in_it(repository: Repository) -> None:
    repository.changelog("# Changelog\n\n## [0.2.0] - 2026-02-01\n\n- Something.\n" + RELEASED)

    assert check_changelog(repository.folder) == "dated"


def test_a_clone_without_its_history_is_told_to_get_it(repository: Repository, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.folder}", str(shallow))
    previous = read_changelog((shallow / "CHANGELOG.md").read_text()).previous

    with pytest.raises(ReleaseError, match=r"^commit .* of release 0\.1\.0, .* clone the repository whole"):
        unpack(previous, tmp_path / "old", shallow)

    unpack(previous, tmp_path / "old", repository.folder)
    assert 'version = "0.1.0"' in (tmp_path / "old/pyproject.toml").read_text()


def test_a_folder_that_is_no_repository_is_told_so_too(
    repository: Repository, tmp_path_factory: pytest.TempPathFactory
) -> None:
    previous = read_changelog((repository.folder / "CHANGELOG.md").read_text()).previous
    exported = tmp_path_factory.mktemp("exported")

    with pytest.raises(ReleaseError, match="is not in the history here"):
        unpack(previous, exported / "old", exported)


def test_what_is_not_committed_is_a_fault(repository: Repository) -> None:
    repository.write("Dockerfile", "FROM elsewhere\n")
    repository.write("new.txt", "")

    assert faults_of(check_tree, repository) == ["Dockerfile is not committed.", "new.txt is not committed."]


def requirements(*texts: str) -> list[Requirement]:
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize(
    ("locked", "faults"),
    [
        (["thing==1.5"], []),
        (["Thing==1.5; sys_platform == 'win32'"], []),
        (["thing==2.0"], ["thing<2,>=1 is demanded, 2.0 pinned"]),
        (["other==1.5"], ["thing<2,>=1 is demanded, and not pinned"]),
    ],
)
def test_a_lock_that_lacks_what_is_demanded_is_told(locked: list[str], faults: list[str]) -> None:
    assert list(unsatisfied(requirements("thing>=1,<2"), requirements(*locked))) == faults


@pytest.fixture
def installed(tmp_path: Path) -> dict[NormalizedName, Distribution]:
    """`thing` needs `part`, `extra` with its extra, and on Windows `other`."""
    found: dict[NormalizedName, Distribution] = {}
    needs = ["part>=1", 'extra; extra == "more"', 'other; sys_platform == "win32"']
    for name, lines in {"thing": needs, "part": [], "extra": ["part"], "stale": []}.items():
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        head = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", "Provides-Extra: more"]
        info.joinpath("METADATA").write_text("\n".join([*head, *(f"Requires-Dist: {one}" for one in lines)]) + "\n")
        found[canonicalize_name(name)] = PathDistribution(info)
    return found


@pytest.mark.parametrize(
    ("root", "locked", "faults"),
    [
        ("thing", ["thing==1.0", "part==1.0"], []),
        ("thing[more]", ["thing==1.0", "part==1.0", "extra==1.0", "other==1; sys_platform == 'win32'"], []),
        ("thing[more]", ["thing==1.0", "part==1.0"], ["extra is needed, and not pinned"]),
        ("thing", ["thing==1.0", "part==1.0", "stale==1.0"], ["stale is pinned, and nothing needs it"]),
    ],
)
def test_a_lock_that_holds_other_things_than_are_needed_is_told(
    installed: dict[NormalizedName, Distribution], root: str, locked: list[str], faults: list[str]
) -> None:
    assert list(unneeded(requirements(root), requirements(*locked), installed)) == faults


def test_our_own_locks_agree_with_pyproject() -> None:
    assert check_locks(ROOT)


def test_an_sbom_that_is_not_the_lock_is_told() -> None:
    locked = requirements("thing==1.0", "Part_one==2; python_version >= '3.13'", "other==3; sys_platform == 'win32'")
    thing = {"name": "thing", "version": "1.0"}

    assert list(differing([thing, {"name": "part-one", "version": "2"}], locked, "3.13")) == []
    assert list(differing([thing, {"name": "pip", "version": "26"}], locked, "3.13")) == [
        "part-one 2 is pinned, and not in the SBOM.",
        "pip 26 is in the SBOM, and not pinned.",
    ]


@pytest.mark.parametrize("check", [check_image, check_sbom])
def test_without_docker_nothing_is_said_to_be_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, check: Callable[[Path], str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NotChecked, match="there is no docker command"):
        check(tmp_path)


@pytest.mark.parametrize(("allow_unchecked", "good"), [(False, False), (True, True)])
def test_what_was_not_checked_fails_unless_it_is_allowed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, allow_unchecked: bool, good: bool
) -> None:
    def cannot(_root: Path) -> str:
        raise NotChecked("no Docker engine answers")

    checks = {"version": lambda _root: "0.2.0", "image": cannot}

    assert run(tmp_path, checks, allow_unchecked=allow_unchecked) is good
    assert capsys.readouterr().out.splitlines() == [
        "version    ok           0.2.0",
        "image      NOT CHECKED  no Docker engine answers",
        f"release-check: {'passed' if good else 'FAILED'}, image not checked",
    ]


def test_each_fault_is_a_line_and_fails_whatever_is_allowed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def wrong(_root: Path) -> str:
        raise Faults("One thing.", "Another.")

    assert not run(tmp_path, {"version": wrong}, allow_unchecked=True)
    assert capsys.readouterr().out.splitlines() == [
        "version    FAILED",
        "           One thing.",
        "           Another.",
        "release-check: FAILED",
    ]
