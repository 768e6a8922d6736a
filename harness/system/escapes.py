"""Text of scenarios, programs and file names, made safe to show: a control character becomes its
escape.

Otherwise a program under test could write on a terminal or in a report what is not so: a colour, a
title, another line in the place of a verdict, text that runs from right to left. All reports use
this, each at the one place where its text comes out; JSON has escapes of its own.
"""

from __future__ import annotations

import re

_CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f"
"""The general category Cc of Unicode, all but tab and line feed."""
_DIRECTIONS = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""What changes the direction of text (Bidi_Control)."""
_OTHERS = r"\u2028\u2029\ufffe\uffff\ud800-\udfff"
"""Other line breaks, and what no encoding or no XML has."""
# No regular expression is compiled for text in which Python itself finds nothing to hide.
_HIDDEN = f"[{_CONTROLS}{_DIRECTIONS}{_OTHERS}]"
_HIDDEN_IN_A_LINE = f"[{_CONTROLS}{_DIRECTIONS}{_OTHERS}\\t\\n]"


def visible(text: str) -> str:
    r"""The text with escapes such as \x1b and \u202e for what a terminal would not show.

    Lines and tabs stay.
    """
    return text if text.replace("\n", "").isprintable() else re.sub(_HIDDEN, _escape, text)


def in_a_line(text: str) -> str:
    """The same in one line, for a cell of a table or a title."""
    return text if text.isprintable() else re.sub(_HIDDEN_IN_A_LINE, _escape, text)


def log_line(text: str) -> str:
    """The same in one line of a log, which GitHub Actions takes for no command to its runner.

    A command is a line that begins with "::" after blanks, and has a second "::" after its name.
    """
    line = in_a_line(text)
    begin = line.lstrip()
    if not begin.startswith("::") or "::" not in begin[2:]:
        return line
    return f"{line[: len(line) - len(begin)]}\\x3a{begin[1:]}"


def markdown_cell(text: str) -> str:
    """The same for a cell of a Markdown table, which ends at no character of the text and holds no
    HTML of it.
    """
    return in_a_line(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
