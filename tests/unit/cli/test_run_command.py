"""The commands that carry out plans: what is said when they are interrupted."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import main, request
from harness.fuzz import campaign
from harness.venue import uml


def _interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_fuzz_says_how_to_begin_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the seed, which may have been drawn, and where its runs are."""
    for module, name in ((request, "kernel"), (uml, "machine")):
        monkeypatch.setattr(module, name, lambda _: None)
    monkeypatch.setattr(campaign, "check_capable", lambda: None)
    monkeypatch.setattr(campaign, "run", _interrupted)
    out = tmp_path / "out"
    assert main.main(["fuzz", "--seed", "7", "--cases", "5", "--out", str(out)]) == 130
    said, error = capsys.readouterr()
    assert said == (
        "interrupted; to run it again: harness fuzz --seed 7 --cases 5\nplans, timelines "
        f"and captures: {out}\n"
    )
    assert error.splitlines()[-1] == "harness: interrupted; what was recorded is kept"
