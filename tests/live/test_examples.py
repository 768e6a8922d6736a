"""The worked examples of commands as subjects: they are built, and their scenarios hold in virtual
time.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.scenario import loader
from harness.venue.kernel import Kernel
from tests.live.command import CHECKOUT, environment, harness

FOLDER = CHECKOUT / "ci/examples/commands"
EXAMPLES = ("asyncio", "c", "go", "netty")


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


@pytest.fixture(scope="session")
def verdicts(
    left_out: dict[str, str], kernel: Kernel, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Mapping[str, Any]]:
    """The verdict of each scenario of the examples that could be built, by name, from one
    command.
    """
    del kernel
    folder = tmp_path_factory.mktemp("examples")
    paths = [
        str(path) for example in EXAMPLES if example not in left_out for path in _scenarios(example)
    ]
    ended = harness(
        folder, "run", "--json", "-", "--out", str(folder / "out"), "--clock", "virtual", *paths
    )
    assert ended.out.startswith("{"), ended
    return {each["name"]: each for each in json.loads(ended.out)["scenarios"]}


@pytest.mark.virtual
@pytest.mark.parametrize("example", EXAMPLES)
def test_its_scenarios_hold(
    example: str, left_out: dict[str, str], verdicts: Mapping[str, Mapping[str, Any]]
) -> None:
    """All of them, at full size."""
    if example in left_out:
        pytest.skip(f"the example {example} could not be built: {left_out[example]}")
    names = [f"{example}/{path.name.removesuffix(loader.SUFFIX)}" for path in _scenarios(example)]
    assert {
        name: verdicts[name]["reason"] for name in names if verdicts[name]["verdict"] != "pass"
    } == {}


def test_they_show_every_way_to_notice_and_what_must_not_be_noticed() -> None:
    """Each way in which a command can show a detection, and a claim of the contrary for
    each example.
    """
    ways, kept = set(), set()
    for example in EXAMPLES:
        for path in _scenarios(example):
            scenario = loader.load_file(path)
            command = scenario.endpoint(scenario.expect.side).command
            assert command is not None
            ways |= {
                way
                for way in ("prints", "exits", "closes", "reconnects")
                if getattr(command.detects, way)
            }
            if scenario.expect.outcome == "never":
                kept.add(example)
    assert ways == {"prints", "exits", "closes", "reconnects"}
    assert kept == set(EXAMPLES)


def _scenarios(example: str) -> list[Path]:
    return sorted((FOLDER / example).glob(f"*{loader.SUFFIX}"))
