"""Guests come and go: however the harness ends, none stays, nor what was made for one."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness import batch, loader, plan, timeline
from harness.errors import CapabilityError
from harness.lab.ledger import MARK_VARIABLE
from harness.plan import Plan
from harness.venue import guest, uml
from harness.venue import kernel as kernels
from harness.venue.kernel import Kernel
from tests.live import test_unprivileged
from tests.live.command import COMMAND, Command, harness, started
from tests.live.test_unprivileged import User

pytestmark = pytest.mark.live

user = test_unprivileged.user

PATIENCE_S = 30.0
SPIN = ("vtime", "--", "sh", "-c", "while :; do :; done")
ALL = ("run", "--clock", "virtual", "--out", "out")
_MAIN = "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main())"
INTERRUPTIBLE = (sys.executable, "-c", f"import signal, sys; from harness.cli import main; {_MAIN}")
"""A shell starts what runs in its background with SIGINT ignored, and so would pytest's children be."""
MAKEFILE = "VERSION = 7\nPATCHLEVEL = 2\nSUBLEVEL = 13\nEXTRAVERSION =\n%:\n\t@sleep 600\n"
HANG = """
import ctypes
from harness.venue import guest

real = guest.execute


def execute(plan, folder, status):
    def hang(name, what, until_ns):
        status(name, what, until_ns)
        if until_ns is not None:
            {hang}
    return real(plan, folder, hang if plan.name == {name!r} else status)


guest.execute = execute
main = guest.main
"""
STOPS = {"got stuck for": "while True: pass", "ended without a result": "ctypes.CDLL(None).reboot(0x4321FEDC)"}


