"""The summary of a step of GitHub Actions."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.report import step_summary


@pytest.fixture
def summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the variable names."""
    path = tmp_path / "summary.md"
    monkeypatch.setenv(step_summary.VARIABLE, str(path))
    return path


def test_it_is_appended_to(summary: Path) -> None:
    """Steps have more than one command."""
    step_summary.add("one\n")
    step_summary.add("two ä\n")
    assert summary.read_text(encoding="utf-8") == "one\ntwo ä\n"


@pytest.mark.parametrize("value", [None, ""])
def test_outside_of_a_step_nothing_is_written(
    value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is a file of no name."""
    monkeypatch.chdir(tmp_path)
    if value is None:
        monkeypatch.delenv(step_summary.VARIABLE, raising=False)
    else:
        monkeypatch.setenv(step_summary.VARIABLE, value)
    step_summary.add("one\n")
    assert step_summary.wanted() is None
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_said(summary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A summary decides nothing."""
    summary.mkdir()
    step_summary.add("one\n")
    error = capsys.readouterr().err
    assert error.startswith("harness: GITHUB_STEP_SUMMARY: Is a directory at ")
