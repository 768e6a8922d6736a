"""`harness predict`: what it prints, and which options fit each other."""

from __future__ import annotations

import json
import re

import pytest

from harness.cli import main
from tests.unit.cli.test_main import ended


def test_predict_in_words_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The same numbers both ways."""
    options = ["predict", "--idle", "2", "--interval", "1", "--count", "3", "--hz", "250"]
    assert ended(*options) == 0
    assert "5.072 to 5.104 s after arming" in capsys.readouterr().out
    assert ended(*options, "--json") == 0
    assert json.loads(capsys.readouterr().out)["window_s"] == [5.072, 5.104]


@pytest.mark.parametrize(
    ("hz", "window_s"),
    [
        (100, [7891.20, 8218.88]),
        (250, [7881.98, 8013.06]),
        (300, [7875.84, 8749.65]),
        (1000, [7900.42, 8162.56]),
    ],
)
def test_predict_gives_the_published_windows(
    hz: int, window_s: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    """Linux's defaults, 7200/75/9, end in the windows that were measured for each HZ."""
    arguments = ("predict", "--idle", "7200", "--interval", "75", "--count", "9", "--hz", str(hz))
    assert ended(*arguments, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [round(end, 2) for end in found["window_s"]] == window_s
    assert (found["errno"], found["origin"], found["hz"], found["probes"]) == (
        "ETIMEDOUT",
        "armed",
        hz,
        [9, 9],
    )
    assert ended(*arguments) == 0
    said = capsys.readouterr().out
    assert f"HZ={hz}" in said
    assert re.search(rf"{int(window_s[0])}\.\d+ to {int(window_s[1])}\.\d+ s after arming", said)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--state", "in-flight", "--hz", "1000"), "947.928 to 952.024 s after the write"),
        (("--state", "connecting", "--user-timeout", "10"), "after the call of connect"),
        (
            ("--state", "zero-window", "--hz", "1000"),
            "947.720 to 951.816 s after the timer was set",
        ),
        (
            ("--state", "accepting", "--hz", "1000"),
            "63.784 to 64.296 s  request forgotten  5 repetitions",
        ),
        (
            ("--state", "closing", "--hz", "1000"),
            "FIN goes unacknowledged for 102.2 s",
        ),
        (
            ("--state", "zero-window", "--answered", "5", "--hz", "250"),
            "after the last answered probe",
        ),
        (("--hz", "250"), "7881.984 to 8013.056 s after arming"),
        (
            ("--system", "aix", "--idle", "0.5", "--interval", "1.5"),
            "14 s after the last segment received",
        ),
        (("--system", "freebsd"), "7800 s after the last segment received"),
    ],
)
def test_other_states_and_systems_are_predicted(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    """In words, and as JSON."""
    assert main.main(["predict", *arguments]) == 0
    assert words in capsys.readouterr().out
    assert main.main(["predict", *arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["origin"] in (
        *(
            "write",
            "connect",
            "last-received",
            "window-closed",
            "last-answered",
            "syn",
            "close",
            "armed",
        ),
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("--state", "in-flight", "--idle", "0"),
            "--idle: expected a whole number from 1 to 32767",
        ),
        (("--state", "closing", "--rtt", "-1"), "--rtt: expected 0 to 10000"),
        (("--state", "accepting", "--rtt", "5"), "--rtt: expected none with --state accepting"),
        (
            ("--state", "accepting", "--user-timeout", "5"),
            "--user-timeout: expected none with --state accepting",
        ),
        (("--answered", "3"), "--answered: expected --state zero-window"),
        (
            ("--state", "zero-window", "--answered", "3", "--user-timeout", "9"),
            "--answered: expected no --user-timeout",
        ),
        (
            ("--state", "zero-window", "--answered", "-1"),
            "--answered: expected a number of window probes",
        ),
        (("--system", "aix", "--idle", "0.3"), "--idle: expected a multiple of 0.5 s"),
        (
            ("--system", "freebsd", "--idle", "1e11"),
            "--idle: expected more than 0 and at most 2147483 seconds",
        ),
        (
            ("--system", "aix", "--hz", "100"),
            "--system aix: expected --idle, --interval and --count only",
        ),
    ],
)
def test_what_does_not_belong_together_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    """Rather than passed over."""
    assert main.main(["predict", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("state", "decides"),
    [
        ("in-flight", "retransmissions decide: until --user-timeout"),
        ("zero-window", "window probes decide"),
        ("connecting", "net.ipv4.tcp_syn_retries"),
        ("accepting", "net.ipv4.tcp_synack_retries"),
        ("closing", "net.ipv4.tcp_orphan_retries"),
    ],
)
def test_keepalive_in_another_state_is_told_what_decides_instead(
    state: str, decides: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The prediction is the same with it as without, and a hint says why."""
    assert ended("predict", "--state", state, "--hz", "1000") == 0
    without_it = capsys.readouterr()
    assert without_it.err == ""
    assert ended("predict", "--state", state, "--hz", "1000", "--idle", "60", "--count", "3") == 0
    with_it = capsys.readouterr()
    assert with_it.out == without_it.out
    assert with_it.err.startswith(
        f"harness: --idle, --count: keepalive changes nothing in state {state}: "
    )
    assert decides in with_it.err


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (
            ("--user-timeout", "30000"),
            "--user-timeout = 30000 means 30000 s (8 h 20 min); did you mean 30 s?",
        ),
        (("--idle", "30000"), "--idle = 30000 means 30000 s (8 h 20 min); did you mean 30 s?"),
        (("--interval", "1500"), "--interval = 1500 means 1500 s (25 min); did you mean 1.5 s?"),
        (("--idle", "7200", "--interval", "75", "--user-timeout", "1800"), ""),
    ],
)
def test_milliseconds_in_place_of_seconds_are_suspected(
    arguments: tuple[str, ...], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the kernel takes them, too, the prediction comes with a hint."""
    assert ended("predict", *arguments, "--hz", "250") == 0
    out, err = capsys.readouterr()
    assert "a silent peer is detected" in out
    assert err == (f"harness: {hint}\n" if hint else "")


@pytest.mark.parametrize(
    ("chosen", "options"),
    [
        ("--heartbeat simple", "--heartbeat --side --set"),
        ("--system aix", "--system --idle --interval --count"),
        ("--state in-flight", "--hz --user-timeout --state --rtt"),
        ("--state zero-window", "--hz --user-timeout --state --answered"),
        ("--state connecting", "--hz --user-timeout --state"),
        ("--state accepting", "--hz --state"),
        ("--state closing", "--hz --user-timeout --state --rtt"),
    ],
)
def test_help_shows_only_options_that_fit_those_before_it(
    chosen: str, options: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without any it shows all."""

    def shown(*arguments: str) -> list[str]:
        assert ended("predict", *arguments, "--help") == 0
        return re.findall(r"^  (?:-h, )?(--[a-z-]+)", capsys.readouterr().out, re.MULTILINE)

    fitting = shown(*chosen.split())
    assert sorted(fitting) == sorted(["--help", "--json", *options.split()])
    assert set(fitting) < set(shown())
