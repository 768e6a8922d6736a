"""The plugin's options: the command line goes before the ini file, and a bad value names where it
stands.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.pytest_plugin import options
from harness.venue import WALL_LIMIT_S

pytest_plugins = ["pytester"]

INI = """
[pytest]
harness_clock = virtual
harness_lab = docker
harness_out = runs
harness_kernel = linux-7
harness_wall_limit = 5
harness_seed = 7
harness_write = one two
harness_no_commands = true
"""
FLAGS = (
    "--clock=real",
    "--lab=netns",
    "--harness-out=other",
    "--harness-kernel=linux-6",
    "--harness-wall-limit=0",
    "--harness-seed=0",
    "--harness-write=three",
)


def given(pytester: pytest.Pytester, ini: str, *flags: str) -> options.Options:
    """What holds with an ini file and a command line."""
    pytester.makeini(ini)
    return options.of(pytester.parseconfig(*flags))


def test_without_any_the_defaults_hold(pytester: pytest.Pytester) -> None:
    """Real time in namespaces, and run directories of our own."""
    found = given(pytester, "[pytest]")
    assert found == options.Options(
        "real", "netns", None, None, WALL_LIMIT_S, None, (), no_commands=False
    )


def test_each_option_may_stand_in_the_ini_file(pytester: pytest.Pytester) -> None:
    """Folders count from where that lies."""
    at = pytester.path
    found = given(pytester, INI)
    write = (at / "one", at / "two")
    assert found == options.Options(
        "virtual", "docker", at / "runs", "linux-7", 5.0, 7, write, no_commands=True
    )


def test_the_command_line_goes_before_the_ini_file(pytester: pytest.Pytester) -> None:
    """Also where it says what would hold without either, and a limit of 0."""
    found = given(pytester, INI, *FLAGS)
    write = (Path("three"),)
    assert found == options.Options(
        "real", "netns", Path("other"), "linux-6", 0.0, 0, write, no_commands=True
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "harness_clock = virtul",
            "harness_clock in .*tox.ini: expected real or virtual, found 'virtul'",
        ),
        (
            "harness_lab = dokcer",
            "harness_lab in .*tox.ini: expected netns or docker, found 'dokcer'",
        ),
        ("harness_out = a b", "harness_out in .*tox.ini: expected one folder, found a b"),
        (
            "harness_wall_limit = soon",
            "harness_wall_limit in .*tox.ini: expected seconds from 0 on",
        ),
        ("harness_seed = -1", "harness_seed in .*tox.ini: expected a whole number from 0 to"),
    ],
)
def test_a_bad_value_names_its_option_and_file(
    pytester: pytest.Pytester, line: str, words: str
) -> None:
    """As pytest's own usage errors do."""
    with pytest.raises(pytest.UsageError, match=words):
        given(pytester, f"[pytest]\n{line}\n")
