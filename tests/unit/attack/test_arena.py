from __future__ import annotations

import itertools
import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attack import claims, processes, tally
from tests.attack.arena import CHECKOUT, Arena, Ended, complaint

TRACE = "Traceback (most recent call last):\n  File ...\n"
LEAVE = """
import random, subprocess, sys
from pathlib import Path
from tests.attack import processes
from tests.attack.arena import Arena

processes.adopt_orphans()
folder = Path(sys.argv[1])
arena = Arena(folder, folder, random.Random(1))
subprocess.run(["setsid", "-f", "env", "-i", "sleep", "3604"], check=True)
print([each.words[-10:] for each in processes.end_leftovers()], processes.end_leftovers())  # it may still be setsid
"""  # noqa: E501


@pytest.mark.parametrize(
    ("ended", "word"),
    [
        (Ended(0, "fine\n\ttab\n", "", 0.1), ""),
        (Ended(3, "", TRACE, 0.1), "a traceback"),
        (Ended(-signal.SIGINT, "", f"{TRACE}KeyboardInterrupt\n", 0.1), ""),
        (Ended(1, "", f"{TRACE}KeyboardInterrupt\n", 0.1), "a traceback"),
        (
            Ended(3, "", "harness: the error above is a defect of the harness; nothing", 0.1),
            "a traceback",
        ),
        (Ended(3, "INTERNALERROR> oh", "", 0.1), "an internal error"),
        (Ended(0, "\x1b[2J", "", 0.1), "a control character ('\\x1b')"),
        (Ended(0, "", "a\x9b", 0.1), "a control character ('\\x9b')"),
    ],
)
def test_what_must_never_be_printed(ended: Ended, word: str) -> None:
    """Tracebacks and what a terminal would obey."""
    assert complaint(ended) == word


def test_an_interrupt_before_any_code_is_pythons() -> None:
    """It ends with status 1 then, and says what it could not import."""
    early = Ended(1, "", f"Could not import runpy module\n{TRACE}KeyboardInterrupt\n", 0.1)
    assert complaint(early, interrupted=True) == ""
    assert complaint(early) == "a traceback"
    late = early._replace(err=f"{TRACE}KeyboardInterrupt\n")
    assert complaint(late, interrupted=True) == "a traceback"


LOSE = """
import os, signal, weakref

class Thing:
    pass

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it runs in the background
thing = Thing()
reference = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGINT))
del thing
print("goes on")
"""  # noqa: E501


def test_a_lost_interrupt_is_pythons() -> None:
    """Where one was sent; any other traceback beside it is not."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", LOSE], capture_output=True, text=True, check=True
    )
    lost = Ended(done.returncode, done.stdout, done.stderr, 0.1)
    assert done.stdout == "goes on\n"
    assert complaint(lost) == "a traceback"
    assert complaint(lost, interrupted=True) == ""
    assert (
        complaint(lost._replace(err=f"{TRACE}ValueError\n{done.stderr}"), interrupted=True)
        == "a traceback"
    )
    assert (
        complaint(lost._replace(err=f"{done.stderr}{TRACE}KeyboardInterrupt\n"), interrupted=True)
        == "a traceback"
    )


def test_an_orphan_is_found_and_ended(tmp_path: Path) -> None:
    """Though it has left its session and its environment."""
    done = subprocess.run(
        [sys.executable, "-c", LEAVE, str(tmp_path)],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "['sleep 3604'] []\n"


@pytest.mark.parametrize("failures", [1, 0])
def test_a_command_that_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """It hangs, unless its processes wait for a CPU all the time; then that cannot be told."""
    monkeypatch.setattr("tests.attack.arena.LIMIT_S", 0.05)
    waited_s = itertools.count(1.0)
    monkeypatch.setattr(processes, "waited_s", lambda _: 0.0 if failures else next(waited_s))
    arena = Arena(tmp_path, tmp_path, random.Random(1))
    ended = arena.await_end(arena.start("60", program=["sleep"]), {0})
    assert ended.status == -signal.SIGKILL
    assert (len(arena.failures), len(arena.inconclusive)) == (failures, 1 - failures)


@pytest.mark.parametrize(
    ("truth", "verdict", "wrong"),
    [
        ("sound", "pass", False),
        ("sound", "inconclusive", False),
        ("sound", "fail", True),
        ("refuted", "fail", False),
        ("refuted", "inconclusive", False),
        ("refuted", "pass", True),
    ],
)
def test_a_wrong_verdict_is_a_failure(
    tmp_path: Path,
    truth: claims.Truth,
    verdict: str,
    wrong: bool,  # noqa: FBT001
) -> None:
    """The truth of a claim is known; what cannot be judged is counted."""
    arena = Arena(tmp_path, tmp_path, random.Random(1))
    results = tmp_path / "results.json"
    results.write_text(
        json.dumps({"scenarios": [{"name": "a", "verdict": verdict, "cause": "c", "reason": "r"}]})
    )
    claims.check_verdicts(arena, claims.Cast(["a"], {"a": truth}), results, Ended(0, "", "", 0.1))
    assert bool(arena.failures) == wrong
    assert arena.attempts == 1
    assert len(arena.inconclusive) == (verdict == "inconclusive")


def test_a_missing_verdict_is_a_failure(tmp_path: Path) -> None:
    """Each scenario has one, and a run has results."""
    arena = Arena(tmp_path, tmp_path, random.Random(1))
    results, cast = tmp_path / "results.json", claims.Cast(["a"], {"a": "sound"})
    claims.check_verdicts(arena, cast, results, Ended(0, "", "", 0.1))
    results.write_text('{"scenarios": []}')
    claims.check_verdicts(arena, cast, results, Ended(0, "", "", 0.1))
    assert len(arena.failures) == 2


def test_table() -> None:
    """A row for each kind and one for all, in Markdown."""
    kills, load = tally.Tally("kills"), tally.Tally("load")
    kills.add(3, 0, [], 60)
    kills.add(3, 1, ["a failure"], 30)
    load.add(24, 2, [], 90)
    assert tally.table([kills, load]).splitlines() == [
        "| attack | rounds | attempts | failures | inconclusive | minutes |",
        "|---|---|---|---|---|---|",
        "| kills | 2 | 6 | 1 | 1 | 1.5 |",
        "| load | 1 | 24 | 0 | 2 | 1.5 |",
        "| all | 3 | 30 | 1 | 3 | 3.0 |",
    ]
