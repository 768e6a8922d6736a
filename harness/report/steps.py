"""How far work in several parts is: `harness fuzz`, `harness check --prove`, many files."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Self, TextIO, TypeVar

from harness.model.values import count
from harness.report import estimate, text
from harness.report.ticker import EVERY_S, Ticker

if TYPE_CHECKING:
    from rich.console import Console

    from harness.judge.result import Result

T = TypeVar("T")
SOON_S = 0.5
"""Brief work that takes no longer shows no bar."""
REFRESH_S = 0.1


class Steps:
    """A bar on a terminal with the time that is gone and left; elsewhere a line for each part of
    the work, and one where nothing was printed for `ticker.EVERY_S` seconds.

    `noun`: what a step deals with. `brief`: the work may take no time. Then no part is announced,
    the bar comes after `SOON_S`, and no thread is needed: steps alone say how far it is.
    """

    def __init__(self, noun: str, stream: TextIO | None = None, *, brief: bool = False) -> None:
        self._noun, self._brief = noun, brief
        self._console = text.console(stream if stream is not None else sys.stderr)
        self._bar = _Bar(self._console, brief=brief) if self._console.is_terminal else None
        self._what, self._of, self._done, self._total = "starting", noun, 0, 0
        self._virtual_s = 0.0
        self._began = self._said = time.monotonic()
        self._ticker = Ticker(self._tick)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ticker.stop()
        if self._bar is not None:
            self._bar.stop()

    def begin(self, what: str, total: int, noun: str = "") -> None:
        """A part of the work begins, of so many steps; `noun`: what they deal with in this part."""
        self._what, self._of, self._done, self._total = what, noun or self._noun, 0, total
        self._virtual_s = 0.0
        self._began = time.monotonic()
        if self._bar is not None:
            self._bar.begin(what, total)
            return
        if not self._brief:
            self._console.print(f"{what}: {count(total, self._of)}", highlight=False)
            self._ticker.said()
            self._ticker.start()

    def each(self, what: str, items: Iterable[T]) -> Iterator[T]:
        """The items, as one part of the work with a step for each."""
        known = list(items)
        self.begin(what, len(known))
        for item in known:
            yield item
            self.step()

    def step(self) -> None:
        """One of them is done."""
        self._done += 1
        if self._bar is not None:
            self._bar.step(self._done, f"{self._what}{self._virtual()}")
        elif self._brief and time.monotonic() - self._said > EVERY_S:
            self._said = time.monotonic()
            self._tick()

    def status(self, name: str, what: str | None, until_ns: int | None) -> None:
        """What a single run awaits is not shown."""

    def done(self, result: Result) -> None:
        """A run has ended and is judged."""
        if result.plan.machine.clock == "virtual" and result.events:
            self._virtual_s += result.events[-1].t_ns / 1e9
        self.step()

    def _virtual(self) -> str:
        """The virtual time of the runs so far; "" where none has passed."""
        passed = estimate.rough(self._virtual_s)
        return f", {passed} of virtual time" if self._virtual_s else ""

    def _tick(self) -> None:
        gone_s = time.monotonic() - self._began
        left_s = estimate.by_steps(self._done, self._total, gone_s)
        left = "" if left_s is None else f", about {estimate.rough(left_s)} left"
        done = f"{self._done} of {count(self._total, self._of)}{self._virtual()}"
        self._console.print(
            f"{self._what}: {done} in {estimate.rough(gone_s)}{left}",
            highlight=False,
            soft_wrap=True,
        )


class _Bar:
    """A bar of rich. A brief one is shown after a moment, and refreshed by its steps alone."""

    def __init__(self, console: Console, *, brief: bool) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("gone, about"),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        self._bar = Bar(*columns, console=console, transient=True, auto_refresh=not brief)
        self._task = self._bar.add_task("starting", total=None)
        self._brief = brief
        self._refreshed = time.monotonic()
        self._shown = False

    def begin(self, what: str, total: int) -> None:
        self._bar.reset(self._task, description=what, total=total)
        self._show()

    def step(self, done: int, words: str) -> None:
        self._bar.update(self._task, completed=done, description=words)
        self._show()

    def stop(self) -> None:
        if self._shown:
            self._bar.stop()

    def _show(self) -> None:
        now = time.monotonic()
        if not self._brief and not self._shown:
            self._shown = True
            self._bar.start()
        elif self._brief and now - self._refreshed > (REFRESH_S if self._shown else SOON_S):
            if not self._shown:
                self._shown = True
                self._bar.start()
            self._refreshed = now
            self._bar.refresh()
