"""Reports are refused before a run where they could not be written after it."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from harness.cli import request
from harness.errors import UsageError


def refused(**given: str) -> str:
    """What is said of report options."""
    with pytest.raises(UsageError) as error:
        request.check_reports(argparse.Namespace(**given))
    return str(error.value)


@pytest.mark.parametrize("option", ["json", "junit", "markdown", "html", "trace"])
def test_a_folder_that_is_not_there_is_told_with_the_option(option: str, tmp_path: Path) -> None:
    """Of each report, whichever options the command has."""
    found = refused(**{option: str(tmp_path / "missing" / "report")})
    assert found.startswith(f"--{option}: expected a file that can be written, found {tmp_path}")


def test_a_folder_is_no_report(tmp_path: Path) -> None:
    """The usual slip: the folder for the report, without its name."""
    assert "expected a file that can be written" in refused(html=str(tmp_path))


def test_two_reports_need_two_files(tmp_path: Path) -> None:
    """Also where one file has two spellings."""
    same = {"json": str(tmp_path / "report"), "html": f"{tmp_path}/./report"}
    assert refused(**same).startswith("--html: expected another file than --json's, found")


def test_only_json_goes_to_standard_output() -> None:
    """A page or JUnit there would be mixed with text for people."""
    assert "found -" in refused(html="-")
    request.check_reports(argparse.Namespace(json="-"))


def test_a_report_that_can_be_written_is_not_touched(tmp_path: Path) -> None:
    """It is written after the run, which may fail."""
    request.check_reports(argparse.Namespace(json=None, html=str(tmp_path / "report.html")))
    assert not list(tmp_path.iterdir())
