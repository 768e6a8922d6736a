"""Signals that tell this process to end, as an exception: what was started ends with it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Terminated(BaseException):
    """A signal told this process to end; raised like KeyboardInterrupt, so that what was started ends with it."""

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(self.signal.name)


@contextmanager
def told_to_end() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into an exception, the first of them; a signal that is ignored stays so."""

    def end(number: int, frame: object) -> None:
        del frame
        for each in before:
            signal.signal(each, signal.SIG_IGN)  # clearing up is not to be interrupted
        raise Terminated(number)

    before: list[signal.Signals] = []
    if threading.current_thread() is threading.main_thread():
        before = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) == signal.SIG_DFL]
    for each in before:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each in before:
            if signal.getsignal(each) is end:
                signal.signal(each, signal.SIG_DFL)
