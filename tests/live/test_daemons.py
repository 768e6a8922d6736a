"""Programs that leave daemons behind: these end with the run, in real time and in a guest, and
`clean` finds them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.lab.namespace import Namespace, network_of
from harness.venue.kernel import Kernel
from tests.live.command import CHECKOUT, harness, started

pytestmark = pytest.mark.live

CASES = CHECKOUT / "tests" / "cases" / "daemon"
PATIENCE_S = 60.0
SCENARIO = """
[server.command]
argv = ["sh", "-c", "{daemons}; exec {{python}} {echo} {{port}}"]
ready = {{ listens = true }}

[expect]
outcome = "never"
bound_s = {bound_s}
"""
LONG_S = (f"3601.{os.getpid()}", f"3602.{os.getpid()}")
"""How long the daemons sleep.

No other session's daemons on this machine sleep so long: they are looked for by it.
"""
MARKED, BARE = f"setsid -f sleep {LONG_S[0]}", f"setsid -f env -i {{sleep}} {LONG_S[1]}"
"""The second one has cleared its environment, so that its network alone says whose it is."""


def _scenario(folder: Path, bound_s: float) -> str:
    sleep = next(str(path) for path in map(Path, ("/usr/bin/sleep", "/bin/sleep")) if path.exists())
    daemons = f"{MARKED}; {BARE.format(sleep=sleep)}"
    text = SCENARIO.format(daemons=daemons, echo=CASES / "echo.py", bound_s=bound_s)
    (folder / "daemons.scenario.toml").write_text(text)
    return str(folder / "daemons.scenario.toml")


def _sleeping() -> set[str]:
    """How long the daemons that there are sleep."""
    found = set()
    for path in Path("/proc").glob("[1-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        found |= {
            word.decode()
            for word in words
            if word.decode(errors="replace") in LONG_S and b"sh" not in words
        }
    return found


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_they_end_with_the_run(tmp_path: Path) -> None:
    """One that kept its mark and one that cleared it; then there is nothing to clean."""
    # What ends is looked at here, not the verdict: on a machine that is too busy the scenario is
    # run again.
    with started(tmp_path, "run", "--retries", "9", _scenario(tmp_path, 1.0)) as running:
        _await(lambda: len(_sleeping()) == 2)
        ended = running.wait()
    assert ended.status == 0, ended
    assert _sleeping() == set()
    assert harness(tmp_path, "clean").out == "nothing to remove\n"


def test_clean_finds_them(tmp_path: Path) -> None:
    """What was left by a harness that was killed is in its ledger, with the network that it is
    in.
    """
    with started(tmp_path, "run", _scenario(tmp_path, 60.0)) as running:
        _await(lambda: len(_sleeping()) == 2)
        running.process.kill()
        running.process.wait()
    assert len(_sleeping()) == 2
    cleaned = harness(tmp_path, "clean")
    assert _sleeping() == set(), cleaned
    assert cleaned.out.count("removed process") >= 2
    assert harness(tmp_path, "clean").out == "nothing to remove\n"


@pytest.mark.virtual
def test_the_next_scenario_in_a_guest_does_not_meet_them(kernel: Kernel, tmp_path: Path) -> None:
    """A program that wakes up every 10 ms would keep the guest busy for two hours of the next
    scenario.
    """
    del kernel
    files = [str(CASES / f"{name}.scenario.toml") for name in ("a-hog", "b-later")]
    ended = harness(
        tmp_path, "run", "--clock", "virtual", "--jobs", "1", "--wall-limit", "15", *files
    )
    assert ended.status == 0, ended


def test_a_network_is_told_from_all_others() -> None:
    """By a number that no other network ever gets, which shows from outside, through any process in
    it.
    """
    first, second = Namespace(), Namespace()
    try:
        with first.entered():
            inside = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        try:
            assert network_of(inside.pid) == first.network != second.network
        finally:
            inside.kill()
            inside.wait()
    finally:
        first.close()
        second.close()
