from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import timeline
from harness.lab.processes import MARK_VARIABLE
from harness.plan import plan_file
from harness.programs import tcp_endpoint
from tests.conformance.traces import network_untouched
from tests.live.command import PATIENCE_S, Command, harness, started

pytestmark = pytest.mark.live

FROZEN = """
[client.keepalive]
idle_s = 1
interval_s = 1
count = 1

[[faults]]
kind = "process-freeze"
at_s = 0.1

[expect]
outcome = "never"
bound_s = 3
"""


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_moment(tmp_path: Path, seed: int) -> None:
    """Whenever the harness is killed, only processes in its ledger stay, and `clean` removes those
    and nothing else.
    """
    moment_s = random.Random(seed).uniform(0.1, 3.0)
    with network_untouched():
        with started(tmp_path, "run", "host", "link", "--yes", "--out", "out") as running:
            time.sleep(moment_s)
            running.process.kill()
        left, frozen = _marked(running.state), _marked(running.state, "T")
        assert set(left.values()) <= _announced(running.state)

        with _lookalike() as stranger:
            cleaned = harness(tmp_path, "clean")
            assert stranger.poll() is None
        assert cleaned.status == 0
        removed = {
            int(pid) for pid in re.findall(r"^removed process (\d+) ", cleaned.out, re.MULTILINE)
        }
        assert frozen.keys() <= removed <= left.keys()
        _await(lambda: not _marked(running.state))
        assert harness(tmp_path, "clean").out == "nothing to remove\n"
        assert not list(running.state.rglob("*.jsonl"))
    _check_recorded(running)


def _check_recorded(running: Command) -> None:
    """What was recorded can be read, and is inconclusive as a whole."""
    for file in running.out.rglob(timeline.FILE_NAME):
        timeline.load(file.parent)
    planned = list(running.out.rglob(plan_file.FILE_NAME))
    assert harness(running.folder, "judge", "out").status == (3 if planned else 2)


def test_interrupted(tmp_path: Path) -> None:
    """Ctrl-C ends a run at once with its own exit status.

    Nothing stays, and what was recorded is inconclusive.
    """
    arguments = ("run", "host", "--yes", "--out", "out")
    with network_untouched(), started(tmp_path, *arguments, command=_INTERRUPTIBLE) as running:
        _await(lambda: bool(_marked(running.state, "T")))
        running.process.send_signal(signal.SIGINT)
        ended = running.wait()
    assert ended.status == 130
    assert ended.err.splitlines()[-1] == "harness: interrupted; what was recorded is kept"
    _await(lambda: not _marked(running.state))
    assert harness(tmp_path, "clean").out == "nothing to remove\n"
    _check_recorded(running)


def test_clean_leaves_live_runs_alone(tmp_path: Path) -> None:
    """While one run is at work, `clean` removes what a killed one left, and the run goes on to its
    verdict.
    """
    # The live run watches for longer than two calls of `clean` take on a busy machine.
    (tmp_path / "frozen.scenario.toml").write_text(FROZEN.replace("bound_s = 3", "bound_s = 12"))
    scenario, state = str(tmp_path / "frozen.scenario.toml"), tmp_path / "state"
    with (
        started(tmp_path / "live", "run", scenario, "--out", "out", state=state) as live,
        started(tmp_path / "doomed", "run", scenario, "--out", "out", state=state) as doomed,
    ):
        _await(lambda: len(_marked(state, "T")) == 2)
        doomed.process.kill()
        doomed.process.wait()
        before = _marked(state, "T")
        first = harness(tmp_path, "clean", state=state)
        second = harness(tmp_path, "clean", state=state)
        _await(lambda: len(_marked(state)) == 1)
        assert live.process.poll() is None
        assert first.out.count("removed process") == 1
        assert second.out == "nothing to remove\n"
        assert _marked(state).items() < before.items()
        assert live.wait().status == 0
    assert harness(tmp_path, "clean", state=state).out == "nothing to remove\n"


RESTARTED = """
[client.command]
argv = ["{python}", "-c", "import socket, time; c = socket.create_connection(('{server}', 7000)); time.sleep(99)"]
detects = { prints = "a word" }

[server.command]
argv = ["{python}", "-c", "import socket, time; s = socket.create_server(('', 7000)); c = s.accept(); time.sleep(99)"]
ready = { listens = true }

[[faults]]
kind = "process-kill"
at_s = 0.1
for_s = 0.1

[expect]
outcome = "never"
bound_s = 60
"""  # noqa: E501


def test_killed_with_a_program_that_was_started_again(tmp_path: Path) -> None:
    """The ledger holds the new process as it held the old one, and `clean` removes it with the
    folder they share.
    """
    (tmp_path / "restarted.scenario.toml").write_text(RESTARTED)
    with started(tmp_path, "run", "restarted.scenario.toml", "--out", "out") as running:
        _await(
            lambda: any(
                '"subject.ready"' in file.read_text()
                for file in running.out.rglob(timeline.FILE_NAME)
            )
        )
        running.process.kill()
    cleaned = harness(tmp_path, "clean")
    assert re.search(r"^removed process \d+ \(server's python", cleaned.out, re.MULTILINE), cleaned
    assert len(re.findall(r"^removed folder .* \(server's python", cleaned.out, re.MULTILINE)) == 1
    assert not _marked(running.state)
    assert harness(tmp_path, "clean").out == "nothing to remove\n"


# A shell starts what runs in its background with SIGINT ignored, and so would pytest's children be.
_MAIN = "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main())"
_INTERRUPTIBLE = (
    sys.executable,
    "-c",
    f"import signal, sys; from harness.cli.main import main; {_MAIN}",
)


# --- helpers ------------------------------------------------------------------------------------


def _marked(state: Path, letter: str = "") -> dict[int, str]:
    """Processes that a harness with this state folder started, with their tokens.

    Only those in a state, if given.
    """
    found = {}
    for folder in Path("/proc").glob("[1-9]*"):
        try:
            variables = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
            stat = (folder / "stat").read_text()
        except OSError:  # it has ended
            continue
        tokens = [
            text.removeprefix(f"{MARK_VARIABLE}=")
            for text in variables
            if text.startswith(f"{MARK_VARIABLE}=")
        ]
        in_state = letter in ("", stat.rpartition(")")[2].split()[0])
        if tokens and f"XDG_STATE_HOME={state}" in variables and in_state:
            found[int(folder.name)] = tokens[0]
    return found


def _announced(state: Path) -> set[str]:
    """The tokens in all ledgers of a state folder that are not settled."""
    entries = [
        json.loads(line)
        for file in state.rglob("*.jsonl")
        for line in file.read_text().splitlines()
    ]
    done = {entry["token"] for entry in entries if entry["kind"] == "done"}
    return {entry["token"] for entry in entries} - done


@contextmanager
def _lookalike() -> Iterator[subprocess.Popen[bytes]]:
    """A program that looks like a run's endpoint, mark and all, but is of no run."""
    with subprocess.Popen(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            "import sys; sys.stdin.read()",
            str(tcp_endpoint.__file__),
            "{}",
        ],
        env={**os.environ, MARK_VARIABLE: "0123456789abcdef0123456789abcdef"},
        stdin=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        yield process
        process.kill()


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
