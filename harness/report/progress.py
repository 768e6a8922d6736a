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
from harness.model.values import count
from harness.report import estimate
from harness.report.text import STYLES, console
from harness.report.ticker import EVERY_S, Ticker

if TYPE_CHECKING:
    from harness.judge.result import Result
    from harness.plan.plan import Plan

LINES_SHOWN = 12
NAMES_SHOWN = 3
"""In a line of a log."""
_GAP = 2


class Progress:
    """What each running scenario waits for, how much time is gone, and how long it still takes.

    A live display on a terminal. Elsewhere a line for each verdict, and one where nothing was
    printed for `ticker.EVERY_S` seconds.

    `at_once`: how many run at the same time, in real time; None: all. `quiet`: nothing at all.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        stream: TextIO | None = None,
        *,
        at_once: int | None = None,
        quiet: bool = False,
    ) -> None:
        self._quiet = quiet
        self._console = console(stream if stream is not None else sys.stderr)
        self._watch_s = {plan.name: plan.watch_ns / 1e9 for plan in plans}
        self._is_virtual = any(plan.machine.clock == "virtual" for plan in plans)
        self._at_once = min(at_once or len(plans), len(plans))
        self._total = len(plans)
        self._running: dict[str, tuple[str, int | None]] = {}
        self._done: list[Verdict] = []
        self._virtual_s = 0.0
        self._began = time.monotonic()
        self._lock, self._starting = threading.Lock(), threading.Lock()
        self._begun = False
        self._live: Live | None = None
        self._ticker = Ticker(self._tick)

    def __enter__(self) -> Self:
        if self._quiet:
            return self
        self._began = time.monotonic()
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._render,
                console=self._console,
                refresh_per_second=8,
                transient=True,
            )
        else:
            self._console.print(self._opening())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._starting:
            self._begun = True
        self._ticker.stop()
        if self._live is not None:
            self._live.stop()

    def status(self, name: str, what: str | None, until_ns: int | None) -> None:
        """What a scenario waits for, and its deadline; None: it has ended.

        Runs call this from their threads.
        """
        self._start()
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
        self._start()
        with self._lock:
            self._done.append(verdict)
            self._watch_s.pop(verdict.name, None)
            if result.events:
                self._virtual_s += result.events[-1].t_ns / 1e9
        if self._live is None and not self._quiet:
            line = f"{len(self._done)}/{self._total} {result.word:<12} {verdict.name}"
            self._console.print(Text(line), soft_wrap=True)
            self._ticker.said()

    def _start(self) -> None:
        """Begin to show something: not before the first run goes on, as an ordinary user's process
        has to enter namespaces, which it cannot do with a second thread.
        """
        with self._starting:
            if self._begun:
                return
            self._begun = True
        if self._live is not None:
            self._live.start()
        elif not self._quiet:
            self._ticker.start()

    # --- in words --------------------------------------------------------------------------------

    def _opening(self) -> str:
        longest_s = max(self._watch_s.values(), default=0.0)
        watched = f"; the longest is watched for {longest_s:.1f} s"
        if self._is_virtual:
            return f"running {count(self._total, 'scenario')} in virtual time{watched}"
        few = f", {self._at_once} at once" if self._at_once < self._total else " at once"
        return f"running {count(self._total, 'scenario')}{few}{watched}"

    def _tick(self) -> None:
        """A line for those who read a log while it is written."""
        with self._lock:
            running = self._shown()
            words = f"{self._time()}: {len(self._done)} of {self._total} done"
        awaited = [f"{name} ({what})" for name, (what, _) in running[:NAMES_SHOWN]]
        more = len(running) - NAMES_SHOWN
        awaited += [f"{more} more"] if more > 0 else []
        text = f"{words}; awaiting {', '.join(awaited)}" if awaited else words
        self._console.print(Text(text), soft_wrap=True)

    def _shown(self) -> list[tuple[str, tuple[str, int | None]]]:
        return sorted(self._running.items(), key=lambda item: (item[1][1] or 0, item[0]))

    def _time(self) -> str:
        """The time that is gone in both clocks, and how long it still takes."""
        gone_s = time.monotonic() - self._began
        gone = estimate.rough(gone_s)
        if not self._is_virtual:
            return f"{gone} gone, at most {estimate.rough(self._left_s())} left"
        virtual = f"{estimate.rough(self._virtual_s)} of virtual time in {gone}"
        left_s = estimate.by_steps(len(self._done), self._total, gone_s)
        return virtual if left_s is None else f"{virtual}, about {estimate.rough(left_s)} left"

    def _left_s(self) -> float:
        """In real time, from how long each run is watched at most."""
        now = time.monotonic_ns()
        running = {
            name: max(0.0, (until_ns - now) / 1e9) if until_ns else self._watch_s.get(name, 0.0)
            for name, (_, until_ns) in self._running.items()
        }
        waiting = (length for name, length in self._watch_s.items() if name not in running)
        return estimate.in_real_time(list(running.values()), waiting, self._at_once)

    # --- on a terminal ---------------------------------------------------------------------------

    def _render(self) -> Table:
        now = time.monotonic_ns()
        with self._lock:
            running, done, gone = self._shown(), list(self._done), self._time()
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
        shown = Table.grid()
        shown.add_column(no_wrap=True, overflow="ellipsis")
        if running:
            shown.add_row(grid)
        shown.add_row(self._count(done).append(f"; {gone}", "none"))
        return shown

    def _count(self, done: Sequence[Verdict]) -> Text:
        """How many are done, and how many of them badly."""
        line = Text(f"{len(done)} of {self._total} done", "bold")
        for name in sorted(SEVERITY, key=SEVERITY.__getitem__, reverse=True):
            number = sum(verdict.verdict == name for verdict in done)
            if number and name != "pass":
                line.append(f", {number} {name}", STYLES[name])
        return line


class Countdown:
    """The seconds left, or gone where there is no end: on a terminal each second, elsewhere a line
    every `ticker.EVERY_S` seconds.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._console = console(stream if stream is not None else sys.stderr)
        self._status = self._console.status("") if self._console.is_terminal else None
        self._began = self._said = time.monotonic()

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, left_s: float | None) -> None:
        """None: for as long as it takes."""
        now = time.monotonic()
        gone_s = now - self._began
        words = f"for {gone_s:.0f} s" if left_s is None else f"{left_s:.0f} s left"
        if self._status is not None:
            self._status.update(words)
        elif now - self._said >= EVERY_S:
            self._said = now
            self._console.print(words, highlight=False)


