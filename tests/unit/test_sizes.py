"""Modules and functions are short enough to be read at once; the exceptions have a reason."""

from __future__ import annotations

import ast
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
MOST_LINES = 400
MOST_FUNCTION_LINES = 50
MOST_TEST_LINES = 650
"""The tests of one module, or of one subject, stay together: they are read one by one."""
LONG_MODULES = {
    "ci/bench.py": "one script, whose measurements share their helpers",
    "harness/programs/tcp_endpoint.py": "a script (python -I -S), which can import nothing beside it",  # noqa: E501
}
LONG_FUNCTIONS = {
    ("ci/bench.py", "_virtual"): "one measurement after the other",
    ("tests/live/test_heartbeats.py", "test_what_a_design_alone_has"): "a table of scenarios",
    ("tests/live/test_pytest_plugin.py", "test_hand_written_tests"): "the test file of a user",
    (
        "tests/live/test_pytest_plugin.py",
        "test_mistakes_in_hand_written_tests_are_told",
    ): "another one",
    (
        "tests/unit/lab/test_base_lab.py",
        "test_everything_is_closed_whatever_fails",
    ): "each step in turn",
}


def modules() -> list[Path]:
    """All Python files of the project."""
    return [
        path
        for folder in ("ci", "harness", "tests")
        for path in sorted((CHECKOUT / folder).rglob("*.py"))
    ]


def test_modules_are_short() -> None:
    """At most 400 lines, those of tests 650."""
    long = {}
    for path in modules():
        name = path.relative_to(CHECKOUT).as_posix()
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > (MOST_TEST_LINES if name.startswith("tests/") else MOST_LINES):
            long[name] = lines
    assert {name: lines for name, lines in long.items() if name not in LONG_MODULES} == {}


def test_functions_are_short() -> None:
    """At most 50 lines, with signature and docstring."""
    long = {}
    for path in modules():
        name = path.relative_to(CHECKOUT).as_posix()
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MOST_FUNCTION_LINES:
                    long[name, node.name] = lines
    assert {key: lines for key, lines in long.items() if key not in LONG_FUNCTIONS} == {}
