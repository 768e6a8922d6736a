from __future__ import annotations

from typing import Any

import pytest

from harness.errors import ScenarioError
from harness.faults import (
    AddressRemoved,
    AnyFault,
    Blackhole,
    CarrierLoss,
    FirewallIdle,
    IcmpReject,
    LinkDown,
    NeighbourDeath,
    PeerReboot,
    PmtuBlackhole,
    Route,
)
from harness.model.topology import Family, Kind, Side, Topology, layout
from harness.oracle.effects import Effect
from harness.scenario import loader, validation
from harness.scenario.schema import Scenario


def effect(fault: AnyFault, kind: Kind, family: Family, observer: Side = "client") -> Effect:
    """The one effect that a fault has."""
    (only,) = fault.effects(layout(Topology(kind=kind, family=family)), observer)
    return only


# --- what faults mean ---------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize(
    ("kind", "on", "toward", "reported"),
    [
        ("routed", "router", "server", "ENETUNREACH"),
        ("routed", "server", None, None),
        ("switched", "switch", "server", None),
        ("switched", "server", None, None),
    ],
)
def test_only_a_router_without_its_own_link_reports_it(
    kind: Kind, family: Family, on: str, toward: str | None, reported: str | None
) -> None:
    """It has lost the route; a switch knows none, and a router without carrier keeps its own."""
    found = effect(LinkDown(on=on, toward=toward), kind, family)
    assert (found.mechanism, found.reported, found.reverts) == (
        "lost",
        reported,
        reported is not None,
    )
    assert found.charged_twice is (family == "ipv4" and reported is not None)


def test_carrier_loss_is_the_far_end_of_a_link_going_down() -> None:
    """One's own, a router's, and the peer's: each like the interface at the other end."""
    where = layout(Topology(kind="routed"))
    for on, toward, far in (
        ("client", None, "router"),
        ("router", "server", "server"),
        ("server", None, "router"),
    ):
        other_end = LinkDown(on=far, toward=on, at_s=1, for_s=2)
        for observer in ("client", "server"):
            lost = CarrierLoss(on=on, toward=toward, at_s=1, for_s=2)
            assert lost.effects(where, observer) == other_end.effects(where, observer)
    own = effect(CarrierLoss(on="client"), "routed", "ipv6")
    assert (own.mechanism, own.swallowed, own.errno) == ("lost-locally", True, None)


@pytest.mark.parametrize(
    ("kind", "family", "observer", "mechanism", "errno"),
    [
        ("routed", "ipv4", "client", "lost", None),
        ("routed", "ipv6", "client", "lost", None),
        ("routed", "ipv4", "server", "lost-locally", None),
        ("routed", "ipv6", "server", "answers-lost", None),
        ("direct", "ipv4", "server", "lost-locally", None),
        ("direct", "ipv6", "server", "lost-locally", "ENETUNREACH"),
    ],
)
def test_without_an_address_ipv6_still_sends_by_a_gateway(
    kind: Kind, family: Family, observer: Side, mechanism: str, errno: str | None
) -> None:
    """With IPv4's last address go all routes, with IPv6's only that of its subnet."""
    found = effect(AddressRemoved(on="server"), kind, family, observer)
    assert (found.mechanism, found.errno) == (mechanism, errno)


@pytest.mark.parametrize(
    ("on", "observer", "mechanism"),
    [
        ("client", "client", "lost-locally"),
        ("server", "client", "answers-lost"),
        ("client", "server", "answers-lost"),
    ],
)
def test_who_forgets_its_neighbour_cannot_send(on: str, observer: Side, mechanism: str) -> None:
    """One's own host, or the one from which answers come."""
    assert effect(NeighbourDeath(on=on), "routed", "ipv4", observer).mechanism == mechanism


def test_a_router_that_forgets_its_neighbour_reports_it_late() -> None:
    """So nothing is said of data; toward the observer itself only answers are lost."""
    assert (
        "three seconds"
        in effect(NeighbourDeath(on="router", toward="server"), "routed", "ipv6").unknown
    )
    assert (
        effect(NeighbourDeath(on="router", toward="client"), "routed", "ipv6").mechanism
        == "answers-lost"
    )


@pytest.mark.parametrize(
    ("becomes", "own", "ipv4", "ipv6"),
    [
        ("lost", "ENETUNREACH", ("ENETUNREACH", True), ("ENETUNREACH", True)),
        ("unreachable", "EHOSTUNREACH", ("EHOSTUNREACH", True), ("ENETUNREACH", True)),
        ("prohibit", "EACCES", ("EHOSTUNREACH", False), ("EACCES", False)),
        ("blackhole", "EINVAL", (None, False), (None, False)),
    ],
)
def test_what_a_route_says(
    becomes: Any, own: str, ipv4: tuple[str, bool], ipv6: tuple[str, bool]
) -> None:
    """IPv6's own host to an idle connection, a router to data.

    Nobody to an idle IPv4 connection.
    """
    for family, answer in (("ipv4", ipv4), ("ipv6", ipv6)):
        here = effect(Route(on="client", becomes=becomes), "routed", family)  # type: ignore[arg-type]
        assert (here.mechanism, here.errno) == ("lost-locally", own if family == "ipv6" else None)
        there = effect(Route(on="router", to="server", becomes=becomes), "routed", family)  # type: ignore[arg-type]
        assert (there.mechanism, there.reported, there.reverts) == ("lost", *answer)
        back = effect(Route(on="router", to="client", becomes=becomes), "routed", family)  # type: ignore[arg-type]
        assert (back.mechanism, back.reported) == ("answers-lost", None)


