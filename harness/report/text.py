"""What people see on the terminal: the verdicts with their reasons, the catalogue, and live progress while waiting."""

from __future__ import annotations

import errno
import itertools
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO, cast

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from harness.judge.moments import ORIGINS
from harness.judge.reasons import clipped
from harness.judge.verdict import SEVERITY, Verdict, worst
from harness.report import ascii_output
from harness.system.escapes import in_a_line, visible

if TYPE_CHECKING:
    from harness.judge.result import Result
    from harness.scenario.schema import Scenario

STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "bold yellow"}
WIDTH_OF_FILES = 140
LINES_SHOWN = 12
WORDS_SHOWN = 32
"""So many characters of what a program reports stand in a row; all of them are in the timeline."""
LEAST_SUMMARY = 20
"""Columns for a summary or a reason, at least."""
_GAP = 2
_HEADER = ("verdict", "scenario", "measured", "predicted", "probes")


class _Console(Console):
    """A console that leaves a closed pipe to the command line; rich's own ends the program with exit status 1."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Show escapes for control characters of whatever is shown: only rich's own control the terminal."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Say so."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def console(stream: TextIO) -> Console:
    """A console on a stream: as wide as the terminal, or 140 columns where the output is a file."""
    ascii_output.replace_missing(stream)
    if stream.isatty():
        return _Console(file=stream, highlight=False, soft_wrap=False)
    return _Console(
        file=cast("TextIO", ascii_output.TrimmedStream(stream)), width=WIDTH_OF_FILES, highlight=False, soft_wrap=False
    )


class VerdictTable:
    """For each scenario a row, and below it the reason; where the terminal is too narrow, the row takes two lines."""

    def __init__(self, verdicts: Sequence[Verdict]) -> None:
        self.verdicts = verdicts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Lay it out for the console's width; part of rich's protocol."""
        rows = [_HEADER, *(_cells(verdict) for verdict in self.verdicts)]
        widths = [max(cell_len(row[column]) for row in rows) for column in range(len(_HEADER))]
        indent = widths[0] + _GAP
        narrow = sum(widths) + _GAP * (len(widths) - 1) > options.max_width
        for verdict, cells in zip([None, *self.verdicts], rows, strict=True):
            style = "bold" if verdict is None else STYLES[verdict.verdict]
            padded = [_pad(cell, width, column) for column, (cell, width) in enumerate(zip(cells, widths, strict=True))]
            name = cells[1] if narrow else padded[1]
            numbers = Text((" " * _GAP).join(padded[2:]).rstrip(), "bold" if verdict is None else "")
            first = Text.assemble((padded[0], style), " " * _GAP, (name, "bold" if verdict is None else "cyan"))
            if narrow:
                yield first
                yield Text(" " * indent) + numbers
            else:
                yield Text.assemble(first, " " * _GAP, numbers)
            if verdict is not None:
                for text in _below(verdict):
                    below = Text(text, "dim" if verdict.verdict == "pass" else "")
                    yield from _indented(below, console, options.max_width, indent)


def _cells(verdict: Verdict) -> tuple[str, str, str, str, str]:
    probes = "-" if verdict.probes is None else str(verdict.probes)
    if verdict.asking in ("retransmit", "syn") and verdict.probes is not None:
        probes = f"{probes} rtx"
    return verdict.verdict, verdict.name, _measured(verdict), _window(verdict), probes


def _pad(cell: str, width: int, column: int) -> str:
    """Numbers to the right."""
    blanks = " " * (width - cell_len(cell))
    return blanks + cell if column >= 2 else cell + blanks


def _window(verdict: Verdict) -> str:
    found = verdict.window_ns or verdict.armed_window_ns
    if found is None:
        return "nothing" if verdict.predicted else "not predicted"
    since = "" if verdict.window_ns is not None else " after arming"
    return f"{found[0] / 1e9:.3f}-{found[1] / 1e9:.3f} s{since}"


def _measured(verdict: Verdict) -> str:
    if verdict.detected_ns is None:
        return "nothing" if verdict.outcome == "quiet" else "-"
    given_up = clipped(in_a_line(verdict.reports or "noticed"), WORDS_SHOWN)
    what = {"eof": "EOF", "noticed": given_up}.get(verdict.outcome or "", verdict.errno)
    if verdict.detected_ns < 0 and verdict.reconnected_ns is not None:  # before the healing, as it may
        return f"connected {verdict.reconnected_ns / 1e9:.3f} s"
    return f"{what} {verdict.detected_ns / 1e9:.3f} s"


def _below(verdict: Verdict) -> list[str]:
    """The reason and, unless the verdict is a pass, what the scenario is about and what it claims."""
    origin = "" if verdict.origin == "armed" else f"; times count from {ORIGINS[verdict.origin]}"
    lines = [f"{verdict.reason}{origin}"]
    if verdict.verdict != "pass":
        lines += [f"scenario: {verdict.summary}"] if verdict.summary else []
        lines.append(f"claim: {verdict.claimed}")
    return lines


