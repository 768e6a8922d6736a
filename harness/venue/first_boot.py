"""What a guest does when its kernel is tried out: let an hour pass.

Called by init, so standard library only.
"""

from __future__ import annotations

import os
import time

SLEEP_S = 3600.0


def main(job: dict[str, object]) -> int:
    """Sleep, in a process of its own.

    The exit status is 0 if as much time has passed here, or else 1.
    """
    del job
    began_s = time.monotonic()
    if (child := os.fork()) == 0:
        time.sleep(SLEEP_S)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return 0 if status == 0 and time.monotonic() - began_s >= SLEEP_S else 1
