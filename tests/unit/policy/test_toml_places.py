"""Where keys and values of TOML stand."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from harness.policy.toml_places import Path, Position, dotted, places
from harness.scenario.loader import catalogue

TEXT = '''# A comment with = and [brackets]
top = 1
"quoted key" = "a # no comment"
a.b . "c.d" = true

[table.inner] # its name begins after the bracket
  array = [ 1, "two, ]", [3], { x = 4, y.z = 5 }, # more
    1979-05-27 07:32:00, ]
text = """
several = "lines"
""" # after them
raw = \'\'\'it's \\\'\'\'
quotes = """two "" and three""\\""""

[[many]]
value = -1.5e3
[[many]]
value = 'x'
[many.below]
deep = {}
[[many.list]]
value = 0x1F
'''
EXPECTED: dict[Path, tuple[int, int]] = {
    ("top",): (2, 7),
    ("quoted key",): (3, 16),
    ("a",): (4, 1),
    ("a", "b", "c.d"): (4, 15),
    ("table",): (6, 2),
    ("table", "inner"): (6, 2),
    ("table", "inner", "array"): (7, 11),
    ("table", "inner", "array", 1): (7, 16),
    ("table", "inner", "array", 2, 0): (7, 27),
    ("table", "inner", "array", 3, "x"): (7, 37),
    ("table", "inner", "array", 3, "y", "z"): (7, 46),
    ("table", "inner", "array", 4): (8, 5),
    ("table", "inner", "text"): (9, 8),
    ("table", "inner", "raw"): (12, 7),
    ("table", "inner", "quotes"): (13, 10),
    ("many", 0): (15, 3),
    ("many", 1, "value"): (18, 9),
    ("many", 1, "below", "deep"): (20, 8),
    ("many", 1, "list", 0, "value"): (22, 9),
}


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Everything that is no container."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else None
    )
    if inner is None:
        yield path, value
    else:
        for key, each in inner:
            yield from leaves(each, (*path, key))


def test_values_and_tables_have_lines_and_columns() -> None:
    """Counted from 1, whatever is quoted, nested or said in several lines."""
    found = places(TEXT)
    assert {path: found[path] for path in EXPECTED} == {
        path: Position(*at) for path, at in EXPECTED.items()
    }
    assert {path for path, _ in leaves(tomllib.loads(TEXT))} <= set(found)


FILES = sorted(catalogue().rglob("*.toml"))


@pytest.mark.parametrize("offset", range(3))
def test_every_value_of_the_catalogue_is_where_it_is_said_to_be(offset: int) -> None:
    """Text that was written for another purpose: what stands at the place is the value, as tomllib
    reads it.
    """
    for file in FILES[offset::12]:
        text = file.read_text()
        lines, found = text.splitlines(), places(text)
        for path, value in leaves(tomllib.loads(text)):
            at = found[path]
            rest = lines[at.line - 1][at.column - 1 :]
            if isinstance(value, bool):
                assert rest.startswith(str(value).lower())
            elif isinstance(value, str):
                assert rest[0] in "\"'"
            else:
                assert (
                    float(rest.split("#")[0].split(",")[0].strip(" ]}").replace("_", "")) == value
                ), (file, path)


def test_line_ends_of_other_systems_count_as_one() -> None:
    """CR LF."""
    assert places("a = 1\r\nb = 2\r\n")[("b",)] == Position(2, 5)


def test_a_path_is_written_with_dots_and_indexes() -> None:
    """As messages about scenarios write it."""
    assert dotted(("connections", "db", "path", 0, "then")) == "connections.db.path[0].then"
