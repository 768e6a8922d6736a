"""Differential testing for real: the oracle against a guest's kernel, and what a wrong oracle
leaves behind.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness.cli import main
from harness.fuzz import campaign
from harness.model.machine import MachineFacts
from harness.plan import planner
from harness.plan.plan import Plan
from harness.report.documents import FuzzReport
from harness.scenario import loader
from harness.scenario.schema import Scenario
from harness.venue.kernel import Kernel
from tests import documents
from tests.live.command import harness
from tests.running import EXHAUSTIVE

pytestmark = [pytest.mark.live, pytest.mark.virtual]

SEED = 5
CASES = 300 if EXHAUSTIVE else 120
"""120 are as many as it takes to draw every state and most faults: see tests/unit/test_fuzz.py."""
BITTEN = 0.6
"""So many of the cases at least must be of faults that met something: others prove little."""


@pytest.mark.timeout(300)
def test_oracle_and_kernel_agree(kernel: Kernel, memory: Path, tmp_path: Path) -> None:
    """On every case of a seed, to the jiffy; and nearly all of them can be judged."""
    del memory
    told = tmp_path / "told.json"
    arguments = (
        "--cases",
        str(CASES),
        "--seed",
        str(SEED),
        "--kernel",
        kernel.name,
        "--json",
        str(told),
    )
    ended = harness(tmp_path, "fuzz", *arguments)
    assert ended.status == 0, ended.out + ended.err
    found = documents.check(FuzzReport, told.read_bytes())
    assert (found["verdict"], found["seed"], found["cases"], found["disagreed"]) == (
        "pass",
        SEED,
        CASES,
        0,
    )
    assert found["agreed"] >= BITTEN * CASES
    assert set(found["states"]) == {
        "idle",
        "idle after data",
        "in flight",
        "zero window",
        "connecting",
        "closing",
    }
    assert f"{CASES} cases, {found['agreed']} agreed" in ended.out
    assert f"harness fuzz --seed {SEED} --cases {CASES}" in ended.out


def test_a_wrong_oracle_is_found_out(
    kernel: Kernel,
    memory: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One that expects another errno: status 1, and files that `harness run` takes, on which the
    right one agrees.
    """
    del memory
    right = planner.make

    def wrong(scenario: Scenario, machine: MachineFacts) -> Plan:
        made = right(scenario, machine)
        assert made.prediction is not None
        outcomes = tuple(
            msgspec.structs.replace(each, errno="EPIPE") if each.errno == "ETIMEDOUT" else each
            for each in made.prediction.outcomes
        )
        prediction = msgspec.structs.replace(made.prediction, outcomes=outcomes)
        return msgspec.structs.replace(made, prediction=prediction, expected=outcomes)

    monkeypatch.setattr(planner, "make", wrong)
    monkeypatch.setattr(campaign, "ROUNDS", 1)
    out = tmp_path / "out"
    status = main.main(
        ["fuzz", "--cases", "6", "--seed", str(SEED), "--kernel", kernel.name, "--out", str(out)]
    )
    shown = capsys.readouterr()
    assert status == 1, shown.out + shown.err
    files = sorted(out.glob(f"disagreement-*{loader.SUFFIX}"))
    assert files
    assert all(str(file) in shown.out.replace("\n", "") for file in files)
    assert "the oracle is wrong: ETIMEDOUT" in " ".join(shown.out.split())
    monkeypatch.undo()
    again = harness(
        tmp_path / "again", "run", "--clock", "virtual", "--kernel", kernel.name, *map(str, files)
    )
    assert "ETIMEDOUT" in again.out
    assert again.status in {0, 3}, again.out + again.err
