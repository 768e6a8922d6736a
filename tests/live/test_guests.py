"""Guests come and go: however the harness ends, none stays, nor what was made for one."""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness import capabilities, timeline
from harness.batch import batch
from harness.errors import CapabilityError, GuestError
from harness.judge.result import Result
from harness.lab.processes import MARK_VARIABLE
from harness.plan import plan_file, planner
from harness.plan.plan import Plan
from harness.scenario import catalogue
from harness.venue import guest, guest_process, kernel_build, uml, vtime
from harness.venue.kernel import Kernel
from tests.live import test_unprivileged
from tests.live.command import CHECKOUT, COMMAND, PATIENCE_S, Command, environment, harness, started
from tests.live.test_unprivileged import User
from tests.running import Silent

pytestmark = [pytest.mark.live, pytest.mark.virtual]

user = test_unprivileged.user

SPIN = ("vtime", "--", "sh", "-c", "while :; do :; done")
MANY = ("run", "firewall", "--clock", "virtual", "--out", "out")
HEEDFUL = ("env", "--default-signal=HUP,INT,TERM", *COMMAND)
"""Whoever starts the tests with nohup, or in a shell's background, has them and their children
ignore signals.
"""
SLOW = """
[server.command]
argv = ["{python}", "{scenario}/slow.py", "{port}"]
ready = { listens = true, within_s = 600 }

[expect]
outcome = "never"
bound_s = 2
"""
SLOW_SERVER = """
print("starting\\nstill starting", flush=True)
while True: pass
"""
MAKEFILE = "VERSION = 7\nPATCHLEVEL = 2\nSUBLEVEL = 13\nEXTRAVERSION =\n%:\n\t@sleep 600\n"
HANG = """
import ctypes
from harness.venue import guest, virtual

real = virtual.execute


def execute(plan, folder, status, *more):
    def hang(name, what, until_ns):
        status(name, what, until_ns)
        if until_ns is not None:
            {hang}
    return real(plan, folder, hang if plan.name == {name!r} else status, *more)


virtual.execute = execute
main = guest.main
"""
STOPS = {
    "it was at work": "while True: pass",
    "it was idle: no program in it ran": "ctypes.CDLL(None).pause()",
    "ended without a result": "ctypes.CDLL(None).reboot(0x4321FEDC)",
}


@pytest.mark.parametrize("arguments", [SPIN, MANY], ids=["vtime", "run"])
def test_killed(memory: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """What a killed harness left of guests is in its ledger, and `clean` removes it and nothing
    else.
    """
    with _bystander(memory) as other, started(tmp_path, *arguments) as running:
        _await(lambda: _booted(memory, other))
        running.process.send_signal(
            signal.SIGSTOP
        )  # from here on no guest comes, and no folder goes
        os.waitpid(running.process.pid, os.WUNTRACED)
        groups, folders = _marked(running.state), set(memory.iterdir()) - {other}
        running.process.kill()
        running.process.wait()
        _await(lambda: not _alive(groups))  # nobody need clean up for that
        assert set(memory.iterdir()) == {*folders, other}
        cleaned = harness(tmp_path, "clean")
        assert cleaned.status == 0, cleaned.err
        assert "removed process" not in cleaned.out
        assert cleaned.out.count("removed folder") == len(folders) > 0
        assert list(memory.iterdir()) == [other]
        assert harness(tmp_path, "clean").out == "nothing to remove\n"


@pytest.mark.parametrize("arguments", [SPIN, MANY], ids=["vtime", "run"])
@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGTERM, "ended by SIGTERM"), (signal.SIGHUP, "ended by SIGHUP")]
)
def test_told_to_end(
    memory: Path, tmp_path: Path, arguments: tuple[str, ...], number: signal.Signals, word: str
) -> None:
    """A signal to end ends the guests too, is told, and is in the exit status as in a shell's."""
    with started(tmp_path, *arguments, command=HEEDFUL) as running:
        _await(lambda: _booted(memory))
        running.process.send_signal(number)
        ended = running.wait()
    kept = "; what was recorded is kept" if arguments == MANY else ""
    assert ended.status == 128 + number
    assert ended.err.splitlines()[-1] == f"harness: {word}{kept}"
    _check_gone(running, memory)


