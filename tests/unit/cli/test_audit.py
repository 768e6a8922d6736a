"""`harness audit`: options in, reports and exit statuses out. The sockets are invented."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from harness.cli import main
from harness.errors import LabError, UsageError
from harness.lab import docker_client, live_sockets
from harness.model.live_sockets import Survey, Unread
from tests.unit.policy.audit.surveys import OFF, SET, accepted, connected, survey

Capture = pytest.CaptureFixture[str]
POLICY = """
[connections.cache]
match = { program = "redis-server" }
detect_idle_within_s = 120

[connections.other]
match = { port = 1 }
"""


def ended(*arguments: str) -> int:
    """The exit status, also where argparse ends the program."""
    try:
        return main.main(arguments)
    except SystemExit as end:
        return int(end.code or 0)


class Machine:
    """What is found at each look, and whose sockets were asked for."""

    def __init__(self, *surveys: Survey) -> None:
        self.surveys = list(surveys)
        self.asked: list[Iterable[int] | None] = []

    def survey(self, pids: Iterable[int] | None = None) -> Survey:
        """The next one; the last one again and again."""
        self.asked.append(pids)
        return self.surveys.pop(0) if len(self.surveys) > 1 else self.surveys[0]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """One with a server and a client."""
    made = Machine(survey(accepted(), connected(options=SET)))
    monkeypatch.setattr(live_sockets, "survey", made.survey)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return made


def test_it_shows_and_does_not_judge(machine: Machine, capsys: Capture) -> None:
    """Without demands the exit status is 0."""
    assert ended("audit") == 0
    assert "redis-server  redis" in capsys.readouterr().out
    assert ended("audit", "--all", "--hz", "1000") == 0
    assert ended("audit", "--pid", "7", "--pid", "8") == 0
    assert machine.asked == [None, None, [7, 8]]


def test_demands_decide_the_status(machine: Machine, capsys: Capture) -> None:
    """As in `harness check`, with rules selected and left out."""
    assert ended("audit", "--detect-within", "120") == 1
    assert "KA001 redis-server accepted at 6379" in capsys.readouterr().out
    assert ended("audit", "--detect-idle-within", "120", "--ignore", "KA001,KA004,KA006") == 0
    assert ended("audit", "--detect-within", "120", "--select", "KA003") == 0
    machine.surveys = [survey(accepted(holders=(), options=type(OFF)()))]
    assert ended("audit", "--detect-within", "120") == 3
    assert "KA102 cannot be answered" in capsys.readouterr().out


def test_a_policy_says_which_sockets_are_meant(machine: Machine, capsys: Capture) -> None:
    """A connection that matches nothing is told, and not answered."""
    Path("P.toml").write_text(POLICY)
    assert ended("audit", "--policy", "P.toml", "--output-format", "json") == 1
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    (finding,) = document["findings"]
    assert (finding["rule"], finding["line"]) == ("KA001", 2)
    assert document["unmatched"] == ["other"]
    assert shown.err == "harness: P.toml: other: no live connection matches it\n"
    assert [each["connection"] for each in document["unanswered"]] == ["other"]
    assert machine.asked == [None]


@pytest.mark.parametrize("output_format", ["junit", "github", "gitlab", "sarif"])
def test_every_format(machine: Machine, output_format: str, capsys: Capture) -> None:
    """The finding is in each."""
    del machine
    status = ended("audit", "--detect-idle-within", "120", "--output-format", output_format)
    assert status == (0 if output_format == "sarif" else 1)
    shown = capsys.readouterr().out
    assert "KA001" in shown
    assert "redis-server accepted at 6379" in shown
    if output_format == "junit":
        assert [case.get("name") for case in ET.fromstring(shown).iter("testcase")] == [  # noqa: S314 - our own
            "app to port 5432",
            "redis-server accepted at 6379",
        ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--policy", "none.toml"], "none.toml"),
        (["--policy", "P.toml"], "P.toml: match: expected the sockets"),
        (["--watch", "1", "--output-format", "json"], "--watch: expected --output-format text"),
        (["--watch", "0"], "argument --watch: expected seconds, more than 0"),
        (["--pid", "0"], "argument --pid: expected a whole number from 1 on"),
        (["--pid", "1", "--all"], "not allowed with argument --pid"),
        (["--detect-within", "-1"], "--detect-within"),
        (["--path", "nowhere"], "--path: expected"),
        (["--select", "KA999"], "expected the id of a rule"),
        (["--idle", "3"], "--idle"),
    ],
)
def test_bad_usage(machine: Machine, arguments: list[str], said: str, capsys: Capture) -> None:
    """One clear error, before anything is read."""
    Path("P.toml").write_text("[connections.db]\nidle_s = 60\n")
    assert ended("audit", *arguments) == 2
    assert said in capsys.readouterr().err
    assert machine.asked == []


def test_a_bad_match_is_told_with_its_place(machine: Machine, capsys: Capture) -> None:
    """An empty one, a port that is none, a key that is none."""
    for match, said in (
        ("{}", "P.toml:2:9: connections.db.match: expected a program, a port or both"),
        ("{ port = 70000 }", "P.toml:2:18: connections.db.match.port: expected"),
        ('{ prog = "x" }', "P.toml:2:"),
        (
            "{ port = 1 }\n[defaults]\nmatch = { port = 1 }",
            "P.toml:4:9: defaults.match: expected no such",
        ),
    ):
        Path("P.toml").write_text(f"[connections.db]\nmatch = {match}\n")
        assert ended("audit", "--policy", "P.toml") == 2
        assert said in capsys.readouterr().err
    assert machine.asked == []


def test_a_process_that_may_not_be_read(machine: Machine, capsys: Capture) -> None:
    """The right that is missing is told, where it was asked for."""
    unread = Unread(what="process", number=1, why="it takes a right", fix="run as root")
    machine.surveys = [survey(unread=(unread,))]
    assert ended("audit", "--pid", "7") == 3
    assert "it takes a right. Fix: run as root" in capsys.readouterr().err
    assert ended("audit") == 0
    assert "not read: 1 process: it takes a right" in capsys.readouterr().out


def test_processes_of_a_container(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """By its name."""

    class Client:
        def close(self) -> None:
            """Nothing to close."""

    monkeypatch.setattr(docker_client, "connect", Client)
    monkeypatch.setattr(docker_client, "running", lambda _client, name: name)
    monkeypatch.setattr(docker_client, "pids_of", lambda container: [len(container)])
    assert ended("audit", "--container", "four") == 0
    assert machine.asked == [[4]]

    def gone(_container: str) -> list[int]:
        raise LabError("expected container four to run on this machine")

    monkeypatch.setattr(docker_client, "pids_of", gone)
    assert ended("audit", "--container", "four") == 3
    assert "expected container four" in capsys.readouterr().err


def test_watching_prints_changes_until_an_interrupt(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """The exit status is that of the last look."""
    before = survey(connected(options=SET))
    after = survey(connected(options=SET), accepted())
    machine.surveys = [before, before, after, after]
    slept: list[float] = []

    def sleep(for_s: float) -> None:
        slept.append(for_s)
        if len(slept) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    assert ended("audit", "--watch", "1m", "--detect-idle-within", "120") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1][8:].startswith("  + redis-server accepted at 6379, user redis, keepalive off")
    assert lines[-2].startswith("1 TCP socket of 1 process")
    assert (slept, len(machine.asked)) == ([60.0] * 4, 4)


def test_a_deploy_may_take_a_process_away_and_bring_it_back(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """What is gone has no sockets; the reason is told once."""
    looks = [machine.survey, None, None, machine.survey]

    def survey_or_error(pids: Iterable[int] | None = None) -> Survey:
        look = looks.pop(0)
        if look is None:
            raise UsageError("expected the ID of a running process, found 7")
        return look(pids)

    monkeypatch.setattr(live_sockets, "survey", survey_or_error)

    def sleep(_for_s: float) -> None:
        if not looks:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    assert ended("audit", "--pid", "7", "--watch", "1") == 0
    shown = capsys.readouterr()
    signs = [line[10] for line in shown.out.splitlines() if line[2:3] == ":"]
    assert signs == ["-", "-", "+", "+"]
    assert shown.err.splitlines()[:2] == [
        "harness: expected the ID of a running process, found 7",
        "harness: found again",
    ]


def test_what_was_not_read_is_told_beside_every_report(
    machine: Machine, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On standard error where the report has no place for it."""
    unread = Unread(what="process", number=1, why="it takes a right", fix="run as root")
    machine.surveys = [survey(accepted(), unread=(unread,))]
    summary = Path("summary.md")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert ended("audit", "--output-format", "github", "--detect-within", "120") == 1
    assert "not read: 1 process: it takes a right" in capsys.readouterr().err
    assert summary.read_text().startswith("### harness audit: 1 connection: ")


def test_this_machine(capsys: Capture) -> None:
    """Nothing is invented here: the command reads this process."""
    assert ended("audit", "--pid", str(os.getpid())) == 0
    assert "TCP sockets of " in capsys.readouterr().out
