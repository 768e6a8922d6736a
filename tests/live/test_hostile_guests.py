"""A guest survives what programs in it do, and writes to the host only what it was given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.venue import trial
from harness.venue.kernel import Kernel
from tests.live.command import COMMAND, PATIENCE_S, environment

pytestmark = [pytest.mark.live, pytest.mark.virtual]

IO_URING = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(425, 8, ctypes.create_string_buffer(256))
print("io_uring_setup:", errno.errorcode[ctypes.get_errno()])
"""


@pytest.mark.usefixtures("memory")
def test_io_uring_is_off(tmp_path: Path) -> None:
    """Libraries find it refused and go on without it; its polling thread would stop the guest's time for good."""
    ended = subprocess.run(
        [*COMMAND, "vtime", "--", sys.executable, "-c", IO_URING],
        cwd=tmp_path,
        env=environment(tmp_path / "state"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.stdout == "io_uring_setup: EPERM\n", ended.stderr


@pytest.mark.usefixtures("memory")
def test_a_kernel_that_works_passes_its_trial(kernel: Kernel) -> None:
    """What `harness kernel build` does with a kernel before it says that it is built."""
    trial.try_out(kernel)
