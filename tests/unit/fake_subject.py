"""What a run is about, without a program or a socket: the ends of a connection, and a command."""

from __future__ import annotations

import itertools
import select
from collections.abc import Callable

from harness.errors import SubjectError
from tests.unit.fake_clock import FakeClock

_numbers = itertools.count(2000)
"""Of descriptors; no file of this process has such a number."""


class FakeEnd:
    """One end of a connection, with a descriptor. `comes`: called when it is woken."""

    def __init__(self, clock: FakeClock, comes: Callable[[int], object] = lambda _: None) -> None:
        self._clock, self._comes = clock, comes
        self._descriptor = next(_numbers)
        self.watching, self.received, self.written = True, 0, 0
        self.mask = select.POLLIN
        self.calls: list[tuple[int, str]] = []
        """What was asked of it, each with the moment."""

    def fileno(self) -> int:
        """A number that no file has."""
        return self._descriptor

    def ready_at(self, moment_ns: int) -> None:
        """Something comes at that moment."""
        self._clock.at(moment_ns, lambda: self._clock.readable.add(self._descriptor))

    def reopen(self) -> None:
        """Go on with another descriptor."""
        self._clock.readable.discard(self._descriptor)
        self._descriptor = next(_numbers)

    def woken(self, revents: int, at_ns: int) -> None:
        """Take what has come."""
        self._clock.readable.discard(self._descriptor)
        self.calls.append((at_ns, "woken"))
        self._comes(at_ns)

    def write(self, size: int) -> None:
        """Write octets."""
        self.calls.append((self._clock.now_ns(), f"write {size}"))

    def say(self) -> bool:
        """Write a few octets for an echo's sake."""
        self.calls.append((self._clock.now_ns(), "say"))
        self.written += 1
        return True

    def shut(self) -> None:
        """Shut the writing direction."""
        self.calls.append((self._clock.now_ns(), "shut"))


class FakeCommand:
    """A command under test. `ended`: the error that is raised when it is looked at.

    `looked_back`: how often it was asked for what is left of it.
    """

    def __init__(self) -> None:
        self.leaves = False
        self.ended: SubjectError | None = None
        self.looked_back = 0

    def woken(self, revents: int, at_ns: int) -> None:
        """Look at it."""
        if self.ended is not None:
            raise self.ended

    def look_back(self) -> None:
        """Write down what is left of it."""
        self.looked_back += 1


class FakeProgram:
    """A program that a fault kills."""

    name, owns_children = "it", True

    def __init__(self) -> None:
        self.status: int | None = None

    def kill(self) -> list[str]:
        """It is gone, and nothing is left."""
        self.status = -9
        return []

    def poll(self) -> int | None:
        """How it ended, or None."""
        return self.status

    def waited_ns(self) -> int:
        """It has waited for no CPU."""
        return 0

    def close(self) -> None:
        """It has no descriptors."""
