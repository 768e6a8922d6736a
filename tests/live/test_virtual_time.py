"""`harness vtime`: a command in a guest is as it is here, but for its clock and what it may
write.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.lab.run_folders import RUN_MARK
from harness.venue.kernel import Kernel
from tests.live.command import CHECKOUT, COMMAND, PATIENCE_S, environment, send
from tests.running import note_retry

pytestmark = [pytest.mark.live, pytest.mark.virtual]

SPIN = "while :; do :; done"
MEGABYTE = 1_000_000
MEMORY = ("/dev/shm", "/tmp", "/var/tmp")  # noqa: S108 - covered by a mount, not written
PANIC = """
echo begun
sleep 1
echo 1 > /proc/sys/vm/panic_on_oom
exec python3 -c 'taken = []
while True: taken.append(b"x" * (32 << 20))'
"""
REBOOT = "import ctypes; print('begun', flush=True); ctypes.CDLL(None).reboot({})"
RESTART, POWER_OFF = 0x01234567, 0x4321FEDC
"""Of reboot(2)."""
TO_ITSELF = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
    print(client.getpeername() == server.getsockname())
"""  # noqa: E501
NO_TIME_TRAVEL = """#!/bin/sh
case "$1" in
--showconfig) echo CONFIG_UML=y; echo CONFIG_HZ=100 ;;
--version) echo 6.12.1 ;;
esac
"""

Ended = subprocess.CompletedProcess[bytes]


@pytest.fixture
def vtime(memory: Path, tmp_path: Path) -> Callable[..., Ended]:
    """Run `harness vtime` with these options and this command, in the test's folder."""
    del memory

    def run(
        *command: str, options: tuple[str, ...] = (), given: bytes = b"", **variables: str
    ) -> Ended:
        return subprocess.run(
            [*COMMAND, "vtime", *options, "--", *command],
            cwd=tmp_path,
            env={**environment(tmp_path / "state"), **variables},
            input=given,
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )

    return run


def _virtual_s(ended: Ended) -> float:
    found = re.search(
        rb"^harness: ([\d.]+) s of virtual time in [\d.]+ s$", ended.stderr, re.MULTILINE
    )
    assert found, ended.stderr
    return float(found[1])


# --- as here ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("exit 0", 0),
        ("exit 7", 7),
        ("no-such-command", 127),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
    ],
)
def test_the_exit_status_is_the_commands(
    vtime: Callable[..., Ended], script: str, status: int
) -> None:
    """A status comes through as it is, a signal as a shell tells it: 128 and its number."""
    ended = vtime("sh", "-c", script)
    assert ended.returncode == status, ended.stderr
    assert _virtual_s(ended) >= 0


def test_both_streams_stay_apart(vtime: Callable[..., Ended]) -> None:
    """What the command writes to its standard output is on ours, and its errors with our own line
    on the other.
    """
    ended = vtime("sh", "-c", "echo one; echo two >&2; echo three")
    assert ended.stdout == b"one\nthree\n"
    assert re.fullmatch(rb"two\nharness: [\d.]+ s of virtual time in [\d.]+ s\n", ended.stderr)


def test_a_megabyte_passes_both_ways(vtime: Callable[..., Ended]) -> None:
    """Input and output of any size and content come through whole."""
    data = os.urandom(MEGABYTE)
    ended = vtime("cat", given=data)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == data


def test_output_stays_in_no_memory(vtime: Callable[..., Ended]) -> None:
    """Not in the guest's, which would keep all of it in its page cache."""
    cached = "grep ^Cached: /proc/meminfo >&2"
    ended = vtime("sh", "-c", f"{cached}; head -c 16M /dev/zero; {cached}")
    before, after = (
        int(kib) for kib in re.findall(rb"^Cached: *(\d+) kB", ended.stderr, re.MULTILINE)
    )
    assert len(ended.stdout) == 16 << 20
    assert after - before < 4 << 10, ended.stderr


@pytest.mark.parametrize("closing", ["<&-", "</dev/null", "0>/dev/null"])
def test_no_input(memory: Path, tmp_path: Path, closing: str) -> None:
    """Closed, empty, or open for writing alone, as nohup leaves it: the command finds an empty one,
    at once.
    """
    del memory
    script = shlex.join([*COMMAND, "vtime", "--", "wc", "-c"])
    ended = subprocess.run(
        ["/bin/sh", "-c", f"{script} {closing}"],
        env=environment(tmp_path / "state"),
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, b"0\n"), ended.stderr
    assert _virtual_s(ended) < 1


