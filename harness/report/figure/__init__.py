"""Figures of runs: inline SVG for pages, and files of their own."""

from harness.report.figure.contents import contents_of
from harness.report.figure.document import (
    Figures,
    figures,
    ladder_svg,
    run_svg,
    standalone,
    timeline_svg,
)
from harness.report.figure.style import FIGURE_CSS

__all__ = [
    "FIGURE_CSS",
    "Figures",
    "contents_of",
    "figures",
    "ladder_svg",
    "run_svg",
    "standalone",
    "timeline_svg",
]
