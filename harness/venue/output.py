"""A command's output on its way from the guest's files to this process's standard streams.

It takes a bounded amount of memory. What has been copied is freed from the guest's files, which
usually lie in memory. While nobody reads here, or more lies in the files than `AHEAD` bytes, the
guest stands still, and so does its clock.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from harness.errors import GuestError
from harness.venue import guest_command
from harness.venue.guest_process import Guest

AHEAD = 1 << 20
"""So many bytes of a stream a guest may have written that are not copied yet, before it is made to
wait.
"""
_FREED_AT_ONCE = 1 << 16
_PAGE = 4096
_KEEP_SIZE_PUNCH_HOLE = 1 | 2
"""fallocate(2): give back the room of a part of a file, whose size stays."""
_libc = ctypes.CDLL(None, use_errno=True)


class OutputCopy:
    """Copies both streams of the command in a guest, as far as they go at each call of `copy`."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._streams = [
            _Stream(guest.folder / name, number) for number, name in guest_command.STREAMS.items()
        ]

    def copy(self) -> bool:
        """Bring over what the command has written since the last time; whether that was any."""
        return sum(stream.copy(self._guest) for stream in self._streams) > 0


class _Stream:
    def __init__(self, path: Path, number: int) -> None:
        self._path, self._number = path, number
        self._copied = self._freed = 0

    def copy(self, guest: Guest) -> int:
        """How many bytes there were."""
        before = self._copied
        try:
            descriptor = os.open(
                self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            )
        except FileNotFoundError:
            return 0  # the guest has not come so far yet
        except OSError as error:
            raise GuestError(
                f"expected the command's output, found {error.strerror} at {self._path}"
            ) from error
        with open(descriptor, "r+b", buffering=0) as file, ExitStack() as held:
            found = os.fstat(descriptor)
            if (
                not stat.S_ISREG(found.st_mode) or found.st_nlink != 1
            ):  # a part of it is freed below
                raise GuestError(
                    f"expected a regular file with one name, found another one at {self._path}"
                )
            end = found.st_size
            file.seek(self._copied)
            target = sys.stdout.buffer if self._number == 1 else sys.stderr.buffer
            waiting = False
            while self._copied < end:
                if not waiting and (end - self._copied > AHEAD or not _is_read(target)):
                    held.enter_context(_held(guest))
                    waiting = True
                data = file.read(min(select.PIPE_BUF, end - self._copied))
                target.write(data)
                target.flush()
                self._copied += len(data)
                self._free(descriptor)
        return self._copied - before

    def _free(self, descriptor: int) -> None:
        """Give back whole pages that were copied.

        File systems that cannot do that keep them until the guest's end.
        """
        end = self._copied // _PAGE * _PAGE
        if end - self._freed >= _FREED_AT_ONCE:
            part = (ctypes.c_int64(self._freed), ctypes.c_int64(end - self._freed))
            _libc.fallocate(descriptor, _KEEP_SIZE_PUNCH_HOLE, *part)
            self._freed = end


@contextmanager
def _held(guest: Guest) -> Iterator[None]:
    """Let a guest stand still for the length of the block."""
    with suppress(ProcessLookupError):
        guest.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            guest.process.send_signal(signal.SIGCONT)


def _is_read(target: BinaryIO) -> bool:
    """Whether the next write would not block."""
    try:
        return bool(select.select([], [target], [], 0)[1])
    except (OSError, ValueError):  # no file of the system's: it waits for nobody
        return True
