from __future__ import annotations

import os
import subprocess
import sys
import time

from tests.attack import processes


def test_a_process_that_waits_does_not_compute() -> None:
    """One that is busy does, whether it has a CPU or not; one that has ended does not."""
    with subprocess.Popen([sys.executable, "-ISc", "while True: pass"]) as busy:
        deadline = time.monotonic() + 60
        while not processes.computes(busy.pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert processes.computes(busy.pid)
        busy.kill()
    assert not processes.computes(busy.pid)
    with subprocess.Popen([sys.executable, "-ISc", "import time; time.sleep(60)"]) as idle:
        while processes.computes(idle.pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not processes.computes(idle.pid)
        idle.kill()
    assert processes.computes(os.getpid())
