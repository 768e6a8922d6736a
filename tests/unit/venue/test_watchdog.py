"""The watchdog of a guest counts what the guest's processes do, and says what they did."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from harness.timeline import Timeline
from harness.venue import watchdog
from harness.venue.watchdog import Used, Watchdog, last_lines

LIMIT_S = 60.0


def looked_at(steps: Iterable[tuple[float, float, float]]) -> list[str | None]:
    """What the watchdog says after each step: wall, kernel's and programs' seconds since the plan
    began.
    """
    now = used = (0.0, 0.0, 0.0)
    dog = Watchdog(1, LIMIT_S, clock=lambda: now[0], used=lambda _: Used(*used[1:]))
    said = []
    for step in steps:
        now = used = step
        said.append(dog.look())
    return said


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda n: (n, 0.3 * n, 0.7 * n), "it was at work"),
        (
            lambda n: (n, 0.3 * n, 0.0),
            "it was idle: no program in it ran in the last 60.0 s of its CPU time",
        ),
        (lambda n: (n, 0.3 * n, min(n, 10.0)), "it was idle: no program in it ran in the last"),
        (
            lambda n: (n, 1.0, 1.0),
            "it was waiting for this machine: it has had no CPU time for 60 s",
        ),
    ],
    ids=["at work", "idle", "idle after a while", "waiting"],
)
def test_what_a_guest_did_is_told(
    step: Callable[[float], tuple[float, float, float]], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that computes, a kernel alone that lets the clock jump, and a guest that gets no
    CPU are told apart.
    """
    monkeypatch.setattr(watchdog, "LOOK_S", 0.0)
    said = next(filter(None, looked_at(step(float(n)) for n in range(1, 1000))))
    assert words in said
    assert "(--wall-limit 60)" in said


def test_a_share_of_the_cpus_is_no_reason_to_give_up() -> None:
    """With a tenth of a CPU a guest may take ten times as long."""
    said = looked_at((n, 0.05 * n, 0.05 * n) for n in range(1, 590))
    assert set(said) == {None}


def test_no_limit() -> None:
    """0 stands for none."""
    now = 0.0
    dog = Watchdog(1, 0.0, clock=lambda: now, used=lambda _: Used(now, now))
    now = 1e6
    assert dog.look() is None


def test_what_processes_use_is_read() -> None:
    """Of a process group: what its first process uses, and apart from it what its children use and
    have used.
    """
    script = """
import os, sys, time
def burn(s):
    while time.process_time() < s: pass
if not os.fork():
    burn(0.1); os._exit(0)
os.wait()
if not os.fork():
    burn(0.1); time.sleep(60)
burn(0.05)
print(flush=True); time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", script], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            deadline = time.monotonic() + 10
            while (
                found := watchdog.used(process.pid)
            ).programs_s < 0.18 and time.monotonic() < deadline:
                time.sleep(0.01)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert found.programs_s >= 0.18
    assert found.kernel_s >= 0.04


def test_last_lines(tmp_path: Path) -> None:
    """The last ones of each side, as far as the timeline has them."""
    assert last_lines(tmp_path) == ""
    timeline = Timeline(tmp_path)
    for number in range(9):
        timeline.add("subject.printed", "server", side="server", line=f"line {number}")
    timeline.add("subject.printed", "client", side="client", line="hello")
    timeline.close()
    said = last_lines(tmp_path)
    assert said == (
        "client's last lines: hello; server's last lines: line 4 | line 5 | line 6 | line 7 "
        "| line 8"
    )
