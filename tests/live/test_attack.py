"""What ci/attack takes for true is true where nothing disturbs it, so that it can tell a wrong
verdict.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.venue.kernel import Kernel
from tests.attack import claims, subjects
from tests.live.command import harness

pytestmark = [pytest.mark.live, pytest.mark.virtual]


def _verdicts(folder: Path, cast: claims.Cast) -> dict[str, str]:
    ended = harness(
        folder,
        "run",
        *cast.words,
        "--clock",
        "virtual",
        "--wall-limit",
        "20",
        "--json",
        "results.json",
    )
    assert (folder / "results.json").exists(), ended
    judged = json.loads((folder / "results.json").read_text())["scenarios"]
    return {each["name"]: each["verdict"] for each in judged}


def test_claims(kernel: Kernel, tmp_path: Path) -> None:
    """Sound claims pass and refuted ones fail: none is inconclusive by itself."""
    del kernel
    cast = claims.written(tmp_path / "files")
    expected = {name: "pass" if truth == "sound" else "fail" for name, truth in cast.truths.items()}
    assert _verdicts(tmp_path, cast) == expected


def test_hostile_programs(kernel: Kernel, tmp_path: Path) -> None:
    """A program that does what is harmless keeps its sound claim.

    What is refuted, or fatal, never passes.
    """
    del kernel
    programs = [
        subjects.client("p0", "control-characters", "sound", "peer-reboot"),
        subjects.client("p1", "descriptors", "sound", "blackhole"),
        subjects.client("p2", "closes-input", "refuted", "blackhole"),
        subjects.client("p3", "ends", "refuted", "blackhole"),
        subjects.server("p4", "bare-daemon", "sound"),
        subjects.server("p5", "strange-name", "refuted"),
    ]
    verdicts = _verdicts(tmp_path, subjects.write(tmp_path / "files", programs))
    assert list(verdicts.values()) == ["pass", "pass", "fail", "inconclusive", "pass", "fail"]
