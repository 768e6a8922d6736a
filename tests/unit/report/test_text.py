"""What people see on the terminal, at any width."""

from __future__ import annotations

import io
from typing import Literal

import msgspec
import pytest
from rich.console import Console
from rich.table import Table

from harness.judge.verdict import Verdict, judge
from harness.report import text
from harness.scenario.schema import Scenario
from tests.unit.timelines import SECOND, as_foreseen, flap, unreachable, without


def shown(renderable: object, width: int, *, colour: bool = False) -> list[str]:
    """Lines as a terminal of that width shows them, blanks at the end included."""
    stream = io.StringIO()
    system: Literal["standard"] | None = "standard" if colour else None
    console = Console(
        file=stream, width=width, force_terminal=colour, highlight=False, color_system=system
    )
    console.print(renderable)
    return stream.getvalue().splitlines()


def verdicts() -> list[Verdict]:
    """One of each, with names as long as the catalogue's."""
    good = judge(unreachable(), as_foreseen(unreachable()))
    quiet = judge(flap(), as_foreseen(flap()))
    bad = judge(unreachable(window_s=(4.0, 4.5)), as_foreseen(unreachable()))
    unclear = judge(unreachable(), without(as_foreseen(unreachable()), "subject.armed"))
    names = ("outcomes/peer-unreachable", "outcomes/firewall-kept-open", "link/bad", "link/unclear")
    return [
        msgspec.structs.replace(v, name=n)
        for v, n in zip((good, quiet, bad, unclear), names, strict=True)
    ]


def joined(lines: list[str]) -> str:
    """The text without its line breaks."""
    return " ".join(line.strip() for line in lines)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_every_verdict_is_shown_with_its_reason(width: int) -> None:
    """At any width: all reasons in full, no line wider than the terminal.

    From 60 columns on no blanks at the end.
    """
    lines = shown(text.VerdictTable(verdicts()), width)
    assert max(len(line) for line in lines) <= width
    for verdict in verdicts():
        assert verdict.reason in joined(lines)
        assert verdict.name in joined(lines)
    assert width < 60 or all(line == line.rstrip() for line in lines)


def test_claim_and_summary_stand_below_what_is_no_pass() -> None:
    """With the window and its origin."""
    plan = unreachable(origin="fault", window_s=(4.0, 4.5))
    plan = msgspec.structs.replace(
        plan, scenario=msgspec.structs.replace(plan.scenario, summary="A path that is cut")
    )
    bad = shown(text.VerdictTable([judge(plan, as_foreseen(plan))]), 140)
    assert [line.strip() for line in bad[-2:]] == [
        "scenario: A path that is cut",
        "claim: ETIMEDOUT 4 to 4.5 s after the fault",
    ]
    assert "claim" not in joined(shown(text.VerdictTable(verdicts()[:1]), 140))


def test_one_origin_in_a_row_and_its_reason() -> None:
    """What was measured, what was predicted and every figure of the reason count from the fault."""
    plan = unreachable(origin="fault", window_s=(4.0, 4.5))
    lines = shown(text.VerdictTable([judge(plan, as_foreseen(plan))]), 200)
    assert "ETIMEDOUT 4.590 s  4.572-4.608 s" in lines[1]
    assert (
        "detected 4.590 s after the fault, 0.090 s after expect.window_s (4 to 4.5 s after "
        "the fault)"
    ) in lines[2]
    assert "the oracle predicted ETIMEDOUT 4.572 s to 4.608 s after the fault" in lines[2]
    assert "arming" not in joined(lines)


def test_a_long_report_is_cut() -> None:
    """A program's message does not push the columns apart."""
    long = "it seems that the remote server has closed the connection, which often happens " * 9
    good = msgspec.structs.replace(verdicts()[0], outcome="noticed", errno=None, reports=long)
    row = shown(text.VerdictTable([good]), 140)[1]
    assert "it seems that the remote serv... 5.090 s  5.072-5.108 s" in row
    assert len(row) < 120