def test_interrupted(memory: Path, tmp_path: Path) -> None:
    """Ctrl-C ends a run in virtual time at once; what was recorded can be judged."""
    with started(tmp_path, *MANY, command=HEEDFUL) as running:
        _await(lambda: _booted(memory))
        running.process.send_signal(signal.SIGINT)
        ended = running.wait()
    assert ended.status == 130
    assert ended.err.splitlines()[-1] == "harness: interrupted; what was recorded is kept"
    _check_gone(running, memory)
    assert list(running.out.rglob(plan_file.FILE_NAME))
    assert harness(tmp_path, "judge", "out").status == 3


def test_a_build_that_is_told_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make and what it has started end with `harness kernel build`."""
    try:
        kernel_build.check_tools()
    except CapabilityError as reason:
        pytest.skip(str(reason))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tree = tmp_path / "tree"
    (tree / "arch/um").mkdir(parents=True)
    (tree / "arch/um/Kconfig").write_text("config HZ\n\tint\n\tdefault 100\n")
    (tree / "Kconfig").write_text('mainmenu "Linux"\n\nsource "arch/um/Kconfig"\n')
    (tree / "Makefile").write_text(MAKEFILE)
    with started(
        tmp_path / "here", "kernel", "build", "--source", str(tree), command=HEEDFUL
    ) as running:
        _await(lambda: len(_marked(running.state)) == 2)  # make and its sleep
        running.process.send_signal(signal.SIGTERM)
        ended = running.wait()
    assert ended.status == 143
    assert ended.err.splitlines()[-1] == "harness: ended by SIGTERM"
    _await(lambda: not _marked(running.state))
    assert harness(tmp_path / "here", "clean").out == "nothing to remove\n"
    assert not list((tmp_path / "cache").rglob(".build-*"))


def test_the_first_scenario_of_a_guest(kernel: Kernel, tmp_path: Path) -> None:
    """One that has just booted sends ICMP errors like any other: its jiffies wrap before the first
    plan.
    """
    del kernel
    ended = harness(tmp_path, "run", "--clock", "virtual", "transport/connecting-rejected")
    assert ended.status == 0, ended


@pytest.mark.parametrize("ending", STOPS)
def test_a_plan_that_takes_its_guest_with_it(
    memory: Path, kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """It alone is inconclusive, with what it recorded and the guest's last words.

    Those after it get another guest.
    """
    del memory
    scenarios = catalogue.find(["outcomes"])[:3]
    bad = scenarios[1].name
    (tmp_path / "hanging.py").write_text(HANG.format(hang=STOPS[ending], name=bad))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(guest, "__name__", "hanging")
    plans = [planner.make(scenario, uml.machine(kernel)) for scenario in scenarios]
    results = _run(plans, tmp_path / "out", kernel, wall_limit_s=4.0)
    assert [result.verdict.verdict for result in results] == ["pass", "inconclusive", "pass"]
    assert ending in results[1].verdict.reason
    for events in (results[1].events, timeline.load(tmp_path / "out" / bad)):
        kinds = [event.kind for event in events]
        assert {"opened", "lab.ready", "subject.armed"} <= set(kinds)
        assert kinds[-1] == "run.broken"
        assert (
            "its last words:" in events[-1].data["error"]
            or "nothing on its console" in events[-1].data["error"]
        )


def test_a_program_that_computes_for_too_long(kernel: Kernel, tmp_path: Path) -> None:
    """It is said to be at work, with what it printed last."""
    del kernel
    (tmp_path / "slow.scenario.toml").write_text(SLOW)
    (tmp_path / "slow.py").write_text(SLOW_SERVER)
    ended = harness(
        tmp_path,
        "run",
        "--clock",
        "virtual",
        "slow.scenario.toml",
        "--json",
        "-",
        "--wall-limit",
        "1",
    )
    assert ended.status == 3, ended
    (told,) = json.loads(ended.out)["scenarios"]
    assert "(--wall-limit 1); it was at work" in told["reason"]
    assert "server's last lines: starting | still starting" in told["reason"]
    assert "printed nothing" not in told["reason"]


def test_an_ordinary_user(user: User, kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Virtual time needs no privilege at all."""
    shutil.copytree(
        kernel.path.parent,
        user.folder / "cache" / "keepalive-harness" / "kernels" / kernel.path.parent.name,
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


# --- where a guest lives ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("free", "found"),
    [
        ({"first": 512, "second": 9000}, ("first", 512)),
        ({"first": 511, "second": 512}, ("second", 512)),
        ({"first": 256, "second": 300, "third": 280}, ("second", 300)),
        ({"two words": 9000, "missing": 9000, "last": 400}, ("last", 400)),
    ],
)
def test_where_its_memory_lives(
    places: Callable[[Mapping[str, int]], None],
    tmp_path: Path,
    free: Mapping[str, int],
    found: tuple[str, int],
) -> None:
    """The first folder with room for all of it, or the one with the most.

    None that cannot be named to a kernel.
    """
    places(free)
    assert guest_process.memory_folder() == (tmp_path / found[0], found[1])


