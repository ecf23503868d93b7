"""The audit finds what it looks for."""

import base64
import hashlib
import json
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

from tools.audit import INSTALLED, changed_files, differences, is_allowed, known_of, licence_of, read_lock

HASH = "--hash=sha256:" + "0" * 64


def lock(folder: Path, text: str) -> Path:
    file = folder / "lock.txt"
    file.write_text(text)
    return file


def installed(folder: Path, *metadata: str, code: str = "pass\n") -> Distribution:
    """A package `thing` 1.0 as pip leaves it."""
    info = folder / "thing-1.0.dist-info"
    info.mkdir()
    digest = base64.urlsafe_b64encode(hashlib.sha256(code.encode()).digest()).rstrip(b"=").decode()
    (folder / "thing.py").write_text(code)
    (info / "RECORD").write_text(f"thing.py,sha256={digest},{len(code)}\nthing-1.0.dist-info/RECORD,,\n")
    (info / "METADATA").write_text(
        "\n".join(["Metadata-Version: 2.1", "Name: thing", "Version: 1.0", *metadata]) + "\n"
    )
    return PathDistribution(info)


def test_our_own_lock_is_pinned_and_hashed_throughout() -> None:
    found, faults = read_lock(INSTALLED)
    assert faults == []
    assert len(found) > 50


@pytest.mark.parametrize("line", ["thing==1.0", f"thing>=1.0 {HASH}", "--index-url=somewhere", f"thing @ file {HASH}"])
def test_what_is_not_pinned_and_hashed_is_told(tmp_path: Path, line: str) -> None:
    found, faults = read_lock(lock(tmp_path, f"other==2 ; python_full_version < '3' \\\n    {HASH}\n{line}\n"))
    assert [str(one) for one in found] == ['other==2; python_full_version < "3"']
    assert len(faults) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"thing==1.0 {HASH}\n", []),
        (f"thing==1.1 {HASH}\n", ["thing 1.0 is installed, the lock has thing==1.1"]),
        (f"thing==1.0 {HASH}\nother==2 {HASH}\n", ["other==2 is not installed"]),
        (f"thing==1.0 {HASH}\nother==2 ; sys_platform == 'none' {HASH}\n", []),
        ("", ["thing is installed, but in no lock"]),
    ],
)
def test_what_is_installed_otherwise_than_locked_is_told(tmp_path: Path, text: str, told: list[str]) -> None:
    locked, _ = read_lock(lock(tmp_path, text))
    assert list(differences(locked, [installed(tmp_path)])) == told


def test_a_file_that_was_changed_and_one_that_is_gone_are_told(tmp_path: Path) -> None:
    thing = installed(tmp_path)
    assert list(changed_files(thing)) == []
    (tmp_path / "thing.py").write_text("import evil\n")
    assert list(changed_files(thing)) == ["thing.py of thing was changed after it was installed"]
    (tmp_path / "thing.py").unlink()
    assert list(changed_files(thing)) == ["thing.py of thing is gone"]


@pytest.mark.parametrize(
    ("metadata", "licence", "allowed"),
    [
        (["License-Expression: MIT OR GPL-3.0-only"], "MIT OR GPL-3.0-only", True),
        (["License-Expression: MIT AND GPL-3.0-only"], "MIT AND GPL-3.0-only", False),
        (["Classifier: License :: OSI Approved :: BSD License", "License: Dual License"], "BSD", True),
        (["License: Apache License 2.0"], "Apache-2.0", True),
        (["Classifier: License :: OSI Approved"], "unknown", False),
        ([], "unknown", False),
    ],
)
def test_licences_are_read_and_judged(tmp_path: Path, metadata: list[str], licence: str, *, allowed: bool) -> None:
    assert licence_of(installed(tmp_path, *metadata)) == licence
    assert is_allowed(licence) is allowed


def test_what_is_known_is_told_and_no_report_is_no_good_news() -> None:
    packages = [
        {"name": "fine", "version": "1", "vulns": []},
        {"name": "thing", "version": "1.0", "vulns": [{"id": "X-1", "fix_versions": ["1.1"], "aliases": []}]},
        {"name": "odd", "skip_reason": "not found"},
    ]
    assert known_of(json.dumps({"dependencies": packages})) == [
        "thing 1.0: X-1, mended in 1.1",
        "odd was not looked up: not found",
    ]
    with pytest.raises(ValueError, match="Expecting value"):
        known_of("")
