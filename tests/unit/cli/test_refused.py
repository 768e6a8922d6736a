"""Bad files and bad arguments: exit status 2, one line, and nothing is made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.cli import main

FILES = {
    "not TOML": ("expect = [", "TOML"),
    "no text": ('summary = "\xff"', "UTF-8"),
    "a key that there is not": ("[client.keepalive]\nidle = 1", "client.keepalive.idle"),
    "a fault on no host": ("[[faults]]\nkind = 'link-down'\non = 'switch'", "faults[0].on"),
    "what cannot be healed": ("[[faults]]\nkind = 'peer-reboot'\nfor_s = 1", "faults[0].for_s"),
}
"""One of each way to be refused; all others are the loader's."""
REQUESTS: dict[str, tuple[list[str], str]] = {
    "no such scenario": (["run", "outcomes/peer-dawn"], "outcomes/peer-down"),
    "no such file": (["run", "./missing.scenario.toml"], "missing.scenario.toml"),
    "empty folder": (["run", "./empty"], "empty"),
    "nothing to judge": (["judge", "./empty"], "plan.json"),
    "no folder for JUnit": (
        ["run", "outcomes/peer-alive", "--junit", "missing/x.xml"],
        "missing/x.xml",
    ),
    "a file as --out": (["run", "outcomes/peer-alive", "--out", "a-file"], "--out"),
    "--out below a file": (["run", "outcomes/peer-alive", "--out", "a-file/x"], "--out"),
    "a used folder as --out": (
        ["run", "outcomes/peer-alive", "--out", "used"],
        "--out: expected an empty or new folder",
    ),
    "too many probes": (["predict", "--idle", "1", "--interval", "1", "--count", "128"], "--count"),
    "no HZ": (["predict", "--idle", "1", "--interval", "1", "--count", "1", "--hz", "0"], "--hz"),
    "planning nothing": (["plan", "nothing-of-that-name"], "nothing-of-that-name"),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with some files, which a refused command leaves as they are."""
    (tmp_path / "a-file").write_text("kept")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "kept").write_text("kept")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def contents(folder: Path) -> dict[str, bytes | None]:
    """All that is in a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def refused(place: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command says that must be refused."""
    before = contents(place)
    assert main.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert contents(place) == before
    return err


@pytest.mark.parametrize("what", FILES)
def test_a_bad_scenario_file_is_refused(
    place: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line names file, key and what was expected; a good scenario beside it does not run."""
    text, named = FILES[what]
    (place / "bad.scenario.toml").write_bytes(text.encode("latin-1"))
    said = refused(
        place, capsys, "run", "outcomes/peer-alive", "./bad.scenario.toml", "--out", "out"
    )
    assert re.fullmatch(r"harness: bad\.scenario\.toml:.* expected .+, found .+\n", said)
    assert named in said


@pytest.mark.parametrize("what", REQUESTS)
def test_a_bad_request_is_refused(
    place: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says what was expected and what was found instead."""
    arguments, named = REQUESTS[what]
    said = refused(place, capsys, *arguments)
    assert re.fullmatch(r"harness: .*expected .+\n", said)
    assert named in said


def test_one_name_for_two_scenarios_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run directories are told apart by name, so two scenarios of one name do not run together."""
    for folder in ("a", "b"):
        (place / folder).mkdir()
        text = 'name = "same"\nexpect = { outcome = "never", bound_s = 1 }'
        (place / folder / "same.scenario.toml").write_text(text)
    said = refused(place, capsys, "run", "./a", "./b")
    assert said.count("\n") == 1
    assert "same" in said
