"""Scenario files as items: what they are marked with."""

from __future__ import annotations

import pytest

from tests.live.sessions import PROVEN, RESET

pytest_plugins = ["pytester"]

TWO_FAULTS = PROVEN + "\n[[faults]]\nkind = 'process-freeze'\nat_s = 60\n"


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ("scenario", ["paused", "proven", "reset", "two"]),
        ("not scenario", ["test_it"]),
        ('scenario(fault="peer-reboot")', ["reset"]),
        ('scenario(fault="process-freeze")', ["two"]),
        ('scenario(fault="blackhole", topology="routed")', ["proven", "two"]),
        ('scenario(outcome="survives")', []),
    ],
)
def test_scenarios_are_selected_by_their_marker(
    pytester: pytest.Pytester, expression: str, selected: list[str]
) -> None:
    """Whether they can run or are left out, and by any of their faults."""
    paused = "[[faults]]\nkind = 'container-pause'\nat_s = 1\n"
    for name, text in {"proven": PROVEN, "reset": RESET, "two": TWO_FAULTS, "paused": paused}.items():
        (pytester.path / f"{name}.scenario.toml").write_text(text)
    pytester.makepyfile("def test_it(): pass")
    result = pytester.runpytest_inprocess("--collect-only", "-q", "--strict-markers", "-m", expression)
    found = [line.rpartition("::")[2] for line in result.outlines if "::" in line]
    assert sorted(found) == selected
