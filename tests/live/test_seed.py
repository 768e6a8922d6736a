"""In a guest a seed decides what programs draw at random, and what a program does by it is the same
each time.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import timeline
from harness.plan import plan_file
from harness.venue.kernel import Kernel
from tests.conformance import test_clocks
from tests.live.command import CHECKOUT, Ended, harness

pytestmark = [pytest.mark.live, pytest.mark.virtual]

CASE = str(CHECKOUT / "tests" / "cases" / "jitter" / "jitter.scenario.toml")
DRAWN = "import os, random; print(os.getrandom(8).hex(), random.random(), hash('x'), id(object()))"


@pytest.fixture(autouse=True)
def _seeded(kernel: Kernel) -> None:
    if not kernel.manifest.seeded:
        pytest.fail(f"kernel {kernel.name} takes no seed: harness kernel build")


def _story(folder: Path, *arguments: str) -> list[str]:
    """The jitter case's timeline, without the numbers that the kernel draws for itself."""
    ended = harness(folder, "run", "--clock", "virtual", "--jobs", "1", "--out", "out", *arguments)
    assert ended.status == 0, ended
    return [test_clocks._normal(event) for event in timeline.load(folder / "out" / "jitter")]


def test_a_client_with_jitter_gives_the_same_timeline(tmp_path: Path) -> None:
    """In two guests, also after another scenario there; with another seed it gives another one."""
    for name in ("alone", "later", "other"):
        (tmp_path / name).mkdir()
    alone = _story(tmp_path / "alone", "--seed", "5", CASE)
    later = _story(tmp_path / "later", "--seed", "5", "outcomes/peer-down", CASE)
    other = _story(tmp_path / "other", "--seed", "6", CASE)
    assert alone == later
    assert any("lost: timeout" in line for line in alone)
    assert alone != other
    assert plan_file.load(tmp_path / "other" / "out" / "jitter").machine.seed == 6


def test_a_command_draws_the_same_numbers(tmp_path: Path) -> None:
    """By getrandom(2), by /dev/urandom and by where its memory lies; with another seed others."""

    def drawn(*options: str) -> Ended:
        ended = harness(
            tmp_path,
            "vtime",
            *options,
            "--",
            "sh",
            "-c",
            f'python3 -c "{DRAWN}"; od -An -N99 /dev/urandom',
        )
        assert ended.status == 0, ended
        return ended

    first, second, other = drawn(), drawn("--seed", "0"), drawn("--seed", "1")
    assert first.out == second.out
    assert all(
        one != two for one, two in zip(first.out.splitlines(), other.out.splitlines(), strict=True)
    )
