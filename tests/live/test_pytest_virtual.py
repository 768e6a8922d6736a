"""`pytest --clock=virtual` as its users meet it: whole sessions of other suites in guests."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from harness import pytest_plugin
from harness.scenario import loader
from harness.venue.kernel import Kernel
from tests.live.command import Command, environment, send, started
from tests.running import EXHAUSTIVE

pytestmark = [
    pytest.mark.live,
    pytest.mark.virtual,
    pytest.mark.usefixtures("kernel"),
]

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

def test_reading_the_clock_takes_no_time():
    begun_ns = time.monotonic_ns()
    assert {time.monotonic_ns() for _ in range(100)} == {begun_ns}

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


BY_MODULE = (sys.executable, "-m", "pytest")
OPTIONS = ("--clock=virtual", "-p", "no:cacheprovider")
SPIN = (
    "import pathlib\n\ndef test_it():\n    pathlib.Path('begun').touch()\n    while True:\n      "
    "  pass\n"
)
DAY_S = 86400
ALONE = 10 if EXHAUSTIVE else 3
"""So many scenarios of a topic are run alone."""
SESSIONS = """
import pytest

@pytest.mark.parametrize("file", {files})
def test_alone(file):
    options = ["--rootdir=/", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:xdist"]
    assert pytest.main([*options, file]) == 0
"""  # noqa: E501
WALL_S = 60.0
"""The longest that a guest may take to begin, in seconds of wall time, on however busy a
machine.
"""


def session(
    project: Path, *arguments: str, way: Sequence[str] = BY_MODULE
) -> subprocess.CompletedProcess[str]:
    """A session of pytest on the virtual clock in a project's folder."""
    return subprocess.run(
        [*way, *OPTIONS, *arguments],
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


def test_a_session_of_hours_takes_seconds(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests that sleep, tests with a lab and scenario files.

    Normal output, and the time that passed in both clocks. The summary of a step of GitHub Actions
    comes out of the guest.
    """
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    (project / "test_suite.py").write_text(SUITE)
    (project / "linux.scenario.toml").write_text(SCENARIO)
    ended = session(project, "-rA")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "5 passed in " in ended.stdout
    assert "PASSED linux.scenario.toml::linux" in ended.stdout
    page = summary.read_text()
    assert page.startswith("before\n### pytest: 1 pass, 0 fail, 0 inconclusive\n")
    assert "\n| linux | ETIMEDOUT | ETIMEDOUT " in page
    assert "s of virtual time in" in ended.stderr
    (runs,) = (project.parent / "state" / "keepalive-harness" / "runs").iterdir()
    assert {"plan.json", "timeline.jsonl", "verdict.json"} <= {
        path.name for path in (runs / "linux").iterdir()
    }


CLIENT = """
import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as sock:
    print("connected")
    sock.recv(1)
    print("lost: end of file")
    time.sleep(1000)
"""


def test_the_examples_of_the_plugins_page_pass(project: Path) -> None:
    """All that are tests, with a client of ours in the place of the reader's program."""
    page = (Path(pytest_plugin.__file__).parent / "README.md").read_text()
    (project / "client.py").write_text(CLIENT)
    ours = f'"{sys.executable}", "{project / "client.py"}"'
    examples = [
        text for text in re.findall("```python\n(.*?)```", page, re.DOTALL) if "def test_" in text
    ]
    for number, example in enumerate(examples):
        (project / f"test_{number}.py").write_text(example.replace('"/opt/app/client"', ours))
    ended = session(project)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "3 passed in " in ended.stdout


@pytest.mark.timeout(300)  # about 10 s of CPU time, which other tests share
def test_scenarios_that_run_alone_pass(project: Path) -> None:
    """Sessions of one scenario each, in one guest.

    Their limits count the wait for the timer wheel's phase.
    """
    folders = [loader.catalogue() / topic for topic in ("defaults", "heartbeat")]
    files = [
        file
        for folder in folders
        for file in _spread(sorted(folder.glob(f"*{loader.SUFFIX}")), ALONE)
    ]
    (project / "test_alone.py").write_text(SESSIONS.format(files=[str(file) for file in files]))
    ended = session(project)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{2 * ALONE} passed in " in ended.stdout


def _spread(files: Sequence[Path], number: int) -> list[Path]:
    """So many, from all over."""
    return [files[place * len(files) // number] for place in range(number)]


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
    assert not list((project.parent / "state" / "keepalive-harness" / "runs").iterdir())


def test_reports_and_coverage_data_come_out(project: Path, tmp_path: Path) -> None:
    """A JUnit file within the project or without, and the data of pytest-cov.

    Nothing else outside of the project.

    The times in the JUnit file are real: a test of a day did not take one.
    """
    (project / "shop.py").write_text(
        "def price(sale):\n    if sale:\n        return 1\n    return 2\n"
    )
    (project / "test_shop.py").write_text(
        "import pathlib, shop, time\n\n"
        "def test_price():\n    assert shop.price(False) == 2\n    time.sleep(86400)\n"
        f"    pathlib.Path({str(tmp_path / 'stray')!r}).write_text('gone afterwards')\n"
    )
    outside, inside = tmp_path / "reports [1]/junit*.xml", project / "junit.xml"
    outside.parent.mkdir()
    for report in (outside, inside):
        ended = session(
            project, f"--junitxml={report}", "-p", "pytest_cov", "--cov=shop", "--cov-report=xml"
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        (suite,) = ET.parse(report).getroot()  # noqa: S314 - pytest wrote it
        assert suite.get("tests") == "1"
        assert {each.get("name"): each.get("value") for each in suite.iter("property")} == {
            "virtual_time": "86400.000 s"
        }
        for element in suite.iter():
            assert float(element.get("time", 0)) < DAY_S
    lines = ET.parse(project / "coverage.xml").iter("line")  # noqa: S314 - coverage wrote it
    assert {line.get("number"): line.get("hits") for line in lines} == {
        "1": "1",
        "2": "1",
        "3": "0",
        "4": "1",
    }
    command = [sys.executable, "-m", "coverage", "report", "--format=total"]
    data = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    assert data.stdout.strip() == "75"
    assert not (tmp_path / "stray").exists()


def test_a_folder_named_with_write_keeps_what_tests_put_there(
    project: Path, tmp_path: Path
) -> None:
    """As with `harness vtime`."""
    target = tmp_path / "target"
    target.mkdir()
    (project / "test_it.py").write_text(
        f"def test_it():\n    open({str(target / 'kept')!r}, 'w').write('{'x' * 10}')\n"
    )
    assert session(project, f"--harness-write={target}").returncode == 0
    assert (target / "kept").read_text() == "x" * 10


def test_the_option_may_stand_in_the_configuration(project: Path) -> None:
    """addopts are read in the guest again, where the option asks for nothing more."""
    (project / "pytest.ini").write_text("[pytest]\naddopts = --clock=virtual -q\n")
    (project / "test_it.py").write_text("import time\n\ndef test_it():\n    time.sleep(86400)\n")
    command = [sys.executable, "-m", "pytest"]
    ended = subprocess.run(
        command,
        cwd=project,
        env=environment(project.parent / "state"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 passed in 86400" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--harness-kernel=linux-1.0-hz7",), "--harness-kernel: expected linux-"),
        (
            ("--harness-write=/nowhere/at/all",),
            "--harness-write: expected a folder that can be written",
        ),
        (("--harness-out=pytest.ini/out",), "--harness-out: expected a folder that can be made"),
        (("--junitxml=pytest.ini/report.xml",), "--junit-xml: expected a file that can be written"),
        (("--harness-wall-limit=-1",), "--harness-wall-limit: expected seconds from 0 on"),
        (("--harness-wall-limit=nan",), "--harness-wall-limit: expected seconds from 0 on"),
    ],
)
def test_bad_usage_is_refused_before_a_guest_boots(
    project: Path, arguments: tuple[str, ...], words: str
) -> None:
    """With pytest's own exit status for that."""
    ended = session(project, *arguments)
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert words in ended.stderr


def test_without_a_kernel_the_command_that_builds_one_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(project / "cache"))
    ended = session(project)
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert "harness kernel build" in ended.stderr


def test_a_session_that_gets_stuck_is_ended_from_outside(project: Path, kernel: Kernel) -> None:
    """A test that spins never lets the clock jump; the last words are shown.

    The limit holds for the start of the session, too. Where a busy machine does not get to the
    test, it gets more.
    """
    (project / "test_it.py").write_text(SPIN)

    def stuck(limit_s: int) -> subprocess.CompletedProcess[str]:
        limit = f"--harness-wall-limit={limit_s}"
        ended = session(
            project, limit, f"--harness-write={project}", f"--harness-kernel={kernel.path}", "-v"
        )
        assert ended.returncode == pytest.ExitCode.INTERNAL_ERROR
        assert (
            f"did not end in {limit_s} s of wall time (--harness-wall-limit); it was at work"
            in ended.stderr
        )
        return ended

    limit_s = 10
    ended = stuck(limit_s)
    while not (project / "begun").exists() and limit_s < 160:
        limit_s *= 4
        ended = stuck(limit_s)
    assert ", during test_it.py::test_it" in ended.stderr
    assert "test_it.py::test_it" in ended.stdout


def test_a_deadlock_is_found_while_our_input_is_open(project: Path) -> None:
    """Tests get no input, so that none can come, whatever pytest does about its own.

    With -s they get ours.
    """
    (project / "test_it.py").write_text("import signal\n\ndef test_it():\n    signal.pause()\n")
    (project / "test_input.py").write_text("def test_it():\n    assert input() == 'words'\n")
    command = [*BY_MODULE, *OPTIONS]
    environ = environment(project.parent / "state")
    quiet = [*command, "--capture=sys", "test_it.py"]
    with subprocess.Popen(
        quiet,
        cwd=project,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        said = process.stderr.read()
    assert b"has nothing left to wait for" in said
    assert b", during test_it.py::test_it" in said
    assert process.returncode == pytest.ExitCode.INTERNAL_ERROR
    ended = subprocess.run(
        [*command, "-s", "test_input.py"],
        cwd=project,
        env=environ,
        input=b"words\n",
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("way", "status"),
    [
        ((str(Path(sys.executable).parent / "pytest"),), 0),
        ((sys.executable, "-P", "-W", "error::ImportWarning", "-m", "pytest"), 0),
        (BY_MODULE, 1),
    ],
)
def test_the_guest_has_the_same_search_path(project: Path, way: Sequence[str], status: int) -> None:
    """The working directory is on it only where `python -m pytest` put it there.

    Flags of the interpreter are kept.
    """
    (project / "neighbour.py").touch()
    (project / "test_it.py").write_text(
        "import importlib.util, sys\n\ndef test_it():\n    assert "
        "importlib.util.find_spec('neighbour') is None\n\n"
        "def test_flags():\n    assert ('error::ImportWarning' in sys.warnoptions) is "
        f"{'-W' in way}\n"
    )
    ended = session(project, "--import-mode=importlib", way=way)
    assert ended.returncode == status, ended.stdout + ended.stderr
    assert f"{2 - status} passed" in ended.stdout


def test_plugins_that_are_objects_are_refused(project: Path) -> None:
    """They live in the process that calls pytest.main, and cannot come along; names can."""
    (project / "test_it.py").write_text(
        "def test_it(pytestconfig):\n    assert pytestconfig.pluginmanager.hasplugin('this')\n"
    )
    call = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:], plugins=[{}]))"
    ended = session(project, way=(sys.executable, "-c", call.format("object()")))
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert "expected plugins by their names, found the object <object object" in ended.stderr
    ended = session(project, way=(sys.executable, "-c", call.format("'this'")))
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_report_that_did_not_come_out_is_told(project: Path, tmp_path: Path) -> None:
    """A session that ended well otherwise is an error then."""
    (project / "test_it.py").write_text("def test_it():\n    pass\n")
    (project / "conftest.py").write_text(
        "import os\n\ndef pytest_unconfigure(config):\n"
        "    if os.environ.get('KEEPALIVE_HARNESS_CLOCK'):\n        "
        "os.unlink(config.option.xmlpath)\n"
    )
    ended = session(project, f"--junitxml={tmp_path / 'report.xml'}")
    assert ended.returncode == pytest.ExitCode.INTERNAL_ERROR
    assert (
        f"--junit-xml: expected a report of the session at {tmp_path / 'report.xml'}, found none"
        in ended.stderr
    )


@pytest.mark.parametrize(
    ("signals", "ignored", "status", "words"),
    [
        ((signal.SIGTERM,), False, 143, "ended by SIGTERM"),
        ((signal.SIGHUP,), False, 129, "ended by SIGHUP"),
        ((signal.SIGHUP, signal.SIGTERM), True, 143, "ended by SIGTERM"),
        ((signal.SIGINT, signal.SIGINT), False, pytest.ExitCode.INTERRUPTED, "interrupted"),
        ((signal.SIGINT,), False, pytest.ExitCode.INTERRUPTED, "interrupted"),
    ],
)
def test_told_to_end(
    project: Path,
    memory: Path,
    signals: Sequence[signal.Signals],
    *,
    ignored: bool,
    status: int,
    words: str,
) -> None:
    """Its guest ends with it, also where a test spins, which is named.

    SIGHUP that is ignored stays so.

    One interrupt is enough.
    """
    (project / "test_it.py").write_text(SPIN)
    ways = ["--default-signal=HUP,TERM,INT", *(["--ignore-signal=HUP"] if ignored else [])]
    with started(
        project, command=["env", *ways, *BY_MODULE, *OPTIONS], state=project.parent / "state"
    ) as running:
        _await_file(project / "begun", running)
        assert list(memory.iterdir())
        for number in signals:
            send(running.process, number)
        ended = running.wait()
    assert ended.status == status, ended.err
    assert ended.err.splitlines()[-2:] == [
        "harness: the guest was ended during test_it.py::test_it",
        f"harness: {words}",
    ]
    assert not list(memory.iterdir())


def _await_file(path: Path, running: Command) -> None:
    deadline = time.monotonic() + WALL_S
    while not path.exists():
        assert time.monotonic() < deadline
        assert running.process.poll() is None
        time.sleep(0.05)
