"""`harness suggest`: demands in, settings or a refusal out."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest

from harness import policy
from harness.cli import main

Capture = pytest.CaptureFixture[str]
POLICY = """
[defaults]
detect_within_s = 120
hz = [250]
[connections.db]
idle_s = 60
survive_s = 20
[connections.bus]
heartbeat = { every_s = 30, timeout_s = 10, misses = 2, apart = true }
[connections.none]
detect_within_s = 30
survive_s = 60
"""


def ended(*arguments: str) -> int:
    """The exit status, also where argparse ends the program."""
    try:
        return main.main(arguments)
    except SystemExit as end:
        return int(end.code or 0)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a policy that is not called POLICY.toml."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fleet.toml").write_text(POLICY)
    return tmp_path


def test_settings_are_printed_as_options_of_the_socket(capsys: Capture) -> None:
    """With the figures that prove them, and what they do not cover."""
    assert ended("suggest", "--path", "aws-nlb", "--detect-within", "400") == 0
    out = capsys.readouterr().out
    assert out.startswith("options: idle 293 s, interval 36 s, count 2, user timeout 365 s\n")
    assert re.search(r"^    TCP_USER_TIMEOUT  365000 ms$", out, re.MULTILINE)
    assert "Without --detect-within 400 the idle time could be 317 s or more." in out
    assert "- A peer that hangs or is frozen:" in out
    assert "up to 399.5 s (of 400)" in out


def test_a_contradiction_is_named_with_what_would_do(capsys: Capture) -> None:
    """Exit status 1."""
    assert ended("suggest", "--detect-within", "30", "--survive", "60") == 1
    out = capsys.readouterr().out
    assert "--detect-within 30  would have to be 118 s or more" in out
    assert "--survive 60        would have to be 20 s or less" in out


def test_what_the_lines_say_passes_the_check(folder: Path, capsys: Capture) -> None:
    """They are all that is on standard output."""
    asked = ("--detect-within", "120", "--survive", "20", "--hz", "250")
    assert ended("suggest", *asked, "--for", "libpq") == 0
    captured = capsys.readouterr()
    assert "A peer that hangs" in captured.err
    (folder / "dsn").write_text(captured.out)
    assert ended("check", "dsn", "--format", "libpq", *asked) == 0, capsys.readouterr().out


def test_what_the_lines_need_elsewhere_is_told(capsys: Capture) -> None:
    """A server with the defaults of gRPC closes connections with pings that often."""
    assert ended("suggest", "--detect-idle-within", "120", "--for", "grpc") == 0
    assert "(too_many_pings) unless its grpc.http2.min_ping" in capsys.readouterr().err


def test_nothing_is_written_into_a_file_where_no_settings_do(capsys: Capture) -> None:
    """The refusal is on standard error."""
    asked = ("--detect-within", "30", "--survive", "60", "--hz", "250")
    assert ended("suggest", *asked, "--for", "libpq") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no settings meet all demands" in captured.err


def test_the_lines_for_setsockopt_are_python(capsys: Capture) -> None:
    """Which runs."""
    assert ended("suggest", "--detect-within", "120", "--hz", "250", "--for", "setsockopt") == 0
    import socket

    with socket.socket() as sock:
        exec(capsys.readouterr().out, {"sock": sock, "socket": socket})  # noqa: S102 - our own
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) > 100_000


def test_a_policy_is_answered_in_a_table(folder: Path, capsys: Capture) -> None:
    """One of its connections is answered in full."""
    assert ended("suggest", "fleet.toml") == 1
    out = capsys.readouterr().out
    assert re.search(r"^db +idle 60 s, interval 75 s, count 9 +idle \d+ s", out, re.MULTILINE)
    assert re.search(r"^bus +heartbeat every 30 s +keep as is$", out, re.MULTILINE)
    assert re.search(r"^none +none set +none meet all demands$", out, re.MULTILINE)
    assert ended("suggest", "fleet.toml", "--connection", "db") == 0
    assert capsys.readouterr().out.startswith("db: idle ")
    (folder / "POLICY.toml").write_text(POLICY)
    assert ended("suggest", "--connection", "bus", "--output-format", "json") == 0
    (found,) = json.loads(capsys.readouterr().out)["connections"]
    assert found["settings"]["keepalive"] is False


def test_demands_alone_hold_for_the_policy_of_the_folder(folder: Path, capsys: Capture) -> None:
    """Unless a side says that they are of one connection."""
    (folder / "POLICY.toml").write_text("[connections.db]\nidle_s = 60\n")
    assert ended("suggest", "--hz", "250", "--detect-idle-within", "120") == 0
    assert capsys.readouterr().out.startswith("db: idle ")
    assert ended("suggest", "--side", "client", "--detect-idle-within", "120") == 0
    assert capsys.readouterr().out.startswith("options: idle ")


def test_json_has_settings_or_the_conflict(capsys: Capture) -> None:
    """With the exit status of each."""
    assert ended("suggest", "fleet.toml", "--output-format", "json") == 1
    document = json.loads(capsys.readouterr().out)
    assert [each["exit_status"] for each in document["connections"]] == [0, 0, 1]
    db, _, none = document["connections"]
    assert db["overview"]["idle"]["met"]
    assert {"level": "SOL_SOCKET", "name": "SO_KEEPALIVE", "value": 1} in db["setsockopt"]
    assert none["settings"] is None
    assert [each["demand"]["key"] for each in none["conflict"]["reliefs"]] == [
        "detect_within_s",
        "survive_s",
    ]


def test_an_option_is_a_demand_of_connections_that_state_none(capsys: Capture) -> None:
    """As for the check."""
    asked = ("suggest", "fleet.toml", "--connection", "bus", "--path", "20:drop")
    assert ended(*asked, "--output-format", "json") == 0
    (found,) = json.loads(capsys.readouterr().out)["connections"]
    assert found["settings"]["idle_s"] < 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected demands (such as --detect-within 120), a file or POLICY.toml"),
        (["--detect-within", "5", "--connection", "db"], "expected a file with connections"),
        (["fleet.toml", "--connection", "nome"], "found nome (did you mean none"),
        (["fleet.toml", "--for", "libpq"], "--for: expected one connection, found 3"),
        (["--detect-within", "5", "--for", "libqp"], "found libqp (did you mean libpq"),
        (
            ["--detect-within", "60", "--hz", "250", "--for", "systemd"],
            "or demand nothing of data in flight (--detect-idle-within)",
        ),
        (
            ["--detect-within", "5", "--for", "libpq", "--output-format", "json"],
            "--for: expected --output-format text with it, found json",
        ),
        (["--path", "aws-nbl"], "--path: expected one of: aws-ec2-conntrack"),
    ],
)
def test_what_is_wrong_with_a_command_line(
    arguments: list[str], message: str, capsys: Capture
) -> None:
    """Exit status 2, and one sentence."""
    assert ended("suggest", *arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert not captured.out


def test_the_examples_of_the_page_hold(capsys: Capture) -> None:
    """Each ends as the page says."""
    page = Path(policy.__path__[0], "README.md").read_text()
    section = page.partition("## Suggesting settings")[2].partition("\n## ")[0]
    commands = re.findall(r"^    \$ harness (suggest .+)$", section, re.MULTILINE)
    assert len(commands) >= 2
    for command in commands:
        assert ended(*command.split()) in (0, 1), command
        out = capsys.readouterr().out
        shown = section.partition(f"harness {command}\n")[2]
        block = itertools.takewhile(lambda line: not line[:1].strip(), shown.splitlines())
        for line in filter(None, block):
            assert line[4:] in out
