"""Baselines: what is wrong in a file is told with its place, and the rest becomes scenarios."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import ScenarioError
from harness.scenario import baselines, catalogue
from tests.unit.cli.test_examine import BASELINE


def _file(folder: Path, text: str = BASELINE) -> Path:
    path = folder / f"mine{baselines.SUFFIX}"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("format = 1", "format = 2", "format"),
        ('finding = "never"', 'finding = "nothing"', "cells[0].client.finding"),
        ("[scenario.client.command]", "[scenario.expect]", "scenario.expect"),
        ('course = "lasts"', 'course = "lasts"\nspeed = 1', "speed"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    """As in scenario files."""
    with pytest.raises(ScenarioError) as caught:
        baselines.load(_file(tmp_path, BASELINE.replace(old, new, 1)))
    assert message in str(caught.value)


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    """Run directories are named after the cells."""
    cell = BASELINE[BASELINE.index("[[cells]]") :]
    with pytest.raises(ScenarioError, match=r"cells\[1\].name: expected each name once"):
        baselines.load(_file(tmp_path, BASELINE + cell))


def test_harness_run_takes_the_claims(tmp_path: Path) -> None:
    """A path to a baseline stands for its cells, which are named after the file."""
    (found,) = catalogue.find([str(_file(tmp_path))])
    assert found.name == "mine/blackhole"
    assert found.expect.client is not None
    assert found.expect.client.outcome == "never"


def test_cells_that_prove_nothing_are_told(tmp_path: Path) -> None:
    """By name, with the reason."""
    text = BASELINE.replace('course = "lasts"', 'course = "lasts"\nproven = false', 1)
    found = baselines.load(_file(tmp_path, text))
    assert list(baselines.claims(found)) == []
    assert baselines.unclaimed(found)["blackhole"].startswith("its fault met no packet")


def test_the_file_of_a_baseline(tmp_path: Path) -> None:
    """`harness show` prints it."""
    path = _file(tmp_path)
    assert catalogue.files_of(str(path)) == [path]
