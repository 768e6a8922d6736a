"""Pages for tests: runs made by hand, whose verdicts and names are as a test wants them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from typing import Any

import msgspec

from harness.judge.result import Result
from harness.judge.verdict import Verdict, judge
from harness.report.html.page import Grid, GridCell, Page
from harness.timeline import Event
from tests.unit.timelines import SECOND, as_foreseen, at, flap, unreachable

VOID = frozenset({"meta", "input", "wbr", "br", "path", "rect", "line", "circle", "use"})
"""Elements without an end tag in our pages; those of SVG may have one or end in "/>"."""


@cache
def good() -> Result:
    """A run that passed: a blackhole, ETIMEDOUT."""
    plan = unreachable()
    events = tuple(as_foreseen(plan))
    return Result(plan=plan, events=events, verdict=judge(plan, events))


@cache
def survived() -> Result:
    """A run that passed, in which nothing was detected."""
    plan = flap()
    events = tuple(as_foreseen(plan))
    return Result(plan=plan, events=events, verdict=judge(plan, events))


def named(result: Result, name: str, **changes: Any) -> Result:
    """The run under another name, with other parts of its verdict."""
    verdict: Verdict = msgspec.structs.replace(result.verdict, name=name, **changes)
    return msgspec.structs.replace(result, verdict=verdict)


def three() -> tuple[Result, ...]:
    """One of each verdict, of two topics and two faults."""
    return (
        named(good(), "outcomes/peer-down"),
        named(
            good(),
            "outcomes/late",
            verdict="fail",
            cause="noticed-too-late",
            reason="too late",
            detected_ns=20 * SECOND,
        ),
        named(
            survived(),
            "survival/flap",
            verdict="inconclusive",
            cause="machine-too-busy",
            reason="busy",
        ),
    )


def many(number: int) -> Iterator[Result]:
    """So many runs, of ten topics, one in ten of which failed; no two are detected at one time."""
    for place in range(number):
        result = survived() if place % 7 == 0 else good()
        changes: dict[str, Any] = {}
        if result.verdict.detected_ns is not None:
            changes["detected_ns"] = result.verdict.detected_ns + place * 1_000_000
        if place % 10 == 9:
            changes |= {"verdict": "fail", "cause": "noticed-too-late", "reason": "too late"}
        yield named(result, f"topic-{place % 10}/a-scenario-with-a-long-name-{place}", **changes)


def grid() -> Grid:
    """Two faults by two loads, with a cell that was not run."""
    fine = GridCell(status="good", symbol="✓", short="5.1 s", text="ETIMEDOUT", run=0)
    bad = GridCell(status="bad", symbol="✗", short="never", run=1)
    unknown = GridCell(status="unknown", symbol="?", short="busy", run=2)
    return Grid(
        rows=("blackhole", "frozen"),
        columns=("idle", "a load with a long name"),
        cells=((fine, bad), (unknown, None)),
        caption="time to detect",
        corner="fault",
        legend=(
            ("good", "✓", "in time"),
            (
                "bad",
                "✗",
                "not as documented: too late, too early or never at all, whatever the load",
            ),
        ),
    )


def printed(lines: int) -> tuple[Event, ...]:
    """So many lines of a client's output, a millisecond apart."""
    return tuple(
        at(place * 1_000_000, "subject.printed", side="client", line=f"line {place}")
        for place in range(lines)
    )


def page(*results: Result, **more: Any) -> Page:
    """A page about runs."""
    return Page(title="A title", command="harness run", results=results, **more)


class Reader(HTMLParser):
    """Reads a page as a browser does, and notes its elements and their text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element of SVG that has no content."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """It must be the one that began last."""
        if tag in VOID:
            return
        assert self.open, f"</{tag}> ends nothing"
        assert self.open.pop() == tag, f"</{tag}> ends another element"

    def handle_data(self, data: str) -> None:
        """Text."""
        self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]
