"""Figures of runs: inline SVG for pages, and files of their own."""

from harness.report.figure.document import run_svg, standalone
from harness.report.figure.ladder import ladder_svg
from harness.report.figure.style import FIGURE_CSS
from harness.report.figure.timeline import timeline_svg

__all__ = ["FIGURE_CSS", "ladder_svg", "run_svg", "standalone", "timeline_svg"]
