"""`harness check --prove`: what is predicted of settings, measured on a guest's kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.batch import batch, proving
from harness.policy import proof, reader
from harness.policy.answers import Window
from harness.report.check_document import CheckReport
from harness.venue.kernel import Kernel
from tests import documents
from tests.live import random_policy
from tests.live.command import harness
from tests.running import EXHAUSTIVE

pytestmark = [pytest.mark.live, pytest.mark.virtual]

POLICY = """
[defaults]
path = ["aws-nlb"]
hz = [{hz}]

[connections.late]                      # KA003
idle_s = 340
interval_s = 10
count = 3
survive_s = 20

[connections.sound]
idle_s = 300
interval_s = 10
count = 3
user_timeout_s = 30

[connections.like-sound]
idle_s = 300
interval_s = 10
count = 3
user_timeout_s = 30

[connections.silent]                    # nothing watches it

[connections.beating]                   # the oracle alone does not tell which of all ends it
idle_s = 20
interval_s = 5
count = 3
user_timeout_s = 15
heartbeat = {{ every_s = 30, timeout_s = 10, misses = 2, apart = true }}
"""
SEED = 15
RANDOM = 50 if EXHAUSTIVE else 2
"""So many connections more, drawn at random."""
QUESTIONS = 5 + 4 + 4 + 4
"""Of each connection but the one that is like another: one that sends a single probe survives no
outage while it is idle, and what nothing watches survives all."""


def test_what_is_predicted_is_measured(kernel: Kernel, memory: Path, tmp_path: Path) -> None:
    """Every prediction, to the jiffy. A loss that is only possible need not come.

    A connection is really lost behind a load balancer that forgets it before the first probe, and
    a wrong prediction is found out.
    """
    del memory
    file = tmp_path / "POLICY.toml"
    file.write_text(POLICY.format(hz=kernel.manifest.hz) + random_policy.connections(SEED, RANDOM))
    ended = harness(tmp_path, "check", "--prove", "--output-format", "json", str(file))
    assert ended.status == 1, ended.err
    proven = documents.check(CheckReport, ended.out.encode())["proof"]
    assert {each["result"] for each in proven["proofs"]} <= {"confirmed", "not-shown"}, proven
    named = [each for each in proven["proofs"] if not each["connection"].startswith("random")]
    assert {each["result"] for each in named} == {"confirmed"}, named
    assert len({each["run"] for each in named}) == QUESTIONS
    found: dict[tuple[str, str], dict[str, Any]] = {
        (each["connection"], each["kind"]): each for each in proven["proofs"]
    }
    late, sound = found["late", "path"], found["sound", "path"]
    assert (late["measured"], late["how"]) == ("lost", "ECONNRESET")
    assert late["measured_s"] >= 350
    assert (sound["measured"], sound["measured_s"] < 350) == ("kept", True)
    assert found["silent", "idle"]["measured"] == "kept"
    assert found["like-sound", "idle"]["run"] == found["sound", "idle"]["run"]
    _a_wrong_prediction_is_found_out(file, Path(proven["folder"]))


def _a_wrong_prediction_is_found_out(file: Path, folder: Path) -> None:
    """By the same run."""
    claim = proof.claims(reader.read(file, str(file)))[0]
    assert claim.window is not None
    (result,) = batch.judge_again(folder / f"001-idle-hz{claim.question.hz}")
    measured = proving.measured(claim.question, result)
    assert proof.compare(claim, measured).comparison == "confirmed"
    low, high = claim.window.low_ns, claim.window.high_ns
    for wrong in (Window(high, high + 1), Window(low - 1, low)):
        wrongly = msgspec.structs.replace(claim, window=wrong)
        assert proof.compare(wrongly, measured).comparison == "refuted"
