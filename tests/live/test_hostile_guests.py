"""A guest survives what programs in it do, and writes to the host only what it was given."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.venue import guest_process, kernel_files, trial
from harness.venue.kernel import Kernel
from tests.live.command import COMMAND, PATIENCE_S, environment

pytestmark = [pytest.mark.live, pytest.mark.virtual]

ATTEMPTS = """
import ctypes, errno, os, stat, sys
libc = ctypes.CDLL(None, use_errno=True)

def attempt(what, action):
    try:
        result = action()
        if result == -1:
            raise OSError(ctypes.get_errno(), "")
        print(what, "done", flush=True)
    except OSError as error:
        print(what, errno.errorcode[error.errno], flush=True)
"""
FROM_WITHIN = f"""{ATTEMPTS}
outside, inside = sys.argv[1:]
attempt("io_uring", lambda: libc.syscall(425, 8, ctypes.create_string_buffer(256)))
attempt("mount", lambda: libc.mount(b"none", b"/mnt", b"hostfs", 0, b"/"))
attempt("device", lambda: os.mknod(f"{{inside}}/device", 0o600 | stat.S_IFCHR, os.makedev(1, 3)))
attempt("fifo", lambda: os.mkfifo(f"{{inside}}/fifo"))
attempt("inside", lambda: os.mkdir(f"{{inside}}/new"))
attempt("outside", lambda: os.mkdir(f"{{outside}}/new"))
"""
AS_INIT = f"""{ATTEMPTS}
outside, inside = {{outside!r}}, {{inside!r}}
attempt("mount", lambda: libc.mount(b"none", b"/tmp", b"hostfs", 0, b"/"))
attempt("device", lambda: os.mknod(f"/tmp{{{{inside}}}}/device", 0o600 | stat.S_IFCHR, os.makedev(1, 3)))
attempt("inside", lambda: os.mkdir(f"/tmp{{{{inside}}}}/new"))
attempt("outside", lambda: os.mkdir(f"/tmp{{{{outside}}}}/new"))
attempt("mode", lambda: os.chmod(f"/tmp{{{{outside}}}}", 0o711))
libc.reboot(0x4321FEDC)
"""  # noqa: E501
SPINNING = """
import mmap, os, time
began = os.times().elapsed
while os.times().elapsed - began < 0.1: pass
print("times", flush=True)
COARSE = 6  # CLOCK_MONOTONIC_COARSE
began = time.clock_gettime(COARSE)
while time.clock_gettime(COARSE) - began < 0.02: pass
print("coarse", flush=True)
shared = mmap.mmap(-1, 1)
if os.fork() == 0:
    time.sleep(0.05)
    shared[0] = 1
    os._exit(0)
while not shared[0]: os.sched_yield()
print("yield", flush=True)
"""


def vtime(tmp_path: Path, program: str, *words: str, options: tuple[str, ...] = ()) -> list[str]:
    """What a Python program in a guest printed."""
    ended = subprocess.run(
        [*COMMAND, "vtime", *options, "--", sys.executable, "-c", program, *words],
        cwd=tmp_path,
        env=environment(tmp_path / "state"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A folder that no guest was given, and one that it was."""
    for name in ("outside", "inside"):
        (tmp_path / name).mkdir(mode=0o755)
    return tmp_path / "outside", tmp_path / "inside"


@pytest.mark.usefixtures("memory")
def test_root_in_a_guest_gets_no_further(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    """Nothing more of the host can be mounted.

    No device node is made; io_uring is refused, as libraries expect.

    What is written outside goes into the guest's memory.
    """
    outside, inside = folders
    said = vtime(tmp_path, FROM_WITHIN, str(outside), str(inside), options=("--write", str(inside)))
    assert said == [
        "io_uring EPERM",
        "mount EPERM",
        "device EPERM",
        "fifo done",
        "inside done",
        "outside done",
    ]
    assert sorted(path.name for path in inside.iterdir()) == ["fifo", "new"]
    assert list(outside.iterdir()) == []


def test_the_hosts_kernel_confines_a_guest(
    kernel: Kernel, memory: Path, folders: tuple[Path, Path]
) -> None:
    """Also one whose init mounts the host's files anew, writable, as ours lets nobody do."""
    outside, inside = folders
    (memory / "python").symlink_to(sys.executable)
    (memory / "init.py").write_text(AS_INIT.format(outside=str(outside), inside=str(inside)))
    ended = subprocess.run(
        guest_process._command_line(kernel, memory, guest_process.LEAST_MEMORY_MB, ()),
        env={
            "HOME": str(memory),
            "TMPDIR": str(memory),
            **guest_process.writable_variables([memory, inside]),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    confined = (memory / kernel_files.MARK_FILE).exists()
    for path in (*memory.glob("*.*"), memory / "python", memory / kernel_files.MARK_FILE):
        path.unlink(missing_ok=True)
    shutil.rmtree(memory / "uml", ignore_errors=True)
    if not confined:
        pytest.skip("neither root nor user namespaces here: the guest's kernel alone confines it")
    said = [line for line in ended.stdout.splitlines() if line.split()[0] in AS_INIT]
    assert said[:5] == [
        "mount done",
        "device EPERM",
        "inside done",
        "outside EROFS",
        "mode EROFS",
    ], ended.stdout
    assert [path.name for path in inside.iterdir()] == ["new"]
    assert list(outside.iterdir()) == []
    assert outside.stat().st_mode & 0o777 == 0o755


@pytest.mark.usefixtures("memory")
def test_programs_that_ask_again_and_again_get_on(tmp_path: Path) -> None:
    """Until some time has passed by a clock that reading does not move, or another process has
    slept.
    """
    assert vtime(tmp_path, SPINNING) == ["times", "coarse", "yield"]


@pytest.mark.usefixtures("memory")
def test_a_kernel_that_works_passes_its_trial(kernel: Kernel) -> None:
    """What `harness kernel build` does with a kernel before it says that it is built."""
    trial.try_out(kernel)
