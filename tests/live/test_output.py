"""What commands print: in any encoding, without blanks at the ends of lines, and no more than was
asked for.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.scenario import loader
from tests.live.command import COMMAND, environment

pytestmark = pytest.mark.virtual


def printed(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """A command to its end, with its output as octets."""
    env = {**environment(folder / "state"), **variables}
    return subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env=env, capture_output=True, check=False
    )


def test_quiet_and_ascii(tmp_path: Path) -> None:
    """`--quiet` prints what did not pass and the summary.

    What ASCII lacks is drawn with other signs.
    """
    text = (loader.catalogue() / "outcomes" / "peer-unreachable.scenario.toml").read_text()
    for name, claim in {"good": "window_s = [5.0, 5.4]", "bad": "window_s = [6.0, 6.4]"}.items():
        (tmp_path / f"{name}.scenario.toml").write_text(
            text.replace("window_s = [5.0, 5.4]", claim)
        )
    arguments = ("run", ".", "--clock", "virtual", "--quiet")
    ended = printed(tmp_path, *arguments, "--out", "both", PYTHONIOENCODING="ascii")
    assert (ended.returncode, ended.stderr) == (1, b"")
    lines = ended.stdout.decode("ascii").splitlines()
    assert lines[1].split()[:3] == ["fail", "bad", "ETIMEDOUT"]
    assert any("|- blackhole --" in line for line in lines)
    assert not any("good" in line or "?" in line for line in lines)
    assert lines[-2].startswith("1 pass, 1 fail, 0 inconclusive in ")
    assert lines[-1] == "plans, timelines and captures: both"
    assert all(line == line.rstrip() for line in lines)
    ended = printed(tmp_path, "run", "good.scenario.toml", *arguments[2:], "--out", "one")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.decode().startswith("1 pass, 0 fail, 0 inconclusive in ")
    assert ended.stdout.count(b"\n") == 1
    judged = {
        encoding: printed(tmp_path, "judge", "both", PYTHONIOENCODING=encoding).stdout.decode(
            encoding
        )
        for encoding in ("ascii", "utf-8")
    }
    widths = {
        encoding: [len(line) for line in text.splitlines()] for encoding, text in judged.items()
    }
    assert widths["ascii"] == widths["utf-8"]
    assert judged["ascii"].count("?") == judged["utf-8"].count("?")