@pytest.mark.parametrize("arguments", [SPIN, ALL], ids=["vtime", "run"])
def test_killed(memory: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """What a killed harness left of guests is in its ledger, and `clean` removes it and nothing else."""
    with _bystander(memory) as other, started(tmp_path, *arguments) as running:
        _await(lambda: _booted(memory, other))
        running.process.kill()
        running.process.wait()
        left = _marked(running.state)
        cleaned = harness(tmp_path, "clean")
        assert cleaned.status == 0, cleaned.err
        # A guest that misses its harness may end by itself, but leaves its folder.
        assert {int(line.split()[2]) for line in cleaned.out.splitlines() if "removed process" in line} <= left
        assert cleaned.out.count("removed folder") == len(left) > 0
        assert not _marked(running.state)
        assert list(memory.iterdir()) == [other]
        assert harness(tmp_path, "clean").out == "nothing to remove\n"


@pytest.mark.parametrize("arguments", [SPIN, ALL], ids=["vtime", "run"])
@pytest.mark.parametrize(("number", "word"), [(signal.SIGTERM, "ended by SIGTERM"), (signal.SIGHUP, "ended by SIGHUP")])
def test_told_to_end(
    memory: Path, tmp_path: Path, arguments: tuple[str, ...], number: signal.Signals, word: str
) -> None:
    """A signal to end ends the guests too, is told, and is in the exit status as in a shell's."""
    with started(tmp_path, *arguments) as running:
        _await(lambda: _booted(memory))
        running.process.send_signal(number)
        ended = running.wait()
    kept = "; what was recorded is kept" if arguments == ALL else ""
    assert ended.status == 128 + number
    assert ended.err.splitlines()[-1] == f"harness: {word}{kept}"
    _check_gone(running, memory)


def test_interrupted(memory: Path, tmp_path: Path) -> None:
    """Ctrl-C ends a run in virtual time at once; what was recorded can be judged."""
    with started(tmp_path, *ALL, command=INTERRUPTIBLE) as running:
        _await(lambda: _booted(memory))
        running.process.send_signal(signal.SIGINT)
        ended = running.wait()
    assert ended.status == 130
    assert ended.err.splitlines()[-1] == "harness: interrupted; what was recorded is kept"
    _check_gone(running, memory)
    assert list(running.out.rglob(plan.FILE_NAME))
    assert harness(tmp_path, "judge", "out").status == 3


def test_a_build_that_is_told_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make and what it has started end with `harness kernel build`."""
    try:
        kernels.check_tools()
    except CapabilityError as reason:
        pytest.skip(str(reason))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tree = tmp_path / "tree"
    (tree / "arch/um").mkdir(parents=True)
    (tree / "arch/um/Kconfig").write_text("config HZ\n\tint\n\tdefault 100\n")
    (tree / "Kconfig").write_text('mainmenu "Linux"\n\nsource "arch/um/Kconfig"\n')
    (tree / "Makefile").write_text(MAKEFILE)
    with started(tmp_path / "here", "kernel", "build", "--source", str(tree)) as running:
        _await(lambda: len(_marked(running.state)) == 2)  # make and its sleep
        running.process.send_signal(signal.SIGTERM)
        ended = running.wait()
    assert ended.status == 143
    assert ended.err.splitlines()[-1] == "harness: ended by SIGTERM"
    _await(lambda: not _marked(running.state))
    assert harness(tmp_path / "here", "clean").out == "nothing to remove\n"
    assert not list((tmp_path / "cache").rglob(".build-*"))


@pytest.mark.parametrize("ending", STOPS)
def test_a_plan_that_takes_its_guest_with_it(
    memory: Path, kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """It alone is inconclusive, with what it recorded and the guest's last words; those after it get another guest."""
    del memory
    scenarios = loader.find(["outcomes"])[:3]
    bad = scenarios[1].name
    (tmp_path / "hanging.py").write_text(HANG.format(hang=STOPS[ending], name=bad))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(guest, "__name__", "hanging")
    monkeypatch.setattr(uml, "WALL_LIMIT_S", 8.0)
    plans = [plan.make(scenario, uml.machine(kernel)) for scenario in scenarios]
    results = _run(plans, tmp_path / "out", kernel)
    assert [result.verdict.verdict for result in results] == ["pass", "inconclusive", "pass"]
    assert f"the guest {ending}" in results[1].verdict.reason
    for events in (results[1].events, timeline.load(tmp_path / "out" / bad)):
        kinds = [event.kind for event in events]
        assert {"opened", "lab.ready", "subject.armed"} <= set(kinds)
        assert kinds[-1] == "run.broken"
        assert "its last words:" in events[-1].data["error"]


def test_an_ordinary_user(user: User, kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Virtual time needs no privilege at all."""
    shutil.copytree(
        kernel.path.parent, user.folder / "cache" / "keepalive-harness" / "kernels" / kernel.path.parent.name
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(user.folder / "cache"))
    script = "sleep 7200; id -u; mkdir mine/made"
    (user.folder / "mine").mkdir()
    if os.geteuid() == 0:
        os.chown(user.folder / "mine", user.uid, user.uid)
    vtime = (*COMMAND, "vtime", "--write", "mine", "--", "sh", "-c", script)
    ended = test_unprivileged._run(user.prefix, *vtime, cwd=user.folder)
    assert ended.returncode == 0, ended.stderr
    assert "harness: 7200." in ended.stderr
    assert (user.folder / "mine" / "made").stat().st_uid == user.uid
    run = (*COMMAND, "run", "--clock", "virtual", "outcomes/peer-down", "--out", "out")
    ended = test_unprivileged._run(user.prefix, *run, cwd=user.folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr


# --- helpers ---------------------------------------------------------------------------------------------


class _Silent:
    def status(self, name: str, what: str, until_ns: int | None) -> None:
        """Nobody looks on."""

    def done(self, result: batch.Result) -> None:
        """Nobody waits for one."""


def _run(plans: Sequence[Plan], out: Path, kernel: Kernel) -> list[batch.Result]:
    def venue(some: Sequence[Plan], folder: Path, status: Any) -> Any:
        return uml.run_all(some, folder, status, kernel, jobs=1)

    return batch.run(plans, out, _Silent(), venue)


@contextmanager
def _bystander(memory: Path) -> Iterator[Path]:
    """A folder that looks like a guest's, but is in no ledger."""
    folder = memory / f"{uml.FOLDER_PREFIX}0123456789ab"
    folder.mkdir()
    try:
        yield folder
    finally:
        folder.rmdir()


def _booted(memory: Path, *but: Path) -> bool:
    """Whether the guest of every folder there is has begun its job."""
    folders = [folder for folder in memory.iterdir() if folder not in but]
    return bool(folders) and all((folder / "begun").exists() for folder in folders)


def _check_gone(running: Command, memory: Path) -> None:
    assert not _marked(running.state)
    assert not list(memory.iterdir())
    assert harness(running.folder, "clean").out == "nothing to remove\n"


def _marked(state: Path) -> set[int]:
    """Processes that a harness with this state folder has announced; of a guest that is the kernel, of a build all."""
    tokens = {
        line.split('"token":"')[1][:32]
        for file in state.rglob("ledger/*.jsonl")
        for line in file.read_text().splitlines()
    }
    _TOKENS.setdefault(state, set()).update(tokens)
    found = set()
    for folder in Path("/proc").glob("[1-9]*"):
        try:
            variables = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it has ended
            continue
        if any(variable.removeprefix(f"{MARK_VARIABLE}=") in _TOKENS[state] for variable in variables):
            found.add(int(folder.name))
    return found


_TOKENS: dict[Path, set[str]] = {}
"""Those that were seen in the ledgers of a state folder, also after the ledgers are gone."""


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
