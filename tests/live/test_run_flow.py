"""How `harness run` goes on and ends: closed pipes, interrupts, and what is kept then."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from harness import timeline
from harness.model.topology import SIDES
from harness.venue.kernel import Kernel
from tests.live.command import COMMAND, environment, harness, started

pytestmark = pytest.mark.live

_MAIN = "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main())"
_INTERRUPTIBLE = (
    sys.executable,
    "-c",
    f"import signal, sys; from harness.cli.main import main; {_MAIN}",
)
"""A shell starts what runs in its background with SIGINT ignored, and so would pytest's children
be.
"""
PATIENCE_S = 30.0


def _unread(folder: Path, *arguments: str, both: bool = False) -> tuple[int, str]:
    """Exit status and standard error of a command whose standard output, or both, nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [*COMMAND, *arguments],
            cwd=folder,
            env=environment(folder / "state"),
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=writer if both else subprocess.PIPE,
            check=False,
            text=True,
        )
    finally:
        os.close(writer)
    return ended.returncode, ended.stderr or ""


@pytest.mark.parametrize(
    "arguments", [("list",), ("predict",), ("predict", "--json")], ids=" ".join
)
def test_a_closed_pipe_is_no_failure(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """The exit status is SIGPIPE's, never a refuted claim's, and nothing is said about it."""
    assert _unread(tmp_path, *arguments) == (141, "")


def test_help_that_nobody_reads(tmp_path: Path) -> None:
    """The parser of arguments passes over it."""
    assert _unread(tmp_path, "--help") == (0, "")


def test_errors_that_nobody_reads(tmp_path: Path) -> None:
    """Neither does a message that cannot be written make a failure of it."""
    assert _unread(tmp_path, "run", "no-such-thing", both=True)[0] == 141


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """What was printed is not there: that is no success."""
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [*COMMAND, "list"],
            env=environment(tmp_path),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
        )
    assert ended.returncode == 2
    assert "No space left on device" in ended.stderr


def test_closed_streams(tmp_path: Path) -> None:
    """Nothing else gets the descriptors of standard streams that are closed."""
    shell = 'exec "$@" >&- 2>&- <&-'
    command = ["sh", "-c", shell, "sh", *COMMAND, "list", "outcomes"]
    assert subprocess.run(command, env=environment(tmp_path), check=False).returncode == 0


def test_reports_are_written_although_nobody_reads_the_table(tmp_path: Path) -> None:
    """`harness run … | head` runs to its end, and leaves what it was to leave."""
    arguments = (
        "run",
        "outcomes/peer-closes",
        "--json",
        "said.json",
        "--junit",
        "said.xml",
        "--out",
        "out",
    )
    assert _unread(tmp_path, *arguments)[0] == 141
    assert json.loads((tmp_path / "said.json").read_text())["verdict"] == "pass"
    assert (tmp_path / "said.xml").stat().st_size > 0
    assert (tmp_path / "out" / "outcomes" / "peer-closes" / "verdict.json").exists()


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "ended by SIGTERM")]
)
def test_an_interrupt_shows_what_is_done(
    tmp_path: Path, number: signal.Signals, words: str
) -> None:
    """The verdicts so far, how many there are to come, and where everything is kept."""
    arguments = (
        "run",
        "outcomes/peer-closes",
        "outcomes/peer-alive",
        "defaults/linux",
        "--yes",
        "--out",
        "out",
    )
    with started(tmp_path, *arguments, command=_INTERRUPTIBLE) as running:
        _await((tmp_path / "out" / "outcomes" / "peer-closes" / "verdict.json").exists)
        time.sleep(0.3)
        running.process.send_signal(number)
        ended = running.wait()
    assert ended.status == 128 + number
    assert ended.err.splitlines()[-1] == f"harness: {words}; what was recorded is kept"
    header, verdict, *_, count, place = ended.out.splitlines()
    assert header.split()[:2] == ["verdict", "scenario"]
    assert verdict.split()[:2] == ["pass", "outcomes/peer-closes"]
    assert count == "interrupted: 1 of 3 scenarios are done"
    assert place == "plans, timelines and captures: out"


QUICK = """
[client.keepalive]
idle_s = 1
interval_s = 1
count = 1

[[faults]]
kind = "peer-reboot"
at_s = 0.2
"""


def test_a_run_that_a_busy_machine_was_too_late_for_is_run_again(tmp_path: Path) -> None:
    """The process gets no CPU while the answer comes.

    The second attempt passes, and both are there to look at.
    """
    (tmp_path / "quick.scenario.toml").write_text(QUICK)
    arguments = (
        "run",
        "quick.scenario.toml",
        "--json",
        "said.json",
        "--retries",
        "5",
        "--out",
        "out",
    )
    with started(tmp_path, *arguments) as running:
        _await(lambda: "fault.injected" in _text(tmp_path / "out" / "quick" / timeline.FILE_NAME))
        running.process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        running.process.send_signal(signal.SIGCONT)
        ended = running.wait()
    assert ended.status == 0, ended.out
    assert "1 retried, as this machine was too busy: quick" in ended.out
    said = json.loads((tmp_path / "said.json").read_text())
    assert (said["retried"], said["scenarios"][0]["attempts"] > 1) == (1, True)
    first = json.loads((tmp_path / "out" / "quick" / "attempts" / "1" / "verdict.json").read_text())
    assert (first["verdict"], first["cause"]) == ("inconclusive", "machine-too-busy")


def _text(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def _await(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.virtual
def test_junit_has_the_walls_time_and_is_not_asked_for(tmp_path: Path, kernel: Kernel) -> None:
    """Two hours of virtual time are agreed to without a word, and took as long as they took
    here.
    """
    arguments = (
        "run",
        "defaults/linux",
        "--clock",
        "virtual",
        "--kernel",
        kernel.name,
        "--junit",
        "said.xml",
    )
    ended = harness(tmp_path, *arguments, "--out", "out")
    assert ended.status == 0, ended.out
    (suite,) = ET.parse(tmp_path / "said.xml").getroot()  # noqa: S314 - written by ourselves
    (case,) = suite
    assert 0 < float(case.attrib["time"]) <= float(suite.attrib["time"])
    found = {each.get("name"): each.get("value") for each in case.iter("property")}
    assert found["clock"] == "virtual"
    assert (found["claim"] or "").startswith("ETIMEDOUT")
    assert float((found["measured"] or "").removesuffix(" s after arming")) > 7200
    events = timeline.load(tmp_path / "out" / "defaults" / "linux")
    for side in SIDES:
        frames = (tmp_path / "out" / "defaults" / "linux" / f"{side}.pcapng").read_bytes()
        seen = [event for event in events if event.kind == "segment" and event.source == side]
        assert [bytes.fromhex(event.data["frame"]) in frames for event in seen] == [True] * len(
            seen
        )
        assert frames.count(f"{side}/eth0".encode()) == 1
