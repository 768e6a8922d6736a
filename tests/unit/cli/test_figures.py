"""`--svg` and `--trace`: pictures and traces of saved runs."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from harness import timeline
from harness.cli.main import main
from harness.plan import plan_file
from harness.plan.plan import Plan
from tests.unit.timelines import as_foreseen, unreachable


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with two runs, by/hand and by/another."""
    plan = unreachable(window_s=(5.0, 5.4))
    another = msgspec.structs.replace(plan.scenario, name="by/another")
    folder = tmp_path / "runs"
    for each in (plan, msgspec.structs.replace(plan, scenario=another)):
        _save(folder / each.name, each)
    return folder


def _save(folder: Path, plan: Plan) -> None:
    folder.mkdir(parents=True)
    plan_file.save(plan, folder)
    lines = [msgspec.json.encode(event) for event in as_foreseen(plan)]
    (folder / timeline.FILE_NAME).write_bytes(b"\n".join([*lines, b""]))


def test_one_run_one_picture(runs: Path, tmp_path: Path) -> None:
    """The picture of a run, with its verdict, beside what is printed."""
    file = tmp_path / "run.svg"
    assert main(["judge", str(runs / "by/hand"), "--svg", str(file)]) == 0
    picture = file.read_text()
    assert picture.startswith("<?xml")
    assert picture.count("kh-timeline") == picture.count('"kh-figure kh-timeline"') == 1


def test_several_runs_and_one_file(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names a run and the other way out; nothing is written."""
    file = tmp_path / "run.svg"
    assert main(["judge", str(runs), "--svg", str(file)]) == 2
    complaint = capsys.readouterr().err
    assert f"--svg: expected one run for a file, found 2 in {runs}" in complaint
    assert f"such as {runs}/by/another, or end {file} in /" in complaint
    assert not file.exists()


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_gets_a_picture_of_each_run(runs: Path, tmp_path: Path, *, made: bool) -> None:
    """By name, in a folder that exists or is told by its last character."""
    folder = tmp_path / "pictures"
    if made:
        folder.mkdir()
    assert main(["judge", str(runs), "--svg", str(folder) if made else f"{folder}/"]) == 0
    found = sorted(str(file.relative_to(folder)) for file in folder.rglob("*.svg"))
    assert found == ["by/another.svg", "by/hand.svg"]


def test_a_folder_that_is_not_there(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The path is told."""
    file = tmp_path / "missing" / "run.svg"
    assert main(["judge", str(runs / "by/hand"), "--svg", str(file)]) == 2
    assert f"--svg: expected a file that can be written, found {file}" in capsys.readouterr().err


def test_trace(runs: Path, tmp_path: Path) -> None:
    """All runs are in one trace."""
    file = tmp_path / "runs.json"
    assert main(["judge", str(runs), "--trace", str(file)]) == 0
    entries = msgspec.json.decode(file.read_bytes())["traceEvents"]
    named = {entry["args"]["name"] for entry in entries if entry["name"] == "process_name"}
    assert {"by/hand: client", "by/another: client"} <= named
