"""Standard streams that their reader may close: `harness list | head -1` ends with 141, as a shell
reports SIGPIPE.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

from harness.errors import UsageError
from harness.system.escapes import visible

BROKEN_PIPE = 128 + signal.SIGPIPE
"""The exit status of a command whose output nobody reads any more."""
_LAST = 2
"""The descriptor of the last standard stream."""


def fill() -> None:
    """Open /dev/null in place of each standard stream that is closed, so that nothing else gets its
    descriptor.
    """
    opened = os.open(os.devnull, os.O_RDWR)
    while opened <= _LAST:
        os.set_inheritable(opened, True)  # noqa: FBT003 - it takes no keyword
        opened = os.dup(opened)
    os.close(opened)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - until the process ends
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def say(text: str) -> None:
    """Lines on standard output, with escapes for control characters."""
    sys.stdout.write(f"{visible(text)}\n")


def put(report: bytes) -> None:
    """A report on standard output, whose encoding is its own."""
    sys.stdout.flush()
    sys.stdout.buffer.write(report)


def complain(sentence: str) -> None:
    """A line on standard error.

    Nothing where there is no room for it, as the exit status tells it too.

    Raises BrokenPipeError where nobody reads it.
    """
    try:
        sys.stderr.write(f"harness: {visible(sentence)}\n")
        sys.stderr.flush()
    except BrokenPipeError:
        raise
    except (OSError, ValueError):
        pass


def flushed(status: int) -> int:
    """The exit status, once what was printed is out: 141 where nobody reads it, 2 where it cannot
    be written.

    What cannot be written is thrown away: the interpreter flushes once more at its end, and ends
    with 120 where that fails.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            status = BROKEN_PIPE
            _discard(stream.fileno())
        except (OSError, ValueError):  # full, or closed from within
            status = status or UsageError.exit_status
            with suppress(ValueError):
                _discard(stream.fileno())
    return status


def _discard(descriptor: int) -> None:
    """Send what is still to be written nowhere."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