def test_a_row_and_its_reason() -> None:
    """Verdict, name, what was measured, what was predicted, probes.

    Below them the reason, indented.
    """
    lines = shown(text.VerdictTable(verdicts()[:2]), 80)
    assert lines == [
        "verdict  scenario                              measured      predicted  probes",
        "pass     outcomes/peer-unreachable    ETIMEDOUT 5.090 s  5.072-5.108 s       3",
        "         3 probes unanswered (traces)",
        "pass     outcomes/firewall-kept-open            nothing        nothing       4",
        "         nothing reaches the application (traces)",
    ]


def test_a_narrow_terminal_gets_two_lines_a_row() -> None:
    """Where the row does not fit, the numbers move below the name."""
    lines = shown(text.VerdictTable(verdicts()), 60)
    at = lines.index("fail          link/bad")
    assert lines[at + 1].split() == ["ETIMEDOUT", "5.090", "s", "5.072-5.108", "s", "3"]
    assert lines[at + 2].strip().startswith("detected 5.090 s after arming")


def test_the_origin_is_named_where_it_is_not_arming() -> None:
    """Times that count from the fault say so."""
    plan = unreachable(origin="fault", window_s=(4.0, 5.0))
    lines = shown(text.VerdictTable([judge(plan, as_foreseen(plan))]), 140)
    assert lines[2].endswith("; times count from the fault")
    healed = msgspec.structs.replace(judge(plan, as_foreseen(plan)), origin="healed")
    assert shown(text.VerdictTable([healed]), 200)[2].endswith(
        "; times count from the removal of the last fault"
    )


def test_a_prediction_is_shown_where_its_origin_never_came() -> None:
    """It is known after arming, and says so."""
    plan = unreachable(origin="fault", window_s=(4.0, 5.0))
    found = judge(plan, without(as_foreseen(plan), "fault.injected"))
    assert found.window_ns is None
    assert "5.072-5.108 s after arming" in shown(text.VerdictTable([found]), 140)[1]


