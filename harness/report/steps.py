"""How far work in several parts is: `harness fuzz`, `harness check --prove`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self, TextIO

from harness.model.values import count
from harness.report import text

if TYPE_CHECKING:
    from harness.judge.result import Result


class Steps:
    """A bar on a terminal, else a line for each part of the work.

    `noun`: what a step deals with.
    """

    def __init__(self, noun: str, stream: TextIO | None = None) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        self._noun = noun
        self._console = text.console(stream if stream is not None else sys.stderr)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._bar = Bar(
            *columns, console=self._console, disable=not self._console.is_terminal, transient=True
        )
        self._task = self._bar.add_task("starting", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begin(self, what: str, total: int, noun: str = "") -> None:
        """A part of the work begins, of so many steps; `noun`: what they deal with in this part."""
        self._bar.reset(self._task, description=what, total=total)
        if not self._console.is_terminal:
            self._console.print(f"{what}: {count(total, noun or self._noun)}", highlight=False)

    def step(self) -> None:
        """One of them is done."""
        self._bar.advance(self._task)

    def status(self, name: str, what: str | None, until_ns: int | None) -> None:
        """What a single run awaits is not shown."""

    def done(self, result: Result) -> None:
        """A run has ended and is judged."""
        del result
        self.step()
