"""How far work in several parts is, where nobody looks."""

from __future__ import annotations

import io

from harness.report.steps import Steps


def test_a_file_gets_a_line_for_each_part() -> None:
    """And none for each step."""
    stream = io.StringIO()
    with Steps("case", stream) as steps:
        steps.begin("planning", 2)
        steps.step()
        steps.step()
        steps.begin("running", 1)
        steps.step()
    assert stream.getvalue() == "planning: 2 cases\nrunning: 1 case\n"