@pytest.mark.parametrize(
    ("family", "code", "reported", "reverts"),
    [
        ("ipv4", "net-unreachable", "ENETUNREACH", True),
        ("ipv4", "host-unreachable", "EHOSTUNREACH", True),
        ("ipv4", "port-unreachable", "ECONNREFUSED", False),
        ("ipv4", "admin-prohibited", "EHOSTUNREACH", False),
        ("ipv6", "no-route", "ENETUNREACH", True),
        ("ipv6", "addr-unreachable", "EHOSTUNREACH", False),
        ("ipv6", "admin-prohibited", "EACCES", False),
    ],
)
def test_what_an_icmp_error_leaves_with_data(
    family: Family,
    code: Any,
    reported: str,
    reverts: bool,  # noqa: FBT001
) -> None:
    """Measured; two codes of IPv4 and one of IPv6 take the back-off back."""
    found = effect(IcmpReject(code=code), "routed", family)
    assert (found.mechanism, found.reported, found.reverts) == ("lost", reported, reverts)
    assert (
        effect(IcmpReject(code=code, direction="to-client"), "routed", family).mechanism
        == "answers-lost"
    )
    assert (
        effect(IcmpReject(code=code, direction="to-client"), "routed", family, "server").reported
        == reported
    )


def test_small_packets_know_nothing_of_the_path_mtu() -> None:
    """Probes pass."""
    assert PmtuBlackhole().effects(layout(Topology()), "client") == ()


# --- where they may be --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind", "family", "key"),
    [
        (IcmpReject(code="no-route"), "routed", "ipv4", "code"),
        (IcmpReject(code="net-unreachable"), "routed", "ipv6", "code"),
        (IcmpReject(code="net-unreachable", on="server"), "direct", "ipv4", "on"),
        (IcmpReject(code="net-unreachable", on="switch"), "switched", "ipv4", "on"),
        (NeighbourDeath(on="switch", toward="server"), "switched", "ipv4", "on"),
        (Route(on="switch", becomes="lost", to="server"), "switched", "ipv4", "on"),
        (Route(on="router", becomes="lost"), "routed", "ipv4", "to"),
        (Route(on="client", becomes="lost", to="client"), "routed", "ipv4", "to"),
        (CarrierLoss(on="router"), "routed", "ipv4", "toward"),
        (PmtuBlackhole(), "direct", "ipv4", "kind"),
    ],
)
def test_a_fault_out_of_place_names_the_key(
    fault: AnyFault, kind: Kind, family: Family, key: str
) -> None:
    """One complaint, about the key that is wrong."""
    (problem,) = fault.misplaced(layout(Topology(kind=kind, family=family)))
    assert problem.key == key


# --- again and again ----------------------------------------------------------------------------


def test_a_flapping_link_is_as_many_outages() -> None:
    """Each at its own time and of the same length, found in plan and timeline as a fault of its
    own.
    """
    raw = {
        "faults": [
            {"kind": "link-down", "on": "server", "at_s": 1, "for_s": 0.5, "every_s": 3, "times": 3}
        ]
    }
    found = loader.from_mapping(raw).faults
    assert found == tuple(LinkDown(on="server", at_s=at_s, for_s=0.5) for at_s in (1.0, 4.0, 7.0))


@pytest.mark.parametrize(
    ("fault", "key"),
    [
        (Blackhole(for_s=1, times=2), "every_s"),
        (Blackhole(every_s=3, times=2), "for_s"),
        (Blackhole(for_s=3, every_s=3, times=2), "for_s"),
        (Blackhole(for_s=1, every_s=3), "times"),
        (PeerReboot(every_s=3, times=2), "every_s"),
        (FirewallIdle(timeout_s=1, every_s=3, times=2), "every_s"),
    ],
)
def test_what_cannot_come_again_is_refused(fault: AnyFault, key: str) -> None:
    """It must heal before it does."""
    with pytest.raises(ScenarioError, match=rf"faults\[0\]\.{key}: "):
        validation.check(Scenario(faults=(fault,)), "here")


def test_outages_of_two_faults_must_not_overlap() -> None:
    """The second outage of the one falls into the other."""
    flapping, once = (
        LinkDown(on="server", for_s=1, every_s=3, times=2),
        LinkDown(on="server", at_s=3.5),
    )
    with pytest.raises(ScenarioError, match=r"faults\[1\]\.at_s: "):
        validation.check(Scenario(faults=(flapping, once)), "here")
