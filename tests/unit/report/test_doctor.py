"""`harness doctor` in words."""

from __future__ import annotations

import pytest

from harness.capabilities import Capability
from harness.report import doctor

KERNEL = Capability(name="kernel", available=True, found="Linux 6.18.0, HZ=250")
NAMESPACES = Capability(
    name="namespaces",
    available=False,
    found="not root, and user namespaces are not allowed here (unshare: Operation not permitted)",
    fix="run as root, or: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    needed_for="every scenario",
)
DOCKER = Capability(
    name="docker",
    available=False,
    found="No such file or directory",
    fix="start it",
    needed_for="containers",
    essential=False,
)


def test_a_whole_machine() -> None:
    """One line for each capability, and the conclusion."""
    assert doctor.describe([KERNEL], 80) == [
        "ok       kernel  Linux 6.18.0, HZ=250",
        "",
        "This machine can run the scenarios.",
    ]


def test_what_is_missing_has_its_fix_and_its_use() -> None:
    """What was found, what would help and what it is needed for stand below one another.

    The conclusion names it.
    """
    lines = doctor.describe([KERNEL, NAMESPACES], 80)
    assert lines[1].startswith("MISSING  namespaces  not root, and user namespaces")
    assert "fix: run as root, or: sudo sysctl -w" in " ".join(line.strip() for line in lines)
    assert any(line.strip() == "needed for every scenario" for line in lines)
    assert lines[-1] == "This machine cannot run the scenarios in real time: namespaces missing."


@pytest.mark.parametrize(
    ("available", "conclusion"),
    [
        (True, "With --clock virtual it can."),
        (False, "With --clock virtual it can, once it has what that needs."),
    ],
)
def test_virtual_time_is_named_where_real_time_is_not_to_be_had(
    *, available: bool, conclusion: str
) -> None:
    """It needs no rights."""
    virtual = Capability(
        name="virtual time", available=available, found="", fix="x", essential=False
    )
    said = " ".join(doctor.describe([KERNEL, NAMESPACES, virtual], 80)[-2:])
    assert said.endswith(f"in real time: namespaces missing. {conclusion}")


def test_what_can_be_done_without() -> None:
    """An optional capability that is missing is no failure."""
    lines = doctor.describe([KERNEL, DOCKER], 80)
    assert lines[1].startswith("without  docker  No such file")
    assert lines[-1] == "This machine can run the scenarios, all but those that need docker."


@pytest.mark.parametrize("columns", [20, 60, 80, 200])
def test_lines_fit_and_commands_stay_whole(columns: int) -> None:
    """No line is wider than the terminal, save for one word that would have to be broken."""
    lines = doctor.describe([KERNEL, NAMESPACES, DOCKER], columns)
    limit = max(min(columns, doctor.WIDEST), len("MISSING  namespaces  ") + 30)
    assert all(len(line) <= limit or len(line.split()) == 1 for line in lines)
    assert any("kernel.apparmor_restrict_unprivileged_userns=0" in line for line in lines)