class BuildProgress:
    """How far a kernel's build is: a bar on a terminal. Elsewhere a line for each step, and one
    where nothing was printed for `ticker.EVERY_S` seconds.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        shown = console(stream if stream is not None else sys.stderr)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._bar = Bar(*columns, console=shown, disable=not shown.is_terminal, transient=True)
        self._task = self._bar.add_task("starting", total=1.0)
        self._console = shown
        self._said, self._told = "", ""
        self._fraction: float | None = None
        self._began = time.monotonic()
        self._ticker = Ticker(self._tick)

    def __enter__(self) -> Self:
        self._bar.start()
        if not self._console.is_terminal:
            self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ticker.stop()
        self._bar.stop()

    def tell(self, text: str, fraction: float | None) -> None:
        """A step, and how much of it is done (None: not known)."""
        step = text.split(":", maxsplit=1)[0]
        if step != self._said:
            self._began = time.monotonic()
            if not self._console.is_terminal:
                self._console.print(step, highlight=False)
                self._ticker.said()
        self._said, self._told, self._fraction = step, text, fraction
        left = f", {left}" if (left := self._left()) else ""
        self._bar.update(self._task, description=f"{text}{left}", completed=fraction or 0.0)

    def _left(self) -> str:
        """How long the step still takes; "" where that is not known."""
        left_s = estimate.by_steps(self._fraction or 0.0, 1.0, time.monotonic() - self._began)
        return "" if left_s is None else f"about {estimate.rough(left_s)} left"

    def _tick(self) -> None:
        gone = estimate.rough(time.monotonic() - self._began)
        done = "" if self._fraction is None else f", {self._fraction:.0%} done"
        left = f", {left}" if (left := self._left()) else ""
        self._console.print(f"{self._told}{done} in {gone}{left}", highlight=False, soft_wrap=True)
