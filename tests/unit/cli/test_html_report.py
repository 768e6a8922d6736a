"""`--html`: pages of saved runs and of findings, and the command lines on them."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec
import pytest

from harness import timeline
from harness.cli import html_report
from harness.cli.main import main
from harness.judge.result import Result
from harness.plan import plan_file
from tests.unit.conftest import Write
from tests.unit.report.html.pages import Reader, good

LATE = "[connections.db]\nidle_s = 340\ndetect_within_s = 60\n[connections.queue]\n"


def named(name: str, **machine: object) -> Result:
    """A run of a scenario of that name."""
    plan = good().plan
    scenario = msgspec.structs.replace(plan.scenario, name=name)
    made = msgspec.structs.replace(plan.machine, **machine)
    plan = msgspec.structs.replace(plan, scenario=scenario, machine=made)
    return msgspec.structs.replace(good(), plan=plan)


def again(words: list[str], *results: Result, **more: object) -> list[str]:
    """How a page says that results are had again."""
    options = argparse.Namespace(words=words, **more)
    return [each.again for each in html_report.details(options, results)]


def test_saved_runs_become_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the command line, and a note where it is."""
    folder, file = tmp_path / "by" / "hand", tmp_path / "report.html"
    folder.mkdir(parents=True)
    plan_file.save(good().plan, folder)
    lines = [msgspec.json.encode(event) for event in good().events]
    (folder / timeline.FILE_NAME).write_bytes(b"\n".join(lines))
    assert main(["judge", str(tmp_path), "--html", str(file)]) == 0
    assert capsys.readouterr().out.endswith(f"report: {file}\n")
    texts = Reader(file.read_text()).texts
    assert f"harness judge {tmp_path} --html {file}" in texts
    assert "by/hand" in "".join(texts)


def test_findings_become_a_page(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status and the text stay as they are."""
    write("POLICY.toml", LATE)
    assert main(["check", "--html", "report.html"]) == 1
    shown = capsys.readouterr()
    assert "KA015" in shown.out
    assert shown.err.endswith("harness: report: report.html\n")
    text = Path("report.html").read_text()
    for wanted in ("POLICY.toml:2:10", "rule-KA015", "harness check --html report.html"):
        assert wanted in text


def test_a_page_that_cannot_be_written_stops_a_command_at_once(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is read or run."""
    write("POLICY.toml", "not TOML")
    for command in (["check"], ["judge", "missing"], ["run", "missing"]):
        assert main([*command, "--html", "no/such/folder/x.html"]) == 2
    expected = "--html: expected a file that can be written, found no/such/folder/x.html"
    assert capsys.readouterr().err.count(expected) == 2  # `run` looks for its scenarios first


def test_a_url_with_a_password_is_not_shown() -> None:
    """A page is made to be sent around."""
    options = argparse.Namespace(given=("check", "postgresql://me:secret@db/x", "--html", "a b"))
    line = html_report.command_line(options)
    assert "secret" not in line
    assert line.startswith("harness check ")
    assert line.endswith(" --html 'a b'")


def test_a_scenario_of_the_catalogue_is_had_by_its_name() -> None:
    """On the same clock, with the same seed and hosts."""
    plain = named("outcomes/peer-down")
    virtual = named("outcomes/peer-down", clock="virtual", seed=7)
    docker = named("outcomes/peer-down", lab="docker")
    assert again([], plain) == ["harness run outcomes/peer-down"]
    assert again(["outcomes"], virtual, kernel=None) == [
        "harness run outcomes/peer-down --clock virtual --seed 7"
    ]
    assert again(["outcomes"], docker) == ["harness run outcomes/peer-down --lab docker"]


def test_a_file_is_had_by_its_path(write: Write) -> None:
    """Also one of a folder. Of two files with one name it is not known which was meant."""
    text = "faults = [{ kind = 'blackhole' }]\n"
    write("mine/a b.scenario.toml", text)
    write("mine/deep/other.scenario.toml", text)
    write("mine/twin.scenario.toml", text)
    write("mine/deep/twin.scenario.toml", text)
    assert again(["mine/a b.scenario.toml"], named("a b")) == [
        "harness run 'mine/a b.scenario.toml'"
    ]
    names = (named("a b"), named("deep/other"), named("deep/twin"), named("gone"))
    assert again(["mine"], *names) == [
        "harness run 'mine/a b.scenario.toml'",
        "harness run mine/deep/other.scenario.toml",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ([], "the whole catalogue"),
        (["outcomes"], "outcomes"),
        (["a", "b", "c", "d"], "a, b, c, …"),
    ],
)
def test_titles(words: list[str], title: str) -> None:
    """They name what was run, up to a length."""
    assert html_report.what(words) == title