def test_a_reconnection_after_the_healing_is_what_was_measured() -> None:
    """Where it was detected before the healing, from which the scenario's times count."""
    plain = msgspec.structs.replace(
        verdicts()[0], outcome="noticed", reports="reconnect", origin="healed"
    )
    before = msgspec.structs.replace(plain, detected_ns=-6 * SECOND, reconnected_ns=SECOND // 2)
    assert "connected 0.500 s" in joined(shown(text.VerdictTable([before]), 100))
    after = msgspec.structs.replace(before, detected_ns=SECOND // 4)
    assert "reconnect 0.250 s" in joined(shown(text.VerdictTable([after]), 100))


def test_end_of_file_and_nothing_measured() -> None:
    """EOF has no errno; a run that was never armed has no numbers."""
    (good, *_), dash = verdicts(), verdicts()[-1]
    eof = msgspec.structs.replace(good, outcome="eof", errno=None)
    lines = shown(text.VerdictTable([eof, dash]), 140)
    assert "EOF 5.090 s" in lines[1]
    assert lines[3].split()[-4:] == ["-", "5.072-5.108", "s", "-"]


def test_verdicts_have_their_colours() -> None:
    """Green, red and yellow, on terminals only."""
    coloured = "\n".join(shown(text.VerdictTable(verdicts()), 140, colour=True))
    for code, name in (("32", "pass"), ("1;31", "fail"), ("1;33", "inconclusive")):
        assert f"\x1b[{code}m{name}" in coloured
    assert "\x1b" not in "\n".join(shown(text.VerdictTable(verdicts()), 140))


def test_brackets_are_no_markup() -> None:
    """Names, reasons and summaries may hold square brackets."""
    odd = msgspec.structs.replace(verdicts()[0], reason="net:[402653] [red]stays[/red] [/]")
    assert "net:[402653] [red]stays[/red] [/]" in joined(shown(text.VerdictTable([odd]), 140))
    listed = shown(
        text.Listing([Scenario(name="a/b", summary="found [bold] here")], {"a": "About [it]"}), 80
    )
    assert [line.rstrip() for line in listed] == ["a (1)  About [it]", "a/b  found [bold] here"]


def test_the_summary_counts_and_names_the_machine() -> None:
    """How many of each, how long, on which clock, kernel and HZ; fits 80 columns."""
    lines = shown(text.summary(verdicts(), 8.25), 80)
    assert lines == [
        "2 pass, 1 fail, 1 inconclusive in 8.2 s",
        "times are real time after arming (allowance 50 ms); Linux 6.18.0, HZ=250",
    ]
    other = msgspec.structs.replace(verdicts()[0], clock="virtual", hz=1000, allowance_ns=0)
    assert shown(text.summary([*verdicts(), other], 1.0), 80)[2].startswith(
        "times are virtual time after arming; Linux"
    )
    fault = msgspec.structs.replace(verdicts()[0], origin="fault")
    assert (
        "after arming, unless a result names another origin"
        in shown(text.summary([fault], 1.0), 140)[1]
    )
    assert shown(text.summary([], 0.0), 80) == ["0 pass, 0 fail, 0 inconclusive in 0.0 s"]


def test_the_summary_counts_what_was_run_again() -> None:
    """By name; where the machine was too busy still, with what helps: in containers there is no
    virtual time.
    """
    good, _, _, unclear = verdicts()
    assert shown(text.summary([good], 1.0, {good.name: 1, "b": 2, "c": 3}), 140)[1] == (
        "2 retried, as this machine was too busy: b, c"
    )
    busy = msgspec.structs.replace(unclear, cause="machine-too-busy")
    assert shown(text.summary([good, busy], 1.0), 140)[1] == (
        "1 inconclusive, as this machine was too busy: run fewer at once with --jobs 4, or use "
        "--clock virtual, "
        "where load makes no difference"
    )
    contained = msgspec.structs.replace(busy, lab="docker")
    assert "--clock" not in joined(shown(text.summary([contained], 1.0), 140))
    assert "busy" not in joined(shown(text.summary([good, unclear], 1.0), 140))


def test_a_closed_pipe_is_the_command_lines_affair() -> None:
    """A console raises; rich's own would end the program with exit status 1."""

    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        text.console(Closed()).print("x")


@pytest.mark.parametrize("width", [30, 40, 80, 140])
def test_a_listing_has_no_blanks_at_the_ends_of_lines(width: int) -> None:
    """On a terminal, too; all of it is there at any width."""
    scenarios = [
        Scenario(
            name="topic/a-name",
            summary="a claim of some words that needs more than one line here or there " * 2,
        ),
        Scenario(name="topic/another-longer-name", summary="short"),
        Scenario(name="topic/none"),
    ]
    lines = shown(
        text.Listing(scenarios, {"topic": "what it is about, in a line of its own"}), width
    )
    assert all(line == line.rstrip() for line in lines)
    assert max(len(line) for line in lines) <= max(width, len("topic/another-longer-name"))
    said = joined(lines)
    assert all(
        word in said
        for scenario in scenarios
        for word in (scenario.name, *scenario.summary.split())
    )


def test_a_file_gets_no_blanks_at_the_ends_of_lines() -> None:
    """Whatever pads its lines, such as tables of rich's own."""
    table = Table("a", "b", box=None)
    table.add_row("x", "y" * 20)
    table.add_row("x", "y")
    stream = io.StringIO()
    console = text.console(stream)
    console.print(table)
    console.print("a  ", end="")
    console.print("b  ")
    lines = stream.getvalue().split("\n")
    assert lines[-2] == "a  b"
    assert all(line == line.rstrip() for line in lines)


def test_a_brief_summary_is_one_line() -> None:
    """Without the machine and the clock."""
    assert (
        text.summary(verdicts(), 1.0, brief=True).plain == "2 pass, 1 fail, 1 inconclusive in 1.0 s"
    )


def test_a_listing_wraps_below_itself() -> None:
    """Long summaries go on below their own beginning, not below the name."""
    scenarios = [
        Scenario(name="outcomes/peer-down", summary="word " * 30),
        Scenario(name="b", summary="short"),
    ]
    lines = shown(text.Listing(scenarios, {}), 60)
    assert max(len(line.rstrip()) for line in lines) <= 60
    assert lines[1].startswith(" " * len("outcomes/peer-down  ") + "word")
    assert lines[-1].split() == ["b", "short"]


def test_files_are_wide_and_any_encoding_will_do() -> None:
    """Output into a file is 140 columns wide; what its encoding lacks is replaced."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    console = text.console(stream)
    assert console.width == text.WIDTH_OF_FILES
    console.print("━ ●")
    stream.flush()
    assert raw.getvalue() == b"- o\n"