def test_no_room_for_its_memory(
    places: Callable[[Mapping[str, int]], None], kernel: Kernel
) -> None:
    """What every folder lacks is told, with the fix; by `harness doctor` too."""
    del kernel
    places({"small": 255, "two words": 9000, "missing": 9000})
    told = capabilities._attempt(
        "virtual time", capabilities._virtual_time, "", "", essential=False
    )
    assert not told.available
    for lack in (
        "small has 255 MiB free",
        "two words has a blank",
        "missing is not a folder that can be written",
    ):
        assert lack in told.found
    assert told.fix.startswith("set TMPDIR to a folder")


def test_little_memory(
    memory: Path,
    kernel: Kernel,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    """The guest is told to use no more than there is, and when it dies, that it had less than
    others is told.
    """
    monkeypatch.setattr(guest_process, "_free_mb", lambda _: 300)
    script = (
        "grep MemTotal /proc/meminfo; python3 -c 'import ctypes; "
        "ctypes.CDLL(None).reboot(0x4321FEDC)'"
    )
    with pytest.raises(
        GuestError, match=r"without a result \(with 300 MiB of memory: no folder has 512 MiB free"
    ):
        vtime.run(kernel, ["sh", "-c", script])
    assert 150_000 < int(capfdbinary.readouterr().out.split()[1]) < 300 << 10
    assert not list(memory.iterdir())


def test_a_small_temporary_folder(kernel: Kernel, tmp_path: Path) -> None:
    """A guest that uses more memory than is free in TMPDIR lives elsewhere."""
    del kernel
    (tmp_path / "small").mkdir()
    mount = f"mount -t tmpfs -o size=64m tmpfs {shlex.quote(str(tmp_path / 'small'))}"
    namespace = ["unshare", "--mount", "--propagation", "private"]
    prefix = (*namespace, *(() if os.geteuid() == 0 else ("--user", "--map-root-user")))
    command = (*prefix, "sh", "-ec", f'{mount}; TMPDIR=small exec "$@"', "sh", *COMMAND)
    with started(
        tmp_path, "vtime", "--", "head", "-c", "100M", "/dev/zero", command=command
    ) as running:
        ended = running.process.wait()
        size = (tmp_path / "stdout").stat().st_size
    error = (tmp_path / "stderr").read_text()
    if "mount:" in error or "unshare:" in error:
        pytest.skip(f"this machine lets nobody mount: {error}")
    assert (ended, size) == (0, 100 << 20), error


@pytest.mark.usefixtures("memory")
def test_paths_with_blanks(kernel: Kernel, tmp_path: Path) -> None:
    """Of the checkout, the interpreter, the kernel, the working directory and TMPDIR, which is
    passed over.
    """
    home = tmp_path / "my proj"
    shutil.copytree(
        CHECKOUT / "harness", home / "harness", ignore=shutil.ignore_patterns("__pycache__")
    )
    (home / "bin").mkdir()
    for name in ("lib", "lib64"):
        (home / name).symlink_to(Path(sys.base_prefix, name))
    python = shutil.copy(
        os.path.realpath(getattr(sys, "_base_executable", sys.executable)), home / "bin"
    )
    (home / "cache" / "keepalive-harness" / "kernels").mkdir(parents=True)
    shutil.copytree(
        kernel.path.parent, home / "cache/keepalive-harness/kernels" / kernel.path.parent.name
    )
    path = os.pathsep.join(
        (str(home), *(name for name in sys.path if name and name != str(CHECKOUT)))
    )
    places = {"PYTHONPATH": path, "TMPDIR": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    ended = subprocess.run(
        [
            python,
            "-P",
            "-m",
            "harness",
            "vtime",
            "--write",
            ".",
            "--",
            "sh",
            "-c",
            "pwd; sleep 60; echo done > made",
        ],
        cwd=home,
        env={**environment(tmp_path / "state"), **places},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, f"{home}\n"), ended.stderr
    assert (home / "made").read_text() == "done\n"


def test_a_folder_that_cannot_be_filled(memory: Path, kernel: Kernel) -> None:
    """It is told as what it is, with the fix, and taken away; the kernel is not blamed."""

    def fill(folder: Path) -> Mapping[str, Any]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))

    with (
        pytest.raises(CapabilityError, match=rf"No space left on device at {memory}/.*set TMPDIR"),
        _boot(kernel, fill),
    ):
        pass
    nowhere = Kernel(kernel.name, memory / "linux", kernel.manifest)
    with (
        pytest.raises(GuestError, match=rf"expected to start {memory}/linux, found No such file"),
        _boot(nowhere),
    ):
        pass
    assert not list(memory.iterdir())


