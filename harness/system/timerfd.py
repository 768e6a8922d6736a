"""A descriptor that becomes readable at a moment of CLOCK_MONOTONIC, to the nanosecond:
timerfd_create(2).

poll(2) itself will not do for that: its timeout is in milliseconds, and the kernel takes up to 0.1
% of it, 100 ms at most, as leave to wake later, together with others
(fs/select.c:select_estimate_accuracy).
"""

from __future__ import annotations

import ctypes
import os
import time

from harness.system.file_descriptors import raised

_ABSOLUTE = 1
"""TFD_TIMER_ABSTIME and TIMER_ABSTIME."""
_libc = ctypes.CDLL(None, use_errno=True)


def sleep_until(moment_ns: int) -> None:
    """Of CLOCK_MONOTONIC, to the nanosecond: time.sleep goes through a float."""
    moment = (ctypes.c_int64 * 2)(*divmod(moment_ns, 1_000_000_000))
    _libc.clock_nanosleep(time.CLOCK_MONOTONIC, _ABSOLUTE, ctypes.byref(moment), None)


class Alarm:
    """One timer; `set` it as often as needed, `close` it at the end.

    Raises OSError where no descriptor is free.
    """

    def __init__(self) -> None:
        descriptor = _libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_CLOEXEC | os.O_NONBLOCK)
        if descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._descriptor = raised(descriptor)
        self._set_ns = 0

    def fileno(self) -> int:
        """The descriptor to poll for reading."""
        return self._descriptor

    def set(self, moment_ns: int) -> None:
        """Go off at that moment, at once where it is past.

        Replaces what was set before and quiets the descriptor.
        """
        if moment_ns == self._set_ns:
            return
        self._set_ns = moment_ns
        seconds, nanoseconds = divmod(
            max(moment_ns, 1), 1_000_000_000
        )  # all zero would switch it off
        once = (ctypes.c_int64 * 4)(0, 0, seconds, nanoseconds)
        _libc.timerfd_settime(self._descriptor, _ABSOLUTE, ctypes.byref(once), None)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._descriptor)
