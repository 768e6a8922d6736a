"""Scenario files as items: what they are marked with."""

from __future__ import annotations

import pytest

from tests.live.sessions import PROVEN, RESET

pytest_plugins = ["pytester"]

OF_A_COMMAND = (
    "[[faults]]\nkind = 'blackhole'\nat_s = 0\n[expect]\noutcome = 'never'\nbound_s = 1\n"
)
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
    for name, text in {
        "proven": PROVEN,
        "reset": RESET,
        "two": TWO_FAULTS,
        "paused": paused,
    }.items():
        (pytester.path / f"{name}.scenario.toml").write_text(text)
    pytester.makepyfile("def test_it(): pass")
    result = pytester.runpytest_inprocess(
        "--collect-only", "-q", "--strict-markers", "-m", expression
    )
    found = [line.rpartition("::")[2] for line in result.outlines if "::" in line]
    assert sorted(found) == selected


@pytest.mark.parametrize(("ini", "flags"), [("false", ["--no-commands"]), ("true", [])])
def test_files_that_run_commands_are_refused(
    pytester: pytest.Pytester, ini: str, flags: list[str]
) -> None:
    """On demand, on the command line or in the ini file; the others are collected."""
    command = "[client.command]\nargv = ['touch', '/x']\ndetects = { prints = 'x' }\n"
    for name, text in {"proven": PROVEN, "runs": OF_A_COMMAND + command}.items():
        (pytester.path / f"{name}.scenario.toml").write_text(text)
    pytester.makeini("[pytest]")
    assert pytester.runpytest_inprocess("--collect-only", "-q").ret == pytest.ExitCode.OK
    pytester.makeini(f"[pytest]\nharness_no_commands = {ini}")
    result = pytester.runpytest_inprocess("--collect-only", "-q", *flags)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    said = (
        "scenario runs: client.command.argv: expected no program of the scenario's own, as "
        "--no-commands refuses *"
    )
    result.stdout.fnmatch_lines([said, "*1 error*"])