def test_input_without_end(memory: Path, tmp_path: Path) -> None:
    """It is not waited for: the command begins with the first of it, and gets more only as it takes
    it.
    """
    command = [*COMMAND, "vtime", "--", "sh", "-c", f"head -c 3000000 | wc -c; {SPIN}"]
    with (
        subprocess.Popen([shutil.which("yes") or "yes"], stdout=subprocess.PIPE) as endless,
        subprocess.Popen(
            command,
            env=environment(tmp_path / "state"),
            stdin=endless.stdout,
            stdout=subprocess.PIPE,
        ) as process,
    ):
        assert process.stdout is not None
        assert endless.stdout is not None
        endless.stdout.close()
        assert process.stdout.readline() == b"3000000\n"
        time.sleep(1)
        (folder,) = memory.iterdir()
        assert sum(path.stat().st_size for path in folder.glob("stdin.*")) <= 16 * 65536
        process.terminate()


def test_a_dialogue(memory: Path, tmp_path: Path) -> None:
    """Input that comes later is waited for, for however many days of virtual time that is, and
    answers come at once.
    """
    del memory
    program = "import sys\nfor line in sys.stdin: print('heard', line, end='', flush=True)"
    with subprocess.Popen(
        [*COMMAND, "vtime", "--", sys.executable, "-c", program],
        env=environment(tmp_path / "state"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for word in (b"one\n", b"two\n"):
            process.stdin.write(word)
            process.stdin.flush()
            assert process.stdout.readline() == b"heard " + word
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (0, b""), err


def test_environment_and_folder(vtime: Callable[..., Ended], tmp_path: Path) -> None:
    """The command starts where we are, with our variables and one that tells it of the clock, and
    without ours.
    """
    script = 'pwd; echo "$SOME_WORDS"; echo "$KEEPALIVE_HARNESS_CLOCK"; env | grep -c HARNESS_MARK'
    ended = vtime("sh", "-c", script, SOME_WORDS="two  words\nand lines")
    assert ended.stdout.decode() == f"{tmp_path}\ntwo  words\nand lines\nvirtual\n0\n"


def test_the_loopback_is_up(vtime: Callable[..., Ended]) -> None:
    """Programs that talk to themselves over TCP can do so."""
    ended = vtime(sys.executable, "-c", TO_ITSELF)
    assert ended.stdout == b"True\n", ended.stderr


def test_two_hours_take_two_hours(vtime: Callable[..., Ended]) -> None:
    """Sleep and the date agree, in virtual time."""
    ended = vtime("sh", "-c", "date +%s; sleep 7200; date +%s")
    before, after = (int(line) for line in ended.stdout.split())
    assert 7200 <= after - before <= 7201
    assert 7200 <= _virtual_s(ended) < 7201


def test_readings_of_the_clock_take_no_time(vtime: Callable[..., Ended]) -> None:
    """So that a scenario which is judged exactly may run in any guest, whatever else reads the
    clock there.
    """
    program = (
        "import time; first = time.monotonic_ns(); print({time.monotonic_ns() - first for _ in "
        "range(1000)})"
    )
    ended = vtime(sys.executable, "-c", program)
    assert (ended.returncode, ended.stdout) == (0, b"{0}\n"), ended.stderr


def test_a_terminal_is_a_terminal(memory: Path, tmp_path: Path) -> None:
    """Where we have a terminal the command has one, of the same size; Ctrl-C ends it.

    While a program spins a guest takes no input at all: then the second one ends the guest.
    """
    del memory
    script = shlex.join(["sh", "-c", f"stty size; tty; echo begun; {SPIN}"])
    pid, master = pty.fork()
    if pid == 0:
        os.environ.update(environment(tmp_path / "state"))
        sized = f"stty rows 33 cols 77; exec {shlex.join(COMMAND)} vtime -- {script}"
        os.execv("/bin/sh", ["sh", "-c", sized])  # noqa: S606
    seen = b""
    try:
        while b"begun" not in seen:
            seen += os.read(master, 4096)
        deadline = time.monotonic() + PATIENCE_S
        while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0:
            assert time.monotonic() < deadline
            os.write(master, b"\x03")
            time.sleep(0.5)
    finally:
        os.close(master)
    assert os.waitstatus_to_exitcode(ended[1]) == 130
    assert b"33 77" in seen
    assert b"/dev/pts/" in seen


# --- what it may write --------------------------------------------------------------------------


def test_only_the_named_folders_are_written(vtime: Callable[..., Ended], tmp_path: Path) -> None:
    """The command may write anywhere; here that shows in the named folders alone."""
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "old").write_text("before")
    script = """
    set -e
    for folder in mine other; do echo after > $folder/old; mkdir $folder/new; echo made > $folder/new/file; done
    rm -r other/new; mv mine/new mine/newer; echo x > /etc/harness-test; cat other/old /etc/harness-test
    """  # noqa: E501
    ended = vtime("sh", "-c", script, options=("--write", "mine"))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == b"after\nx\n"
    assert (tmp_path / "mine" / "old").read_text() == "after\n"
    assert (tmp_path / "mine" / "newer" / "file").read_text() == "made\n"
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["newer", "old"]
    assert [(path.name, path.read_text()) for path in (tmp_path / "other").iterdir()] == [
        ("old", "before")
    ]
    assert not Path("/etc/harness-test").exists()


@pytest.mark.parametrize("folder", ["missing", "file"])
def test_a_folder_that_cannot_be_written_is_refused(
    vtime: Callable[..., Ended], tmp_path: Path, folder: str
) -> None:
    """Before any guest is booted."""
    (tmp_path / "file").touch()
    ended = vtime("true", options=("--write", folder))
    assert ended.returncode == 2
    assert (
        ended.stderr.decode()
        == f"harness: --write: expected a folder that can be written, found {folder}\n"
    )


def test_a_folder_that_the_guest_does_not_see(memory: Path, tmp_path: Path) -> None:
    """It has a /dev of its own; the way out is told, and works."""
    del memory
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:

        def ended(*words: str) -> Ended:
            command, variables = [*COMMAND, "vtime", *words], environment(tmp_path / "state")
            return subprocess.run(
                command,
                cwd=folder,
                env=variables,
                capture_output=True,
                timeout=PATIENCE_S,
                check=False,
            )

        refused = ended("pwd")
        assert (refused.returncode, refused.stdout) == (126, b"")
        expected = (
            f"found No such file or directory: {folder}; a guest has its own /proc, /sys, /dev, "
            "/run: "
        )
        assert f"{expected}add --write {folder}, or use another folder\n" in refused.stderr.decode()
        assert ended("--write", folder, "pwd").stdout.decode() == f"{folder}\n"


# --- what does not go well ----------------------------------------------------------------------


def test_a_command_that_is_not_there(vtime: Callable[..., Ended]) -> None:
    """It is looked for here, so no guest is booted."""
    ended = vtime("no-such-command", "--option")
    assert ended.returncode == 2
    assert (
        ended.stderr
        == b"harness: expected a command that can be run, found nothing at 'no-such-command'\n"
    )
    assert vtime().returncode == 2


def test_the_wall_limit(vtime: Callable[..., Ended]) -> None:
    """A program that spins is ended; what it said until then is here."""
    ended = vtime("sh", "-c", f"echo begun; {SPIN}", options=("--wall-limit", "3"))
    assert ended.returncode == 3
    assert ended.stdout == b"begun\n"
    assert ended.stderr.startswith(
        b"harness: sh did not end in 3 s of wall time (--wall-limit); it was at work: no day "
        b"of virtual time has passed"
    )


@pytest.mark.parametrize("limit", ["-1", "nan", "inf", "soon"])
def test_a_wall_limit_that_is_none(vtime: Callable[..., Ended], limit: str) -> None:
    """It is refused before any guest is booted."""
    ended = vtime("true", options=(f"--wall-limit={limit}",))
    assert ended.returncode == 2
    words = ended.stderr.decode()
    assert "argument --wall-limit: expected seconds from 0 on (0: no limit)" in words
    assert words.endswith(f"found {limit}\n")


def test_a_command_that_waits_for_input(memory: Path, tmp_path: Path) -> None:
    """Who may still type is waited for.

    The wall limit ends that, and says that the guest was idle; on a busy machine, where it boots
    late, a longer one.
    """
    del memory
    words = b""
    for limit_s in ("4", "30"):
        with subprocess.Popen(
            [*COMMAND, "vtime", "--wall-limit", limit_s, "--", "cat"],
            env=environment(tmp_path / "state"),
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stderr is not None
            words = process.stderr.read()
            process.wait(PATIENCE_S)
        assert process.returncode == 3
        if b"it was at work" not in words:
            break
        note_retry(["cat"], f"it had not begun to wait after {limit_s} s; then with a longer limit")
    assert re.search(
        rb"it was idle: no process has run for \d+ days of virtual time, and its standard input",
        words,
    )


def test_nothing_left_to_wait_for(vtime: Callable[..., Ended]) -> None:
    """A program that nothing can wake is not waited for.

    One that sleeps for a week is not such a one.
    """
    ended = vtime(sys.executable, "-c", "import signal; print('begun', flush=True); signal.pause()")
    assert ended.returncode == 3
    assert ended.stdout == b"begun\n"
    assert b"has nothing left to wait for" in ended.stderr
    ended = vtime("sleep", str(7 * 86400))
    assert ended.returncode == 0, ended.stderr
    assert _virtual_s(ended) >= 7 * 86400


THREADS = """
import threading, time
worker = threading.Thread(target=lambda: [time.sleep(20 * {day}) for _ in range(2)])
worker.start()
worker.join()
"""


@pytest.mark.parametrize("program", ["import time; time.sleep(40 * {day})", THREADS])
def test_whoever_waits_for_a_time_is_waited_for(vtime: Callable[..., Ended], program: str) -> None:
    """For however long, and in whatever thread."""
    ended = vtime(sys.executable, "-c", program.format(day=86400))
    assert ended.returncode == 0, ended.stderr
    assert _virtual_s(ended) >= 40 * 86400


def test_a_panic_is_told(vtime: Callable[..., Ended]) -> None:
    """The guest's kernel dies (here of memory, where it may not kill a program for it).

    Its words say why.
    """
    ended = vtime("sh", "-c", PANIC)
    assert ended.returncode == 3
    assert ended.stdout == b"begun\n"
    assert ended.stderr.startswith(b"harness: the guest panicked; its last words:\n")
    assert b"Kernel panic - not syncing: Out of memory" in ended.stderr


@pytest.mark.parametrize(
    ("way", "words"), [(RESTART, "rebooted from within"), (POWER_OFF, "Power down")]
)
def test_a_guest_that_is_taken_down_from_within(
    vtime: Callable[..., Ended], way: int, words: str
) -> None:
    """The command is not run a second time, and its status is not made up."""
    ended = vtime(sys.executable, "-c", REBOOT.format(way))
    assert ended.returncode == 3
    assert ended.stdout in (b"", b"begun\n")
    assert ended.stderr.startswith(b"harness: the guest ended without a result; its last words:\n")
    assert words in ended.stderr.decode()


def test_output_that_nobody_reads(memory: Path, tmp_path: Path) -> None:
    """As with any program before a closed pipe: it ends, with a shell's status for SIGPIPE."""
    del memory
    harness = shlex.join(
        [*COMMAND, "vtime", "--", "sh", "-c", f"echo one; sleep 1; echo two; {SPIN}"]
    )
    script = f"{{ {harness}; echo $? >status; }} | head -n 1"
    environ = environment(tmp_path / "state")
    ended = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == (b"one\n", b"")
    assert (tmp_path / "status").read_text() == "141\n"


# --- where it cannot be -------------------------------------------------------------------------


def test_without_a_kernel(vtime: Callable[..., Ended], tmp_path: Path) -> None:
    """The one command that fixes it is told."""
    ended = vtime("true", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert ended.returncode == 3
    assert ended.stderr.decode().endswith(
        "Fix: harness kernel build (once, about 5 minutes on 2 cores)\n"
    )


def test_a_kernel_without_time_travel(vtime: Callable[..., Ended], tmp_path: Path) -> None:
    """It is asked what it can do before it is booted."""
    path = tmp_path / "linux"
    path.write_text(NO_TIME_TRAVEL)
    path.chmod(0o755)
    ended = vtime("true", options=("--kernel", str(path)))
    assert ended.returncode == 3
    assert b"configured without UML_TIME_TRAVEL_SUPPORT" in ended.stderr
    assert vtime("true", options=("--kernel", "/bin/true")).returncode == 2


def _noexec(folders: tuple[Path, ...], but: tuple[Path, ...]) -> tuple[str, ...]:
    """What a command begins with to run where some folders are mounted noexec, `but` for those it
    is made of.
    """
    quoted = [shlex.quote(str(folder)) for folder in folders]
    mounts = [f"mount --bind {folder} {folder}" for folder in map(shlex.quote, map(str, but))]
    mounts += [
        f"mount --rbind {folder} {folder}; mount -o remount,bind,noexec {folder}"
        for folder in quoted
    ]
    namespace = ["unshare", "--mount", "--propagation", "private"]
    prefix = (*namespace, *(() if os.geteuid() == 0 else ("--user", "--map-root-user")))
    return (*prefix, "sh", "-ec", "\n".join([*mounts, 'exec "$@"']), "sh")


@pytest.mark.parametrize("everywhere", [False, True])
def test_memory_that_cannot_be_executed(kernel: Kernel, *, everywhere: bool) -> None:
    """Another folder is used; where there is none, all are named with the fix."""
    needed = (CHECKOUT, Path(sys.prefix), Path(sys.base_prefix), kernel.path.parent)
    with tempfile.TemporaryDirectory(dir=Path.home()) as home:
        folders = (Path(home), *((Path(name) for name in MEMORY) if everywhere else ()))
        ended = subprocess.run(
            [*_noexec(folders, needed), *COMMAND, "vtime", "--", "echo", "done"],
            cwd=home,
            env={**environment(Path(home, "state")), "TMPDIR": home},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    if "mount:" in ended.stderr or "unshare:" in ended.stderr:
        pytest.skip(f"this machine lets nobody mount: {ended.stderr}")
    assert (ended.returncode, ended.stdout) == ((3, "") if everywhere else (0, "done\n")), (
        ended.stderr
    )
    if everywhere:
        for name in (home, *MEMORY):
            assert f"{name} is mounted noexec" in ended.stderr
        assert "Fix: set TMPDIR" in ended.stderr


@pytest.mark.parametrize(
    ("script", "interrupts", "status", "answer"),
    [
        ("trap 'echo heard; exit 9' INT; echo begun; sleep 100000000 & wait", 1, 9, b"heard\n"),
        # Not a child of the shell's: dash forgets an interrupt that comes as it forks, here as on
        # any Linux (3 in 100).
        (
            (
                f'exec {sys.executable} -c \'print("begun", flush=True); import time; '
                "time.sleep(1e8)'"
            ),
            1,
            130,
            b"",
        ),
        (f"echo begun; {SPIN}", 2, 130, b""),
    ],
)
def test_interrupts(
    memory: Path, tmp_path: Path, script: str, interrupts: int, status: int, answer: bytes
) -> None:
    """The first interrupt is the command's, which may make of it what it likes.

    The second ends the guest.
    """
    del memory
    with subprocess.Popen(
        [*INTERRUPTIBLE, "vtime", "--", "sh", "-c", script],
        env=environment(tmp_path / "state"),
        stdin=subprocess.PIPE,  # left open: while there is more to come nothing is given up
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        for _ in range(interrupts):
            send(process, signal.SIGINT)
        process.wait(PATIENCE_S)
        out, words = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (status, answer), words
    # A guest in which a program spins may take no more input, so that it needs the second one, or
    # just have done so.
    assert words.endswith((b" s\n", b"harness: interrupted\n")[:interrupts])


def test_run_directories_of_a_guest_count_as_over(
    vtime: Callable[..., Ended], tmp_path: Path
) -> None:
    """Its process IDs are not ours: `harness clean --runs` removes them, whoever has the number
    here.
    """
    state = tmp_path / "state" / "keepalive-harness"
    (state / "runs").mkdir(parents=True)
    program = "from harness.lab import run_folders; run_folders.new('one')"
    ended = vtime(sys.executable, "-c", program, options=("--write", str(state / "runs")))
    assert ended.returncode == 0, ended.stderr
    mark = state / "runs" / "one" / RUN_MARK
    mark.write_text(f"{os.getpid()} {mark.read_text().split()[1]}")
    ended_here = subprocess.run(
        [*COMMAND, "clean", "--runs"],
        env=environment(tmp_path / "state"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"removed run directory {state / 'runs' / 'one'}\n" in ended_here.stdout


_MAIN = "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main())"
INTERRUPTIBLE = (
    sys.executable,
    "-c",
    f"import signal, sys; from harness.cli.main import main; {_MAIN}",
)
"""The `harness` command, also where the tests run in a shell's background, which has programs
ignore SIGINT.
"""
