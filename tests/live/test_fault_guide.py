"""The guide "Adding a fault" of harness/faults/README.md, followed to the letter in a copy of the
package.

It writes one new file into the package, and nothing else.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.venue.kernel import Kernel
from tests.live.command import CHECKOUT, PATIENCE_S, Ended, environment

pytestmark = [pytest.mark.live, pytest.mark.virtual]

GUIDE = (CHECKOUT / "harness/faults/README.md").read_text()
Harness = Callable[[str], Ended]


def blocks(language: str) -> list[str]:
    """The guide's code in a language, in order."""
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", GUIDE)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, where the guide's files go."""
    shutil.copytree(
        CHECKOUT / "harness", tmp_path / "harness", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "scenarios").symlink_to(CHECKOUT / "scenarios")
    return tmp_path


@pytest.fixture
def harness(package: Path) -> Harness:
    """Run a command line of the guide with the copy."""

    def run(line: str) -> Ended:
        name, *arguments = line.split()
        assert name == "harness"
        ended = subprocess.run(
            [sys.executable, "-m", "harness", *arguments],
            cwd=package,
            env={**environment(package / "state"), "PYTHONPATH": str(package), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return run


def test_a_new_fault_is_one_new_file(package: Path, harness: Harness, kernel: Kernel) -> None:
    """It is listed, planned and run: inconclusive while it does nothing, proven once it acts."""
    del kernel
    nothing, acts = blocks("python")
    (scenario,) = blocks("toml")
    listed, planned, run = blocks("console")[0].splitlines()
    (file,) = re.findall(r"(?m)^Write `(\S+)`:$", GUIDE)
    (package / "tcp-drop.scenario.toml").write_text(scenario)

    (package / file).write_text(nothing)
    assert "tcp-drop" not in (CHECKOUT / file).parent.joinpath("__init__.py").read_text()
    assert re.search(r"(?m)^tcp-drop +a filter on a host discards", harness(listed).out)
    assert "prediction  nothing detected" in harness(planned).out
    ended = harness(f"{run} --json result.json")
    assert (ended.status, result(package)["cause"]) == (3, "fault-left-no-evidence"), ended

    (package / file).write_text(acts)
    ended = harness(f"{run} --json result.json")
    assert (ended.status, result(package)["errno"]) == (0, "ETIMEDOUT"), ended


def result(package: Path) -> dict[str, Any]:
    """Of the one scenario that was run."""
    (found,) = json.loads((package / "result.json").read_text())["scenarios"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("check", [["check"], ["format", "--check"]], ids=["lint", "format"])
def test_its_code_passes_this_projects_checks(check: list[str]) -> None:
    """Whoever copies it need not correct it first."""
    for code in blocks("python"):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "ruff",
                *check,
                "--stdin-filename",
                "harness/faults/tcp_drop.py",
                "-",
            ],
            cwd=CHECKOUT,
            input=code,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
