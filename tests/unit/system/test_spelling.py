"""Hints for misspelled words."""

from __future__ import annotations

from harness.system.spelling import did_you_mean


def test_the_nearest_words_are_named() -> None:
    """As many as are asked for, and none where nothing is near, or what was found is no word."""
    known = ["routed", "router", "direct"]
    assert did_you_mean("rooted", known) == " (did you mean routed?)"
    assert did_you_mean("direkt", known, most=2) == " (did you mean direct?)"
    assert did_you_mean("routes", known, most=2) == " (did you mean router or routed?)"
    assert did_you_mean("xyz", known) == did_you_mean(3, known) == ""