def summary(
    verdicts: Sequence[Verdict], wall_s: float, attempts: Mapping[str, int] | None = None, *, brief: bool = False
) -> Text:
    """The last lines: how many of each, the wall time, what was run again and, unless brief, clock and machine."""
    counts = [f"{sum(v.verdict == name for v in verdicts)} {name}" for name in ("pass", "fail", "inconclusive")]
    others = any(verdict.origin != "armed" for verdict in verdicts)
    told = [] if brief else [circumstances(verdict, elsewhere=others) for verdict in verdicts]
    machines = dict.fromkeys(told)
    lines = [*filter(None, [retried(verdicts, attempts or {})]), *(f"times are {machine}" for machine in machines)]
    return Text.assemble(
        (f"{', '.join(counts)} in {wall_s:.1f} s", STYLES[worst(verdicts)]),
        *(f"\n{line}" for line in lines),
    )


def retried(verdicts: Sequence[Verdict], attempts: Mapping[str, int]) -> str:
    """What was run again because this machine was too busy, and what to do where it still was; "" where nothing was."""
    again = [name for name, number in attempts.items() if number > 1]
    lines = [f"{len(again)} retried, as this machine was too busy: {', '.join(again)}"] if again else []
    busy = [verdict for verdict in verdicts if verdict.cause == "machine-too-busy"]
    if busy:
        virtual = any(verdict.clock == "real" and verdict.lab == "netns" for verdict in busy)
        fewer = "run fewer at once with --jobs 4"
        fix = f"{fewer}, or use --clock virtual, where load makes no difference" if virtual else fewer
        lines.append(f"{len(busy)} inconclusive, as this machine was too busy: {fix}")
    return "\n".join(lines)


def circumstances(verdict: Verdict, *, elsewhere: bool = False) -> str:
    """What times are of, and on which kernel they were measured; `elsewhere`: some results name another origin."""
    allowance = f" (allowance {verdict.allowance_ns / 1e6:g} ms)" if verdict.allowance_ns else ""
    where = ", in containers" if verdict.lab == "docker" else ""
    origin = "after arming, unless a result names another origin" if elsewhere else "after arming"
    return f"{verdict.clock} time {origin}{allowance}; Linux {verdict.kernel}, HZ={verdict.hz}{where}"


class Listing:
    """Each scenario's name and what it claims, like a table of contents; `abouts`: a line about each topic."""

    def __init__(self, scenarios: Sequence[Scenario], abouts: Mapping[str, str]) -> None:
        self.scenarios, self.abouts = scenarios, abouts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Lay it out for the console's width; part of rich's protocol."""
        first = True
        for topic, group in itertools.groupby(self.scenarios, key=lambda scenario: scenario.name.rpartition("/")[0]):
            some, about = list(group), self.abouts.get(topic)
            if about is not None:
                head = Text.assemble("" if first else "\n", (f"{topic} ({len(some)})", "bold"), f"  {about}")
                yield from _wrapped(head, console, options.max_width)
            first = False
            indent = max(cell_len(scenario.name) for scenario in some) + _GAP
            narrow = options.max_width - indent < LEAST_SUMMARY
            for scenario in some:
                name, summary = Text(scenario.name, "cyan"), Text(scenario.summary)
                if narrow and scenario.summary:
                    yield name
                    yield from _indented(summary, console, options.max_width, _GAP)
                else:
                    beside, *below = _indented(summary, console, options.max_width, indent)
                    yield Text.assemble(name, beside[len(scenario.name) :]) if scenario.summary else name
                    yield from below


def _indented(text: Text, console: Console, width: int, indent: int) -> list[Text]:
    """Lines of a text, each after so many blanks."""
    return [Text(" " * indent) + line for line in _wrapped(text, console, max(width - indent, LEAST_SUMMARY))]


def _wrapped(text: Text, console: Console, width: int) -> list[Text]:
    """Lines of a text without blanks at their ends."""
    lines = list(text.wrap(console, width))
    for line in lines:
        line.rstrip()
    return lines


class Progress:
    """What each running scenario waits for and until when; a live display on a terminal, else a line per verdict.

    `quiet`: nothing at all.
    """

    def __init__(self, total: int, longest_s: float, stream: TextIO | None = None, *, quiet: bool = False) -> None:
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
            self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=8, transient=True)
            self._live.start()
        else:
            scenarios = "1 scenario" if self._total == 1 else f"{self._total} scenarios"
            self._console.print(f"running {scenarios} at once; the longest is watched for {self._longest_s:.1f} s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def status(self, name: str, what: str | None, until_ns: int | None) -> None:
        """What a scenario waits for, and its deadline; None: it has ended. Runs call this from their threads."""
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
            grid.add_row(Text(name, "cyan"), Text(f"awaiting {what}" if until_ns else what), Text(left))
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
