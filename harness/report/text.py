"""What people see on the terminal: the table of verdicts, pictures of the runs, and live progress while waiting."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.judge import Verdict, worst

if TYPE_CHECKING:
    from harness.batch import Result

STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "bold yellow"}
LINES_SHOWN = 12


def console(stream: TextIO) -> Console:
    """A console on a stream; wide enough for the table where the output is a file."""
    return Console(file=stream, width=None if stream.isatty() else 140, highlight=False, soft_wrap=False)


def table(verdicts: Sequence[Verdict]) -> Table:
    """One row a scenario, and under it why."""
    grid = Table(box=None, pad_edge=False, header_style="bold", show_edge=False, padding=(0, 2, 0, 0))
    grid.add_column("scenario", no_wrap=True)
    grid.add_column("verdict")
    grid.add_column("predicted", justify="right", no_wrap=True)
    grid.add_column("measured", justify="right", no_wrap=True)
    grid.add_column("errno")
    grid.add_column("probes", justify="right")
    grid.add_column("reason", ratio=1, overflow="fold")
    for verdict in verdicts:
        grid.add_row(
            Text(verdict.name),
            Text(verdict.verdict, STYLES[verdict.verdict]),
            _window(verdict),
            _measured(verdict),
            _end(verdict),
            "-" if verdict.probes is None else str(verdict.probes),
            Text(verdict.reason),
        )
    return grid


def summary(verdicts: Sequence[Verdict], wall_s: float) -> Text:
    """The last line: how many of each, the machine, the wall time."""
    counts = [f"{sum(v.verdict == name for v in verdicts)} {name}" for name in ("pass", "fail", "inconclusive")]
    where = f"{verdicts[0].clock} time, Linux {verdicts[0].kernel}, HZ={verdicts[0].hz}" if verdicts else "nothing run"
    return Text(f"{', '.join(counts)} in {wall_s:.1f} s ({where})", STYLES[worst(verdicts)])


def _window(verdict: Verdict) -> str:
    if verdict.window_ns is None:
        return "nothing"
    return f"{verdict.window_ns[0] / 1e9:.3f}-{verdict.window_ns[1] / 1e9:.3f} s"


def _measured(verdict: Verdict) -> str:
    if verdict.detected_ns is None:
        return "nothing" if verdict.outcome == "quiet" else "-"
    return f"{verdict.detected_ns / 1e9:.3f} s"


def _end(verdict: Verdict) -> str:
    if verdict.errno is not None:
        return verdict.errno
    return "EOF" if verdict.outcome == "eof" else "-"


class Progress:
    """What each running scenario waits for and until when; a live display on a terminal, else a line per verdict."""

    def __init__(self, total: int, longest_s: float, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._console = console(self._stream)
        self._total, self._longest_s = total, longest_s
        self._running: dict[str, tuple[str, int | None]] = {}
        self._done = 0
        self._lock = threading.Lock()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=8, transient=True)
            self._live.start()
        else:
            self._console.print(f"running {self._total} scenarios at once, the longest takes {self._longest_s:.1f} s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def status(self, name: str, what: str, until_ns: int | None) -> None:
        """Called by runs, from their threads."""
        with self._lock:
            if what == "done":
                self._running.pop(name, None)
            else:
                self._running[name] = (what, until_ns)

    def done(self, result: Result) -> None:
        """Called with each result as it comes."""
        verdict = result.verdict
        self._done += 1
        if self._live is None:
            self._console.print(f"{self._done}/{self._total} {verdict.verdict:<12} {verdict.name}", highlight=False)

    def _render(self) -> Table:
        now = time.monotonic_ns()
        with self._lock:
            running = sorted(self._running.items(), key=lambda item: item[1][1] or 0)
        grid = Table(box=None, pad_edge=False, show_header=False)
        for name, (what, until_ns) in running[:LINES_SHOWN]:
            left = "" if until_ns is None else f"at most {max(0.0, (until_ns - now) / 1e9):5.1f} s"
            grid.add_row(Text(name, "cyan"), f"awaiting {what}" if until_ns else what, left)
        if len(running) > LINES_SHOWN:
            grid.add_row(f"… and {len(running) - LINES_SHOWN} more", "", "")
        grid.add_row(Text(f"{self._done} of {self._total} done", "bold"), "", "")
        return grid
