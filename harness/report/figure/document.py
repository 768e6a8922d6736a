"""Figures as text: inline for a page, or as a file that brings its own style."""

from __future__ import annotations

import textwrap
from typing import NamedTuple

from harness.judge.result import Result
from harness.report.figure import ladder, svg, timeline
from harness.report.figure.contents import Contents, contents_of
from harness.report.figure.style import FIGURE_CSS


class Figures(NamedTuple):
    """Both figures of a run, each an inline `<svg>` element."""

    timeline: str
    ladder: str


def figures(contents: Contents, *, ident: str = "run") -> Figures:
    """Both figures of what `contents_of` has read of a result, which takes most of the time.

    `ident`: what the ids in them begin with.
    """
    drawn = (timeline.picture(contents, f"{ident}t"), ladder.picture(contents, f"{ident}l"))
    return Figures(*map(svg.render, drawn))


def timeline_svg(result: Result, *, ident: str = "run") -> str:
    """The timeline alone."""
    return svg.render(timeline.picture(contents_of(result), ident))


def ladder_svg(result: Result, *, ident: str = "run") -> str:
    """The ladder alone."""
    return svg.render(ladder.picture(contents_of(result), ident))


_WIDTH = 800.0
_MARGIN = 12.0


def standalone(picture: str) -> str:
    """An inline `<svg>` as a whole file that brings its own style."""
    head, _, rest = picture.partition(">")
    style = FIGURE_CSS.replace("&", "&amp;").replace("<", "&lt;")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}><style>{style}</style>{rest}\n'


def run_svg(result: Result) -> str:
    """The file of one run: its name, the verdict with its reason, the timeline and the ladder."""
    verdict = result.verdict
    whole = svg.root(_WIDTH, 0, "kh-run", "whole", f"{result.plan.name}: {verdict.verdict}")
    svg.rect(whole, 0, 0, _WIDTH, 0, "fold")
    y = _MARGIN + 16
    svg.text(whole, _MARGIN, y, result.plan.name, "title strong")
    svg.text(
        whole, _WIDTH - _MARGIN, y, verdict.verdict, f"title strong of-{verdict.verdict}", "end"
    )
    y += 4
    for line in textwrap.wrap(verdict.reason, 120):
        y += 16
        svg.text(whole, _MARGIN, y, line)
    y += 14
    contents = contents_of(result)
    for part in (timeline.picture(contents, "timeline"), ladder.picture(contents, "ladder")):
        _, _, width, height = (float(each) for each in part.attrib["viewBox"].split())
        part.attrib |= {"x": svg.number(_MARGIN), "y": svg.number(y)}
        part.attrib |= {"width": svg.number(width), "height": svg.number(height)}
        whole.append(part)
        y += height + 18
    total = _WIDTH + 2 * _MARGIN
    whole.set("viewBox", f"0 0 {svg.number(total)} {svg.number(y)}")
    whole[1].attrib |= {"width": svg.number(total), "height": svg.number(y)}
    return standalone(svg.render(whole))
