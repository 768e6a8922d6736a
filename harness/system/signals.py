"""Signals that tell this process to end, as an exception: what was started ends with it."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType

AGAIN_S = 0.01
"""After so long a signal is sent once more whose exception was thrown away."""


class Terminated(BaseException):
    """A signal told this process to end.

    Raised like KeyboardInterrupt, so that what was started ends with it.
    """

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(self.signal.name)


@contextmanager
def told_to_end() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into an exception, the first of them.

    A signal that is ignored stays so.

    Neither they nor an interrupt are lost where Python has nobody to raise them to, as in a weak
    reference's callback.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heeded = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) == signal.SIG_DFL]

    def heed() -> None:
        for each in heeded:
            signal.signal(each, end)

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        for each in heeded:
            signal.signal(each, signal.SIG_IGN)  # clearing up is not to be interrupted
        raise Terminated(number)

    def thrown_away(lost: sys.UnraisableHookArgs) -> None:
        if isinstance(lost.exc_value, Terminated) and lost.exc_value.signal in heeded:
            _send_again(lost.exc_value.signal, thrown_away.__code__)
            heed()
        elif isinstance(lost.exc_value, KeyboardInterrupt):
            _send_again(signal.SIGINT, thrown_away.__code__)
        else:
            hook(lost)

    hook, sys.unraisablehook = sys.unraisablehook, thrown_away
    heed()
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for each in heeded:
            if signal.getsignal(each) is end:
                signal.signal(each, signal.SIG_DFL)


@contextmanager
def ignored() -> Iterator[None]:
    """Ignore the signals that end this process (SIGINT, SIGTERM, SIGHUP) while the block runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        each: signal.signal(each, signal.SIG_IGN)
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)


@contextmanager
def deferred() -> Iterator[None]:
    """Deliver the signals that end this process (SIGINT, SIGTERM, SIGHUP) when the block is
    over.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    heeded = [
        n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if callable(signal.getsignal(n))
    ]
    before = {each: signal.signal(each, lambda number, _: came.append(number)) for each in heeded}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        for number in came[:1]:
            signal.raise_signal(number)


def _send_again(number: signal.Signals, within: CodeType) -> None:
    """To the main thread, once it has left the code that it is in, which would throw the signal
    away as well.
    """
    main = threading.main_thread().ident
    assert main is not None

    def send() -> None:
        time.sleep(AGAIN_S)
        while _runs(main, within):
            time.sleep(AGAIN_S)
        signal.pthread_kill(main, number)

    threading.Thread(target=send, name="signal", daemon=True).start()


def _runs(thread: int, code: CodeType) -> bool:
    """Whether a thread is in some code, or in what that has called."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - the only way to look into another thread
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None
