"""No text of a scenario or of a program controls the terminal or a report that shows it."""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cli import main
from harness.judge.verdict import Verdict, judge
from harness.pytest_plugin.history import Telling
from harness.report import junit, library_matrix, text
from harness.report.documents import MatrixCell
from harness.system import escapes
from tests.unit.timelines import as_foreseen, unreachable

HOSTILE = "\x1b[2Jpass\x07\r\x9b31m\u202e|\x7f\x00<b>"
ESCAPED = r"\x1b[2Jpass\x07\r\x9b31m\u202e|\x7f\x00<b>"
CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}


def hidden(shown: str) -> set[str]:
    """What a terminal would not show of a text, but line feeds and tabs."""
    return {
        each for each in shown if unicodedata.category(each) in CATEGORIES or each == "\u202e"
    } - {"\n", "\t"}


@given(st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "L"])))
def test_nothing_hidden_is_left(words: str) -> None:
    """Whatever it is; and what is no control character stays as it is."""
    assert not hidden(escapes.visible(words))
    assert not hidden(escapes.in_a_line(words))
    assert "\n" not in escapes.in_a_line(words)
    assert escapes.visible("déjà vu, 日本\t1\n2") == "déjà vu, 日本\t1\n2"
    assert escapes.visible(HOSTILE) == ESCAPED


def hostile() -> Verdict:
    """A refuted claim, each text of which came from somebody else."""
    found = judge(unreachable(window_s=(4.0, 4.5)), as_foreseen(unreachable()))
    facts = {
        "reason": HOSTILE,
        "summary": HOSTILE,
        "outcome": "noticed",
        "reports": HOSTILE,
        "claimed": HOSTILE,
    }
    return msgspec.structs.replace(found, **facts)


def test_tables_on_a_terminal() -> None:
    """Their own colours stay."""
    stream = io.StringIO()
    console = text._Console(file=stream, width=500, force_terminal=True, color_system="standard")
    console.print(text.VerdictTable([hostile()]))
    shown = stream.getvalue()
    assert shown.count(r"\x1b[2Jpass") == 4
    assert "\x1b[2J" not in shown
    assert "\x1b[1;31mfail" in shown
    assert hidden(shown) == {"\x1b"}


def test_junit() -> None:
    """In messages, texts and properties."""
    document = junit.render([junit.Case(verdict=hostile(), wall_s=1.0)], 1.0).decode()
    assert document.count(r"\x1b[2Jpass") == 4
    assert not hidden(document)


def test_markdown() -> None:
    """A cell does not end its row either, and holds no HTML."""
    row = MatrixCell(
        suite="s",
        library="l",
        version=HOSTILE,
        server="s",
        fault="blackhole",
        load="idle",
        origin="fault",
        documents=HOSTILE,
        documented_s=None,
        source=HOSTILE,
        measured_s=1.0,
        reports=f"{HOSTILE}\n| forged |",
        finding="not promised, detected",
        known=False,
        verdict="pass",
        reason="",
    )
    document = library_matrix.markdown([row], "here")
    assert not hidden(document)
    assert r"&lt;b>\n\| forged \| |" in document


def test_pytest() -> None:
    """In the report of a failure, and the line of it in the summary."""
    told = Telling(f"{HOSTILE}\n{HOSTILE}")
    assert str(told) == f"{ESCAPED}\n{ESCAPED}"
    assert str(told.reprcrash) == ESCAPED


@pytest.mark.parametrize("command", ["plan", "run", "list"])
def test_errors_name_paths_with_escapes(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder of a pull request may have any name, and a file any key."""
    folder = tmp_path / "\x1b]0;title\x07\u202e"
    folder.mkdir()
    (folder / "x.scenario.toml").write_text('"\\u001b[2J" = 1\n')
    assert main.main([command, str(folder)]) == 2
    assert main.main([command, str(folder / "\x1b[2J.toml")]) == 2
    with pytest.raises(SystemExit):
        main.main([command, "--no-such-option-\x1b[2J"])
    said = capsys.readouterr().err
    assert not hidden(said)
    assert r"\x1b]0;title\x07\u202e" in said


def test_plans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`harness plan` prints no table."""
    claim = '[[faults]]\nkind = "link-down"\non = "server"\nat_s = 1\n'
    (tmp_path / "x.scenario.toml").write_text(f'summary = "\\u001b[2J\\u202e"\n{claim}')
    assert main.main(["plan", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert r"x: \x1b[2J\u202e" in shown
    assert not hidden(shown)
