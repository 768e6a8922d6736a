"""What faults of hosts and of the programs on them mean to either end."""

from __future__ import annotations

import pytest

from harness.faults import (
    AnyFault,
    Failover,
    HostSuspend,
    PeerReboot,
    ProcessFreeze,
    ProcessKill,
    StopsReading,
)
from harness.model.topology import SIDES, Side, Topology, layout, other

WHERE = layout(Topology())
MEANT: dict[str, tuple[AnyFault, str, float | None]] = {
    "reboot": (PeerReboot(at_s=2), "peer-forgot", None),
    "announced": (Failover(at_s=2), "peer-forgot", None),
    "silent": (Failover(at_s=2, announced=False), "lost", None),
    "suspended": (HostSuspend(at_s=2, for_s=3), "lost", 5.0),
    "frozen": (ProcessFreeze(at_s=2, for_s=3), "peer-frozen", 5.0),
    "not reading": (StopsReading(at_s=2, for_s=3), "peer-frozen", 5.0),
    "killed": (ProcessKill(at_s=2), "peer-closed", None),
    "killed, unread": (ProcessKill(at_s=2, unread=True), "peer-reset", None),
}


@pytest.mark.parametrize(("fault", "mechanism", "until_s"), MEANT.values(), ids=MEANT)
def test_what_the_other_end_sees(fault: AnyFault, mechanism: str, until_s: float | None) -> None:
    """One effect, from when it sets in until it wears off."""
    (effect,) = fault.effects(WHERE, "client")
    assert (effect.mechanism, effect.from_s, effect.until_s) == (mechanism, 2.0, until_s)
    assert not fault.effects(WHERE, "server")


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", [HostSuspend, ProcessFreeze, ProcessKill, StopsReading])
def test_whose_program_it_needs(
    kind: type[HostSuspend | ProcessFreeze | ProcessKill | StopsReading], side: Side
) -> None:
    """The one of its own side, as a process, and no other host than that."""
    fault = kind(on=side)
    assert fault.processes() == fault.hosts(WHERE) == {side}
    assert not list(fault.misplaced(WHERE))
    assert fault.effects(WHERE, other(side))


@pytest.mark.parametrize(
    ("fault", "starts", "restored_s"),
    [
        (ProcessKill(at_s=2), None, None),
        (ProcessKill(at_s=2, for_s=3, on="client"), "client", 5.0),
        (PeerReboot(at_s=2), None, None),
        (PeerReboot(at_s=2, starts_program=True), "server", 2.0),
        (Failover(at_s=2, starts_program=True), "server", 2.0),
        (ProcessFreeze(at_s=2, for_s=3), None, 5.0),
    ],
)
def test_what_comes_back(fault: AnyFault, starts: str | None, restored_s: float | None) -> None:
    """A killed program after `for_s`, and what runs on a new host at once, where that is said."""
    assert (fault.starts, fault.restored_s) == (starts, restored_s)
    assert not list(fault.misplaced(WHERE))


def test_who_is_killed_for_a_time_is_not_frozen_meanwhile() -> None:
    """Both act on the program, which is not there."""
    frozen, killed = ProcessFreeze(at_s=2, for_s=3), ProcessKill(at_s=3, for_s=3)
    assert frozen.touches(WHERE) & killed.touches(WHERE)
    assert not frozen.touches(WHERE) & ProcessKill(at_s=3).touches(WHERE)


@pytest.mark.parametrize("fault", [Failover(for_s=1), PeerReboot(for_s=1)])
def test_what_lasts_does_not_heal(fault: AnyFault) -> None:
    """It has no end."""
    assert [problem.key for problem in fault.misplaced(WHERE)] == ["for_s"]
