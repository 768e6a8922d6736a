"""What people see on the terminal: the verdicts with their reasons, and the catalogue."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TextIO, cast

import msgspec
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from harness.judge.moments import ORIGINS
from harness.judge.reasons import clipped
from harness.judge.verdict import Verdict, worst
from harness.report import ascii_output
from harness.system.escapes import in_a_line, visible

if TYPE_CHECKING:
    from harness.scenario.schema import Scenario

STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "bold yellow"}
WIDTH_OF_FILES = 140
WORDS_SHOWN = 32
"""So many characters of what a program reports stand in a row; all of them are in the timeline."""
LEAST_SUMMARY = 20
"""Columns for a summary or a reason, at least."""
_GAP = 2
_HEADER = ("verdict", "scenario", "measured", "predicted", "probes")


class _Console(Console):
    """A console that leaves a closed pipe to the command line.

    Rich's own ends the program with exit status 1.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Show escapes for control characters of whatever is shown: only rich's own control the
        terminal.
        """
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
        file=cast("TextIO", ascii_output.TrimmedStream(stream)),
        width=WIDTH_OF_FILES,
        highlight=False,
        soft_wrap=False,
    )


class VerdictTable:
    """For each scenario a row, and below it the reason.

    Where both ends are judged, each has a row. Where the terminal is too narrow, the row takes two
    lines.
    """

    def __init__(self, verdicts: Sequence[Verdict]) -> None:
        self.verdicts = [row for verdict in verdicts for row in _rows(verdict)]

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Lay it out for the console's width; part of rich's protocol."""
        rows = [_HEADER, *(_cells(verdict) for verdict in self.verdicts)]
        widths = [max(cell_len(row[column]) for row in rows) for column in range(len(_HEADER))]
        indent = widths[0] + _GAP
        narrow = sum(widths) + _GAP * (len(widths) - 1) > options.max_width
        for verdict, cells in zip([None, *self.verdicts], rows, strict=True):
            style = "bold" if verdict is None else STYLES[verdict.verdict]
            padded = [
                _pad(cell, width, column)
                for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ]
            name = cells[1] if narrow else padded[1]
            numbers = Text(
                (" " * _GAP).join(padded[2:]).rstrip(), "bold" if verdict is None else ""
            )
            first = Text.assemble(
                (padded[0], style), " " * _GAP, (name, "bold" if verdict is None else "cyan")
            )
            if narrow:
                yield first
                yield Text(" " * indent) + numbers
            else:
                yield Text.assemble(first, " " * _GAP, numbers)
            if verdict is not None:
                for text in _below(verdict):
                    below = Text(text, "dim" if verdict.verdict == "pass" else "")
                    yield from _indented(below, console, options.max_width, indent)


def _rows(verdict: Verdict) -> Sequence[Verdict]:
    """One for each judged end; where there are two, the name says which."""
    return [
        msgspec.structs.replace(end, name=f"{end.name} ({end.side})") for end in verdict.ends
    ] or [verdict]


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
    given_up = clipped(in_a_line(verdict.reports or "detected"), WORDS_SHOWN)
    what = {"eof": "EOF", "noticed": given_up}.get(verdict.outcome or "", verdict.errno)
    if (
        verdict.detected_ns < 0 and verdict.reconnected_ns is not None
    ):  # before the healing, as it may
        return f"connected {verdict.reconnected_ns / 1e9:.3f} s"
    return f"{what} {verdict.detected_ns / 1e9:.3f} s"


def _below(verdict: Verdict) -> list[str]:
    """The reason and, unless the verdict is a pass, what the scenario is about and what it
    claims.
    """
    origin = "" if verdict.origin == "armed" else f"; times count from {ORIGINS[verdict.origin]}"
    lines = [f"{verdict.reason}{origin}"]
    if verdict.verdict != "pass":
        lines += [f"scenario: {verdict.summary}"] if verdict.summary else []
        lines.append(f"claim: {verdict.claimed}")
    return lines


def summary(
    verdicts: Sequence[Verdict],
    wall_s: float,
    attempts: Mapping[str, int] | None = None,
    *,
    brief: bool = False,
) -> Text:
    """The last lines: how many of each, the wall time, what was run again and, unless brief, clock
    and machine.
    """
    counts = [
        f"{sum(v.verdict == name for v in verdicts)} {name}"
        for name in ("pass", "fail", "inconclusive")
    ]
    others = any(verdict.origin != "armed" for verdict in verdicts)
    told = [] if brief else [circumstances(verdict, elsewhere=others) for verdict in verdicts]
    machines = dict.fromkeys(told)
    lines = [
        *filter(None, [retried(verdicts, attempts or {})]),
        *(f"times are {machine}" for machine in machines),
    ]
    return Text.assemble(
        (f"{', '.join(counts)} in {wall_s:.1f} s", STYLES[worst(verdicts)]),
        *(f"\n{line}" for line in lines),
    )


def retried(verdicts: Sequence[Verdict], attempts: Mapping[str, int]) -> str:
    """What was run again because this machine was too busy, and what to do where it still was.

    "" where nothing was.
    """
    again = [name for name, number in attempts.items() if number > 1]
    lines = (
        [f"{len(again)} retried, as this machine was too busy: {', '.join(again)}"] if again else []
    )
    busy = [verdict for verdict in verdicts if verdict.cause == "machine-too-busy"]
    if busy:
        virtual = any(verdict.clock == "real" and verdict.lab == "netns" for verdict in busy)
        fewer = "run fewer at once with --jobs 4"
        fix = (
            f"{fewer}, or use --clock virtual, where load makes no difference" if virtual else fewer
        )
        lines.append(f"{len(busy)} inconclusive, as this machine was too busy: {fix}")
    return "\n".join(lines)


def circumstances(verdict: Verdict, *, elsewhere: bool = False) -> str:
    """What times are of, and on which kernel they were measured.

    `elsewhere`: some results name another origin.
    """
    allowance = f" (allowance {verdict.allowance_ns / 1e6:g} ms)" if verdict.allowance_ns else ""
    where = ", in containers" if verdict.lab == "docker" else ""
    origin = "after arming, unless a result names another origin" if elsewhere else "after arming"
    return (
        f"{verdict.clock} time {origin}{allowance}; Linux {verdict.kernel}, HZ={verdict.hz}{where}"
    )


class Listing:
    """Each scenario's name and what it claims, like a table of contents.

    `abouts`: a line about each topic.
    """

    def __init__(self, scenarios: Sequence[Scenario], abouts: Mapping[str, str]) -> None:
        self.scenarios, self.abouts = scenarios, abouts

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Lay it out for the console's width; part of rich's protocol."""
        first = True
        for topic, group in itertools.groupby(
            self.scenarios, key=lambda scenario: scenario.name.rpartition("/")[0]
        ):
            some, about = list(group), self.abouts.get(topic)
            if about is not None:
                head = Text.assemble(
                    "" if first else "\n", (f"{topic} ({len(some)})", "bold"), f"  {about}"
                )
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
                    yield (
                        Text.assemble(name, beside[len(scenario.name) :])
                        if scenario.summary
                        else name
                    )
                    yield from below


def _indented(text: Text, console: Console, width: int, indent: int) -> list[Text]:
    """Lines of a text, each after so many blanks."""
    return [
        Text(" " * indent) + line
        for line in _wrapped(text, console, max(width - indent, LEAST_SUMMARY))
    ]


def _wrapped(text: Text, console: Console, width: int) -> list[Text]:
    """Lines of a text without blanks at their ends."""
    lines = list(text.wrap(console, width))
    for line in lines:
        line.rstrip()
    return lines
