"""Signs in encodings that lack them."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import pytest
from rich.text import Text

import harness
from harness.report import ascii_output, diagram, text
from tests.unit.timelines import as_foreseen, unreachable

PACKAGE = Path(harness.__file__).parent


def literals(path: Path) -> list[str]:
    """The strings of a module's code, but for docstrings."""
    tree = ast.parse(path.read_text())
    statements = (node.value for node in ast.walk(tree) if isinstance(node, ast.Expr))
    docs = {id(value) for value in statements if isinstance(value, ast.Constant)}
    strings = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    return [str(node.value) for node in strings if id(node) not in docs]


def may_have_signs(code: str) -> bool:
    """Whether a string of it may have letters beyond ASCII; to parse all code takes a second."""
    return not code.isascii() or any(escape in code for escape in ("\\x", "\\u", "\\U", "\\N"))


def test_every_sign_that_is_printed_has_a_plain_one() -> None:
    """In whichever module; each plain one is ASCII. Figures and pages are files in UTF-8."""
    drawn = (PACKAGE / "report" / "figure", PACKAGE / "report" / "html")
    files = [
        path
        for path in PACKAGE.rglob("*.py")
        if path.parent not in drawn and may_have_signs(path.read_text())
    ]
    used = {sign for path in files for string in literals(path) for sign in string}
    printed = {
        sign for sign in used if "\x7f" < sign < "\ud7ff"
    }  # beyond are bounds of what XML may hold
    assert "●" in printed
    assert printed - set(ascii_output.ASCII) == set()
    assert all(plain.isascii() for plain in ascii_output.ASCII.values())


def test_marks_of_a_picture_stay_apart() -> None:
    """So that its legend is true."""
    marks = [ascii_output.ASCII[mark] for mark in diagram._LEGEND]
    assert len(set(marks)) == len(marks)
    assert all(len(plain) == 1 for mark, plain in ascii_output.ASCII.items() if mark not in "…→")


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1"])
def test_a_picture_in_another_encoding(encoding: str) -> None:
    """As wide as ever, with other signs.

    A name that is not English loses its accents, and no more.
    """
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    console = text.console(stream)
    lines = diagram.draw(unreachable(), as_foreseen(unreachable()))
    console.print(Text("\n".join(lines)))
    console.print("café … 漢")
    stream.flush()
    *drawn, name = raw.getvalue().decode(encoding).splitlines()
    assert [len(line) for line in drawn] == [len(line) for line in lines]
    assert any("|- blackhole --" in line for line in drawn)
    assert any("o probe, x RST" in line for line in drawn)
    assert "?" not in "".join(drawn)
    assert name == ("cafe ... ?" if encoding == "ascii" else "café ... ?")


def test_utf_8_is_left_alone() -> None:
    """It has all signs."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8")
    text.console(stream).print("● … 漢")
    stream.flush()
    assert raw.getvalue().decode() == "● … 漢\n"
