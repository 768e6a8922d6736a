"""The worked examples of commands as subjects: they are built, and their scenarios hold on both clocks."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from harness import loader
from tests.live.command import CHECKOUT, environment, harness

pytestmark = pytest.mark.live

FOLDER = CHECKOUT / "ci/examples/commands"
EXAMPLES = ("asyncio", "c", "go", "netty")
REAL_S = 10.0
"""What is watched for longer is left to virtual time."""


@pytest.fixture(scope="session")
def left_out(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The examples that could not be built for want of a compiler, each with the reason."""
    ended = subprocess.run(
        [FOLDER / "build"],
        env=environment(tmp_path_factory.mktemp("state")),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return dict(re.findall(r"^build: (\w+): left out, (.+)$", ended.stderr, re.MULTILINE))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("example", EXAMPLES)
def test_its_scenarios_hold_in_real_time(example: str, left_out: dict[str, str], tmp_path: Path) -> None:
    """Those of a few seconds, all at the same time."""
    _run(example, left_out, tmp_path, [path for path in _scenarios(example) if _lasts_s(path) <= REAL_S])


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("kernel")
@pytest.mark.virtual
@pytest.mark.parametrize("example", EXAMPLES)
def test_its_scenarios_hold_in_virtual_time(example: str, left_out: dict[str, str], tmp_path: Path) -> None:
    """All of them, at full size."""
    _run(example, left_out, tmp_path, _scenarios(example), "--clock", "virtual")


def test_they_show_every_way_to_notice_and_what_must_not_be_noticed() -> None:
    """Each way in which a command can show that it has noticed, and a claim of the contrary for each example."""
    ways, kept = set(), set()
    for example in EXAMPLES:
        for path in _scenarios(example):
            scenario = loader.load_file(path)
            command = scenario.endpoint(scenario.expect.side).command
            assert command is not None
            ways |= {way for way in ("prints", "exits", "closes", "reconnects") if getattr(command.detects, way)}
            if scenario.expect.outcome == "never":
                kept.add(example)
    assert ways == {"prints", "exits", "closes", "reconnects"}
    assert kept == set(EXAMPLES)


def _scenarios(example: str) -> list[Path]:
    return sorted((FOLDER / example).glob(f"*{loader.SUFFIX}"))


def _lasts_s(path: Path) -> float:
    expect = loader.load_file(path).expect
    return expect.bound_s or (expect.window_s[1] if expect.window_s else 0.0)


def _run(example: str, left_out: dict[str, str], folder: Path, paths: list[Path], *options: str) -> None:
    """Run scenarios, of which each must pass, and be there."""
    if example in left_out:
        pytest.skip(f"the example {example} could not be built: {left_out[example]}")
    ended = harness(folder, "run", "--json", "-", "--out", str(folder / "out"), *options, *map(str, paths))
    assert ended.status == 0, ended.out + ended.err
    verdicts = {scenario["name"]: scenario["verdict"] for scenario in json.loads(ended.out)["scenarios"]}
    assert verdicts == {f"{example}/{path.name.removesuffix(loader.SUFFIX)}": "pass" for path in paths}
