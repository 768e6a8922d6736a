"""What docker does to containers, as values: what it means, what it touches, and where it may
stand.
"""

from __future__ import annotations

import pytest

from harness.errors import ScenarioError
from harness.faults import (
    AnyFault,
    ContainerKill,
    ContainerPause,
    ContainerRestart,
    LinkDown,
    NetworkDisconnect,
    PeerReboot,
)
from harness.model.machine import MachineFacts
from harness.model.topology import Side, Topology, layout
from harness.plan.planner import make
from harness.scenario.schema import Endpoint, Expect, Keepalive, Scenario

ROUTED, DIRECT = layout(Topology(kind="routed")), layout(Topology(kind="direct"))
HERE = MachineFacts(kernel="6.18.0", hz=250, hz_source="given", cpus=2)
CONTAINERS = MachineFacts(kernel="6.18.0", hz=250, hz_source="given", cpus=2, lab="docker")
ALIVE = Endpoint(keepalive=Keepalive(idle_s=2, interval_s=1, count=3))


@pytest.mark.parametrize(
    ("fault", "mechanism"),
    [
        (ContainerPause(), "peer-frozen"),
        (ContainerKill(), "peer-closed"),
        (ContainerRestart(), "peer-closed"),
    ],
)
def test_the_other_end_is_concerned(fault: AnyFault, mechanism: str) -> None:
    """And the container itself is no observer any more."""
    (effect,) = fault.effects(ROUTED, "client")
    assert effect.mechanism == mechanism
    assert fault.effects(ROUTED, "server") == ()
    assert fault.processes() == {"server"}


@pytest.mark.parametrize("observer", ["client", "server"])
def test_a_disconnected_network_is_a_link_that_is_down(observer: Side) -> None:
    """One's own, where one is on the cable, else the neighbour's toward the container."""
    fault = NetworkDisconnect(at_s=1.0, for_s=2.0)
    own = LinkDown(on=observer, at_s=1.0, for_s=2.0).effects(DIRECT, observer)
    assert fault.effects(DIRECT, observer) == own
    far = LinkDown(on="router", toward="server", at_s=1.0, for_s=2.0)
    expected = (
        far.effects(ROUTED, "client")
        if observer == "client"
        else LinkDown(on="server", at_s=1.0, for_s=2.0)
    )
    found = fault.effects(ROUTED, observer)
    assert found == (
        expected if isinstance(expected, tuple) else expected.effects(ROUTED, "server")
    )


def test_a_cable_has_two_ends() -> None:
    """What stands on either of them cannot be on at the same time."""
    touched = NetworkDisconnect().touches(ROUTED)
    for fault in (LinkDown(on="server"), LinkDown(on="router", toward="server")):
        assert fault.touches(ROUTED) & touched
    assert not LinkDown(on="router", toward="client").touches(ROUTED) & touched


@pytest.mark.parametrize(
    "fault", [ContainerKill(), ContainerPause(), ContainerRestart(), NetworkDisconnect()]
)
def test_docker_is_needed(fault: AnyFault) -> None:
    """Planned for containers alone."""
    scenario = Scenario(name="it", client=ALIVE, faults=(fault,), expect=Expect())
    assert make(scenario, CONTAINERS).expected
    with pytest.raises(
        ScenarioError, match=r"faults\[0\].kind: expected a lab of containers, by --lab docker"
    ):
        make(scenario, HERE)


def test_an_image_needs_docker() -> None:
    """It is a container's."""
    scenario = Scenario(
        name="it", server=Endpoint(image="redis:7"), client=ALIVE, faults=(LinkDown(on="server"),)
    )
    assert make(scenario, CONTAINERS).expected
    with pytest.raises(
        ScenarioError, match=r"server.image: expected a lab of containers, by --lab docker"
    ):
        make(scenario, HERE)


@pytest.mark.parametrize("fault", [ContainerKill(for_s=1.0), ContainerRestart(for_s=1.0)])
def test_what_is_over_is_not_undone(fault: AnyFault) -> None:
    """Neither comes back from it."""
    assert [problem.key for problem in fault.misplaced(ROUTED)] == ["for_s"]


def test_what_has_taken_its_place_is_on_no_network() -> None:
    """A host that has been rebooted has a link of the lab's, not of docker's."""
    faults = (PeerReboot(at_s=1.0), NetworkDisconnect(at_s=2.0))
    with pytest.raises(ScenarioError, match=r"faults\[1\].at_s: expected a time before 1"):
        make(Scenario(name="it", client=ALIVE, faults=faults), CONTAINERS)
