"""`harness examine` refuses what it cannot carry out, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import main

BASELINE = """
format = 1
[scenario.client.command]
argv = ["./client"]
[[cells]]
name = "blackhole"
fault = "blackhole"
title = "a blackhole"
words = "all packets are discarded"
course = "lasts"
faults = [{ kind = "blackhole", at_s = 1 }]
bound_s = 9
client = { finding = "never" }
server = { finding = "never" }
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected --client, --server, or a scenario to take them from, found none"),
        (["--client", "'"], '--client: expected a command, found "\'": No closing quotation'),
        (["--client", ""], "--client: expected a command, found an empty one"),
        (["outcomes"], "expected the name of one scenario or suite, found"),
        (["--client", "x", "--faults", "blackhol"], "did you mean blackhole?"),
        (
            ["--client", "x", "--baseline", "x.toml"],
            "--baseline: expected a name that ends in .baseline.toml, found x.toml",
        ),
        (["--client", "x", "--clock", "real", "--seed", "3"], "--seed: expected --clock virtual"),
        (
            ["--client", "x", "--against", "mine.baseline.toml"],
            "--client: expected none with --against, whose file says it",
        ),
        (
            ["--against", "mine.baseline.toml", "--faults", "outage"],
            "--faults: expected one of: blackhole, found outage",
        ),
        (["--against", "none.baseline.toml"], "expected a readable file"),
    ],
)
def test_bad_usage(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One error with what was expected; exit status 2."""
    (tmp_path / "mine.baseline.toml").write_text(BASELINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harness.cli.request.kernel", lambda _: None)
    monkeypatch.setattr("harness.cli.request.machine", lambda *_: None)
    assert main.main(["examine", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
