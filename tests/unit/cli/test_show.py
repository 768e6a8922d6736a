"""Scenario files printed and begun: from the catalogue, without a checkout."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from harness.cli import main, show
from harness.model.machine import MachineFacts
from harness.plan import planner
from harness.scenario import catalogue, loader

MACHINES = [
    MachineFacts(kernel="6.18.0", hz=hz, hz_source="given", cpus=2, clock="virtual")
    for hz in (100, 250, 300, 1000)
]


def test_show_prints_the_file_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """With its comments; of a library's cell the suite that it comes from."""
    assert main.main(["show", "outcomes/peer-down"]) == 0
    assert (
        capsys.readouterr().out
        == (loader.catalogue() / "outcomes/peer-down.scenario.toml").read_text()
    )
    for word in ("libraries/redis-py", "libraries/redis-py/blackhole-idle"):
        assert main.main(["show", word]) == 0
        assert (
            capsys.readouterr().out
            == (loader.catalogue() / "libraries/redis-py.suite.toml").read_text()
        )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "outcomes"], "expected one scenario's name, found 'outcomes', which holds "),
        (["show", "blackhole"], "found 'blackhole', which is a fault; `harness list --faults`"),
        (["list", "faults"], "found 'faults'; `harness list --faults` shows all faults"),
        (["show", "outcomes/peer-dwon"], "did you mean outcomes/peer-down"),
        (["new", "--from", "outcomes/peer-dwon"], "did you mean outcomes/peer-down"),
        (["new", "--from", "libraries/redis-py/blackhole-idle"], "--from: expected a scenario"),
        (["new", "nowhere/mine"], "found no folder nowhere"),
        (
            ["new", "kept.scenario.toml"],
            "expected the name of a new file, found kept.scenario.toml there already",
        ),
        (
            ["new", "kept"],
            "expected the name of a new file, found kept.scenario.toml there already",
        ),
    ],
)
def test_what_cannot_be_shown_or_begun_is_told(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And nothing is written, or overwritten."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept.scenario.toml").write_text("kept")
    assert main.main(arguments) == 2
    assert words in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [
        ("kept.scenario.toml", "kept")
    ]


def test_a_new_file_is_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under the original's name, in a folder, or under a name of its own, to which the suffix is
    added.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    original = (loader.catalogue() / "link/own-ipv6.scenario.toml").read_text()
    for arguments, name in (
        ([], "own-ipv6.scenario.toml"),
        (["folder"], "folder/own-ipv6.scenario.toml"),
        (["mine"], "mine.scenario.toml"),
        (["other.toml"], "other.toml"),
    ):
        assert main.main(["new", "--from", "link/own-ipv6", *arguments]) == 0
        captured = capsys.readouterr()
        assert captured.out == f"wrote {name}; next: harness plan {name}\n"
        hint = "name it other.scenario.toml: pytest and" if name == "other.toml" else ""
        assert hint in captured.err
        assert bool(captured.err) == bool(hint)
        assert (tmp_path / name).read_text() == original


def test_a_file_in_another_encoding_is_shown_and_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Octet by octet; only `harness run` insists on UTF-8."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.scenario.toml").write_bytes(b'summary = "caf\xe9"\r\n')
    assert main.main(["show", "mine.scenario.toml"]) == 0
    assert capsys.readouterr().out == 'summary = "caf\ufffd"\n'
    assert main.main(["new", "--from", "mine.scenario.toml", "copy"]) == 0
    assert (tmp_path / "copy.scenario.toml").read_bytes() == b'summary = "caf\xe9"\r\n'


def test_the_starter_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a sound scenario whose claim the oracle shares at any HZ, with the window that the plan
    computes in it.
    """
    monkeypatch.chdir(tmp_path)
    assert main.main(["new"]) == 0
    (made,) = catalogue.find(["starter.scenario.toml"], claimed=True)
    for machine in MACHINES:
        found = planner.make(made, machine)
        assert found.notes == ()
        (outcome,) = found.expected
        assert outcome.window_ns is not None
        assert made.expect.window_s is not None
        assert made.expect.window_s[0] <= outcome.window_ns[0] / 1e9
        assert outcome.window_ns[1] / 1e9 <= made.expect.window_s[1]


def test_what_the_starter_offers_is_there() -> None:
    """Each line that is commented out is one that the loader takes, all of one kind together."""
    text = show.STARTER.read_text()
    lines = text.splitlines()
    offered = [line.removeprefix("# ") for line in lines if line.startswith("# ") and " = " in line]
    assert {line.split(" = ")[0] for line in offered} == {
        *("family", "user_timeout_s", "writes_at_s", "argv", "folder", "ready", "detects", "for_s"),
    }
    plain = "\n".join(
        line.removeprefix("# ")
        if line.startswith(("# family", "# user_timeout_s", "# writes_at_s", "# for_s"))
        else line
        for line in lines
    )
    found = loader.from_mapping(tomllib.loads(plain))
    assert found.topology.family == "ipv6"
    assert found.client.user_timeout_s == 30
    assert found.faults[0].for_s == 3
