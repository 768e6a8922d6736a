"""What `harness check` says on standard error about values that seem to be in the wrong unit."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import main

Capture = pytest.CaptureFixture[str]


def ended(*arguments: str) -> int:
    """The exit status."""
    return main.main(arguments)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_seconds_that_look_like_milliseconds_are_told(folder: Path, capsys: Capture) -> None:
    """They are sound, and nobody means them."""
    (folder / "POLICY.toml").write_text("[connections.db]\nuser_timeout_s = 30000\n")
    assert ended("check") == 0
    assert "POLICY.toml:2:18: db: user_timeout_s = 30000 means 30000 s" in capsys.readouterr().err
    url = "postgresql://db/orders?tcp_user_timeout=30000000"
    assert ended("check", url) == 1
    assert "db/orders: user_timeout_s = 30000 means 30000 s" in capsys.readouterr().err
    assert ended("check", "--idle", "60", "--interval", "5000", "--count", "3") == 0
    assert "--interval = 5000 means 5000 s" in capsys.readouterr().err


def test_hints_stay_in_their_line(folder: Path, capsys: Capture) -> None:
    """A name may hold a line break, and what follows it a command to the runner of a CI job."""
    (folder / "POLICY.toml").write_text('[connections."x\\n::error::"]\nuser_timeout_s = 30000\n')
    assert ended("check") == 0
    assert r": x\n::error::: user_timeout_s = 30000" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("detect_within_s = 120000", "2:19: db: detect_within_s = 120000 means 120000 s"),
        ("survive_s = 20000", "2:13: db: survive_s = 20000 means 20000 s"),
        (
            "path = [{ idle_timeout_s = 350000 }]",
            "db: path[0].idle_timeout_s = 350000 means 350000 s",
        ),
        (
            "heartbeat = { every_s = 30000, timeout_s = 9 }",
            "2:25: db: heartbeat.every_s = 30000 means 30000 s",
        ),
        (
            "heartbeat = { every_s = 30, timeout_s = 9000 }",
            "2:41: db: heartbeat.timeout_s = 9000 means 9000 s",
        ),
        ("path = [{ idle_timeout_s = 432000 }]", ""),
        ("user_timeout_s = 0.085", ""),
    ],
)
def test_demands_and_heartbeats_that_look_like_milliseconds_are_told(
    line: str, message: str, folder: Path, capsys: Capture
) -> None:
    """As settings are. Five days are conntrack's own default, and a policy counts in seconds."""
    (folder / "POLICY.toml").write_text(f"[connections.db]\n{line}\n")
    ended("check")
    told = capsys.readouterr().err
    assert message in told
    assert bool(message) == ("did you mean" in told)


def test_a_path_of_one_word_is_told_to_be_an_array(folder: Path, capsys: Capture) -> None:
    """With that word in it."""
    (folder / "POLICY.toml").write_text("[connections.db]\npath = 'aws-nlb'\n")
    assert ended("check") == 2
    told = capsys.readouterr().err
    assert "connections.db.path: expected an array in [], each of it one of: aws-" in told
    assert '(did you mean ["aws-nlb"]?)' in told


def test_an_option_that_looks_like_milliseconds_is_told_once(folder: Path, capsys: Capture) -> None:
    """By its own name, for however many connections."""
    (folder / "POLICY.toml").write_text(
        "[connections.a]\nkeepalive = false\n[connections.b]\nkeepalive = false\n"
    )
    for settings in ([], ["--idle", "60"]):
        ended("check", *settings, "--detect-within", "120000", "--path", "350000:reset")
        told = capsys.readouterr().err
        assert told.count("--detect-within = 120000 means 120000 s") == 1
        assert told.count("--path = 350000 means 350000 s") == 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.json",
            '{"grpc.keepalive_time_ms": 60}',
            "a.json:1:28: grpc.keepalive_time_ms = 60 means 60 ms; did you mean 60000 ms (60 s)?",
        ),
        (
            "haproxy.cfg",
            "listen db\n  bind :1 tcp-ut 30\n  server a b:1\n",
            "user_timeout_s (tcp-ut) = 30 means 30 ms; did you mean 30000 ms (30 s)?",
        ),
        ("haproxy.cfg", "listen db\n  bind :1 tcp-ut 30s\n  server a b:1\n", ""),
    ],
)
def test_too_few_milliseconds_of_other_software_are_told(
    name: str, text: str, message: str, folder: Path, capsys: Capture
) -> None:
    """Where somebody took milliseconds for seconds."""
    (folder / name).write_text(text)
    ended("check", name)
    told = capsys.readouterr().err
    assert message in told
    assert bool(message) == ("did you mean" in told)
    ended("check", "--user-timeout", "0.085")
    assert "did you mean" not in capsys.readouterr().err
    ended("check", "host=db tcp_user_timeout=85")
    assert (
        "user_timeout_s (tcp_user_timeout) = 85 means 85 ms; did you mean 85000 ms (85 s)?"
        in capsys.readouterr().err
    )
