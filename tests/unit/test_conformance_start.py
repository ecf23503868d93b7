"""Without what it needs, `python -m conformance` says so in one sentence and fails: nothing is skipped in silence."""

from pathlib import Path

import pytest

from conformance.__main__ import main


def test_without_the_specification_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RINGCENTRAL_OPENAPI", "/nowhere/openapi.yml")
    assert main() == 2
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "RINGCENTRAL_OPENAPI" in said


def test_without_its_packages_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "openapi.yml"
    file.write_text("openapi: 3.0.3\npaths: {}\n")
    monkeypatch.setenv("RINGCENTRAL_OPENAPI", str(file))
    monkeypatch.setattr("conformance.__main__.find_spec", lambda _name: None)
    assert main() == 2
    assert "make conformance" in capsys.readouterr().out


def test_a_file_that_is_no_specification_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "openapi.yml"
    file.write_text("swagger: '2.0'\n")
    monkeypatch.setenv("RINGCENTRAL_OPENAPI", str(file))
    assert main() == 2
    assert "OpenAPI 3.0" in capsys.readouterr().out
