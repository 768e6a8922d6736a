"""`pytest --clock=virtual` as its users meet it: whole sessions of other suites in guests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from harness.venue.kernel import Kernel
from tests.live.command import environment

pytestmark = [pytest.mark.live, pytest.mark.timeout(120), pytest.mark.usefixtures("kernel")]

SUITE = """
import os, time
import pytest
from harness import Blackhole, Endpoint, Keepalive

def test_two_hours_pass():
    begun_ns = time.monotonic_ns()
    time.sleep(7200)
    assert 0 <= time.monotonic_ns() - begun_ns - 7_200_000_000_000 < 1_000_000

@pytest.mark.timeout(20_000)
def test_a_lab_needs_no_change(lab):
    net = lab("routed")
    link = net.connect(Endpoint(keepalive=Keepalive()))
    with net.inject(Blackhole()):
        expected = link.predict()
        seen = link.wait()
    assert expected.allowance_s == 0
    assert seen in expected
    assert seen.errno == "ETIMEDOUT"

def test_it_is_told_where_it_runs():
    assert os.environ["KEEPALIVE_HARNESS_CLOCK"] == "virtual"
"""
SCENARIO = """
[client]
keepalive = true

[[faults]]
kind = "blackhole"
at_s = 1

[expect]
outcome = "detected"
errno = "ETIMEDOUT"
"""


def session(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A session of pytest on the virtual clock in a project's folder."""
    command = [sys.executable, "-m", "pytest", "--clock=virtual", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        command,
        cwd=project,
        env=environment(project.parent / "state"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a suite of its own."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


def test_a_session_of_hours_takes_seconds(project: Path) -> None:
    """Tests that sleep, tests with a lab and scenario files; normal output, and the time that passed in both clocks."""
    (project / "test_suite.py").write_text(SUITE)
    (project / "linux.scenario.toml").write_text(SCENARIO)
    ended = session(project, "-rA")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "4 passed in " in ended.stdout
    assert "PASSED linux.scenario.toml::linux" in ended.stdout
    assert "s of virtual time in" in ended.stderr


def test_failures_choice_and_stop_work_as_ever(project: Path) -> None:
    """-k and -x, the exit status, and what a failure prints."""
    (project / "test_suite.py").write_text(
        "def test_wrong_one():\n    assert 1 == 2\n\n"
        "def test_wrong_two():\n    assert 3 == 4\n\n"
        "def test_right():\n    pass\n"
    )
    ended = session(project, "-x", "-k", "wrong")
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED
    assert "assert 1 == 2" in ended.stdout
    assert "assert 3 == 4" not in ended.stdout
    assert "1 failed, 1 deselected" in ended.stdout
    assert session(project, "-k", "nothing").returncode == pytest.ExitCode.NO_TESTS_COLLECTED


def test_reports_and_coverage_data_come_out(project: Path, tmp_path: Path) -> None:
    """A JUnit file within the project or without, and the data of pytest-cov; nothing else outside of the project."""
    (project / "shop.py").write_text("def price(sale):\n    if sale:\n        return 1\n    return 2\n")
    (project / "test_shop.py").write_text(
        "import pathlib, shop\n\n"
        "def test_price():\n    assert shop.price(False) == 2\n"
        f"    pathlib.Path({str(tmp_path / 'stray')!r}).write_text('gone afterwards')\n"
    )
    outside, inside = tmp_path / "reports/junit.xml", project / "junit.xml"
    outside.parent.mkdir()
    for report in (outside, inside):
        ended = session(project, f"--junitxml={report}", "-p", "pytest_cov", "--cov=shop", "--cov-report=xml")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        (suite,) = ET.parse(report).getroot()  # noqa: S314 - pytest wrote it
        assert suite.get("tests") == "1"
    lines = ET.parse(project / "coverage.xml").iter("line")  # noqa: S314 - coverage wrote it
    assert {line.get("number"): line.get("hits") for line in lines} == {"1": "1", "2": "1", "3": "0", "4": "1"}
    command = [sys.executable, "-m", "coverage", "report", "--format=total"]
    data = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    assert data.stdout.strip() == "75"
    assert not (tmp_path / "stray").exists()


def test_a_folder_named_with_write_keeps_what_tests_put_there(project: Path, tmp_path: Path) -> None:
    """As with `harness vtime`."""
    target = tmp_path / "target"
    target.mkdir()
    (project / "test_it.py").write_text(
        f"def test_it():\n    open({str(target / 'kept')!r}, 'w').write('{'x' * 10}')\n"
    )
    assert session(project, f"--write={target}").returncode == 0
    assert (target / "kept").read_text() == "x" * 10


def test_the_option_may_stand_in_the_configuration(project: Path) -> None:
    """addopts are read in the guest again, where the option asks for nothing more."""
    (project / "pytest.ini").write_text("[pytest]\naddopts = --clock=virtual -q\n")
    (project / "test_it.py").write_text("import time\n\ndef test_it():\n    time.sleep(86400)\n")
    command = [sys.executable, "-m", "pytest"]
    ended = subprocess.run(
        command, cwd=project, env=environment(project.parent / "state"), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 passed in 86400" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--kernel=linux-1.0-hz7",), "--kernel: expected linux-"),
        (("--write=/nowhere/at/all",), "--write: expected a folder that can be written"),
    ],
)
def test_bad_usage_is_refused_before_a_guest_boots(project: Path, arguments: tuple[str, ...], words: str) -> None:
    """With pytest's own exit status for that."""
    ended = session(project, *arguments)
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert words in ended.stderr


def test_without_a_kernel_the_command_that_builds_one_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(project / "cache"))
    ended = session(project)
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert "harness kernel build" in ended.stderr


def test_a_session_that_gets_stuck_is_ended_from_outside(project: Path, kernel: Kernel) -> None:
    """A test that spins never lets the clock jump; the last words are shown."""
    (project / "test_it.py").write_text("def test_it():\n    while True:\n        pass\n")
    ended = session(project, "--wall-limit=15", f"--kernel={kernel.path}", "-v")
    assert ended.returncode == pytest.ExitCode.INTERNAL_ERROR
    assert "did not end in 15 s of wall time" in ended.stderr
    assert "test_it.py::test_it" in ended.stdout
