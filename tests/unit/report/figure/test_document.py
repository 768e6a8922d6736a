"""A figure as a file of its own."""

from __future__ import annotations

from harness.report.figure import FIGURE_CSS, run_svg, standalone, timeline_svg
from tests.unit.report.figure.drawn import of_class, parsed, result, texts
from tests.unit.report.figure.test_timeline import HANDSHAKE
from tests.unit.timelines import as_foreseen, unreachable


def test_a_file_brings_its_style() -> None:
    """The same picture with its style, and nothing from elsewhere."""
    plan = unreachable()
    inline = timeline_svg(result(plan, as_foreseen(plan)))
    whole = standalone(inline)
    root = parsed(whole)
    (style,) = root.iter("style")
    assert style.text == FIGURE_CSS
    assert "<style" not in inline
    assert "http" not in whole.replace("http://www.w3.org/2000/svg", "")


def test_one_run() -> None:
    """Name, verdict, reason, timeline and ladder, one below the other, all within the picture."""
    plan = unreachable()
    root = parsed(run_svg(result(plan, [*HANDSHAKE, *as_foreseen(plan)])))
    parts = [*of_class(root, "kh-timeline"), *of_class(root, "kh-ladder")]
    bottoms = [float(part.get("y", "")) + float(part.get("height", "")) for part in parts]
    assert float(parts[1].get("y", "")) > bottoms[0]
    assert bottoms[1] < float(root.get("viewBox", "").split()[3])
    assert {"by/hand", "pass"} <= set(texts(root))