def test_each_guest_has_a_cpu_of_its_own() -> None:
    """As long as there are any; other guests of this machine may have some of them."""
    cpus = os.sched_getaffinity(0)
    with ExitStack() as stack:
        taken = [stack.enter_context(guest_process._free_cpu()) for _ in range(len(cpus) + 1)]
    found = [cpu for cpu in taken if cpu is not None]
    assert len(set(found)) == len(found)
    assert set(found) <= cpus
    assert None in taken


# --- helpers ------------------------------------------------------------------------------------


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, int]], None]:
    """Have these folders, in this order, for guests' memory, with so many MiB free.

    TMPDIR is the first.
    """

    def have(free: Mapping[str, int]) -> None:
        for name in free:
            if name != "missing":
                (tmp_path / name).mkdir()
        first, *others = (str(tmp_path / name) for name in free)
        monkeypatch.setenv("TMPDIR", first)
        monkeypatch.setattr(guest_process, "_TEMPORARY", tuple(others))
        monkeypatch.setattr(guest_process, "_free_mb", lambda path: free[path.name])

    return have


def _boot(kernel: Kernel, prepare: Callable[[Path], Mapping[str, Any]] = lambda _: {}) -> Any:
    return guest_process.boot(
        kernel, {"module": guest.__name__, "folders": []}, [], prepare=prepare
    )


def _run(plans: Sequence[Plan], out: Path, kernel: Kernel, wall_limit_s: float) -> list[Result]:
    def venue(some: Sequence[Plan], folder: Path, status: Any) -> Any:
        return uml.run_all(some, folder, status, kernel, jobs=1, wall_limit_s=wall_limit_s)

    return batch.run(plans, out, Silent(), venue)


@contextmanager
def _bystander(memory: Path) -> Iterator[Path]:
    """A folder that looks like a guest's, but is in no ledger."""
    folder = memory / f"{guest_process.FOLDER_PREFIX}0123456789ab"
    folder.mkdir()
    try:
        yield folder
    finally:
        folder.rmdir()


def _booted(memory: Path, *but: Path) -> bool:
    """Whether the guest of every folder there is has begun its job."""
    folders = [folder for folder in memory.iterdir() if folder not in but]
    return bool(folders) and all((folder / "begun").exists() for folder in folders)


def _alive(groups: set[int]) -> list[str]:
    """The processes of these process groups that have not ended."""
    found = []
    for folder in Path("/proc").glob("[1-9]*"):
        try:
            state, _, group, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(group) in groups and state != "Z":
            found.append(folder.name)
    return found


def _check_gone(running: Command, memory: Path) -> None:
    assert not _marked(running.state)
    assert not list(memory.iterdir())
    assert harness(running.folder, "clean").out == "nothing to remove\n"


def _marked(state: Path) -> set[int]:
    """Processes that a harness with this state folder has announced.

    Of a guest that is the kernel, of a build all.
    """
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
        if any(
            variable.removeprefix(f"{MARK_VARIABLE}=") in _TOKENS[state] for variable in variables
        ):
            found.add(int(folder.name))
    return found


_TOKENS: dict[Path, set[str]] = {}
"""Those that were seen in the ledgers of a state folder, also after the ledgers are gone."""


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
