"""Live progress on the terminal: of runs, of time that is left, and of a kernel build."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.judge.verdict import SEVERITY, Verdict
from harness.report.text import STYLES, console

if TYPE_CHECKING:
    from harness.judge.result import Result

LINES_SHOWN = 12
_GAP = 2


class Progress:
    """What each running scenario waits for and until when.

    A live display on a terminal, else a line per verdict.

    `quiet`: nothing at all.
    """

    def __init__(
        self, total: int, longest_s: float, stream: TextIO | None = None, *, quiet: bool = False
    ) -> None:
        self._quiet = quiet
        self._console = console(stream if stream is not None else sys.stderr)
        self._total, self._longest_s = total, longest_s
        self._running: dict[str, tuple[str, int | None]] = {}
        self._done: list[Verdict] = []
        self._lock = threading.Lock()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._quiet:
            return self
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._render,
                console=self._console,
                refresh_per_second=8,
                transient=True,
            )
            self._live.start()
        else:
            scenarios = "1 scenario" if self._total == 1 else f"{self._total} scenarios"
            self._console.print(
                f"running {scenarios} at once; the longest is watched for {self._longest_s:.1f} s"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def status(self, name: str, what: str | None, until_ns: int | None) -> None:
        """What a scenario waits for, and its deadline; None: it has ended.

        Runs call this from their threads.
        """
        with self._lock:
            if what is None:
                self._running.pop(name, None)
            else:
                self._running[name] = (what, until_ns)

    @property
    def verdicts(self) -> list[Verdict]:
        """Those that have come so far."""
        with self._lock:
            return list(self._done)

    def done(self, result: Result) -> None:
        """Called with each result as it comes."""
        verdict = result.verdict
        with self._lock:
            self._done.append(verdict)
        if self._live is None and not self._quiet:
            line = f"{len(self._done)}/{self._total} {verdict.verdict:<12} {verdict.name}"
            self._console.print(Text(line), soft_wrap=True)

    def _render(self) -> Table:
        now = time.monotonic_ns()
        with self._lock:
            running = sorted(self._running.items(), key=lambda item: (item[1][1] or 0, item[0]))
            done = list(self._done)
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        for _ in range(3):
            grid.add_column(no_wrap=True, overflow="ellipsis")
        for name, (what, until_ns) in running[:LINES_SHOWN]:
            left = "" if until_ns is None else f"at most {max(0.0, (until_ns - now) / 1e9):5.1f} s"
            grid.add_row(
                Text(name, "cyan"), Text(f"awaiting {what}" if until_ns else what), Text(left)
            )
        if len(running) > LINES_SHOWN:
            grid.add_row(Text(f"and {len(running) - LINES_SHOWN} more"))
        grid.add_row(self._count(done))
        return grid

    def _count(self, done: Sequence[Verdict]) -> Text:
        """How many are done, and how many of them badly."""
        line = Text(f"{len(done)} of {self._total} done", "bold")
        for name in sorted(SEVERITY, key=SEVERITY.__getitem__, reverse=True):
            number = sum(verdict.verdict == name for verdict in done)
            if number and name != "pass":
                line.append(f", {number} {name}", STYLES[name])
        return line


class Countdown:
    """The seconds left, or gone where there is no end, on a terminal; elsewhere nothing."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._status = console(stream if stream is not None else sys.stderr).status("")
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def show(self, left_s: float | None) -> None:
        """None: for as long as it takes."""
        gone_s = time.monotonic() - self._began
        self._status.update(f"for {gone_s:.0f} s" if left_s is None else f"{left_s:.0f} s left")


class BuildProgress:
    """How far a kernel's build is: a bar on a terminal, else a line for each step."""

    def __init__(self, stream: TextIO | None = None) -> None:
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        shown = console(stream if stream is not None else sys.stderr)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._bar = Bar(*columns, console=shown, disable=not shown.is_terminal, transient=True)
        self._task = self._bar.add_task("starting", total=1.0)
        self._console = shown
        self._said = ""

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def tell(self, text: str, fraction: float | None) -> None:
        """A step, and how much of it is done (None: not known)."""
        self._bar.update(self._task, description=text, completed=fraction or 0.0)
        step = text.split(":", maxsplit=1)[0]
        if not self._console.is_terminal and step != self._said:
            self._said = step
            self._console.print(step, highlight=False)
