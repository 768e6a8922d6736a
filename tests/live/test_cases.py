"""Every scenario below tests/cases, run by one `harness run --clock virtual`: each must pass."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.model.topology import SIDES
from harness.venue.kernel import Kernel
from tests.live.command import CHECKOUT, harness

CASES = CHECKOUT / "tests" / "cases"
SUFFIX = ".scenario.toml"
FILES = sorted(CASES.rglob(f"*{SUFFIX}"))

pytestmark = [pytest.mark.live, pytest.mark.virtual]


def _programs(case: Path) -> set[str]:
    """The programs that a case starts by a plain name, which may be missing on this machine."""
    tables = tomllib.loads(case.read_text(encoding="utf-8"))
    commands = [tables.get(place, {}).get("command", {}) for place in (*SIDES, "proxy", "standby")]
    firsts = {command["argv"][0] for command in commands if command}
    return {first for first in firsts if "/" not in first and "{" not in first}


def _as_parameter(case: Path) -> Any:
    """The case, named after its file, with a mark for each program that it needs."""
    marks = [pytest.mark.needs(program) for program in sorted(_programs(case))]
    return pytest.param(case, id=str(case.relative_to(CASES)).removesuffix(SUFFIX), marks=marks)


@pytest.fixture(scope="module")
def verdicts(
    kernel: Kernel, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Mapping[str, Any]]:
    """The verdict of each case whose programs are installed, by the name of its file."""
    del kernel
    runnable = [case for case in FILES if all(map(shutil.which, _programs(case)))]
    folder = tmp_path_factory.mktemp("cases")
    ended = harness(
        folder, "run", "--clock", "virtual", *map(str, runnable), "--json", "verdicts.json"
    )
    assert (folder / "verdicts.json").exists(), ended
    results = json.loads((folder / "verdicts.json").read_text())["scenarios"]
    return {result["name"]: result for result in results}


@pytest.mark.parametrize("case", [_as_parameter(case) for case in FILES])
def test_case_passes(case: Path, verdicts: Mapping[str, Mapping[str, Any]]) -> None:
    """The harness proves what the case's file claims."""
    result = verdicts[case.name.removesuffix(SUFFIX)]
    assert result["verdict"] == "pass", result["reason"]
