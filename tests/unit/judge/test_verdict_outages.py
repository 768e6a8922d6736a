"""Judging outages that end: one during which nothing was sent proves nothing, whatever state was
read back.
"""

from __future__ import annotations

import msgspec
import pytest

from harness.faults import (
    AddressRemoved,
    AnyFault,
    Blackhole,
    CarrierLoss,
    FirewallIdle,
    LinkDown,
    NeighbourDeath,
    PeerReboot,
    ProcessFreeze,
    ProcessKill,
    Route,
    StopsReading,
)
from harness.model.programs import Command, Detects, IdleState, Reaper
from harness.plan.plan import Plan
from harness.scenario.schema import Endpoint, Keepalive
from harness.timeline import Event
from tests.unit.judging import MS, verdict
from tests.unit.timelines import ALIVE, SECOND, as_foreseen, at, changed, moved, planned, without

SLOW = Endpoint(keepalive=Keepalive(idle_s=60, interval_s=1, count=3))
"""Sends nothing in the first minute."""
ELSEWHERE = (
    LinkDown(on="server", at_s=5, for_s=10),
    CarrierLoss(on="server", at_s=5, for_s=10),
    AddressRemoved(on="server", at_s=5, for_s=10),
    Route(on="server", becomes="lost", at_s=5, for_s=10),
    ProcessFreeze(at_s=5, for_s=10),
)
OWN = (
    LinkDown(on="client", at_s=0.5, for_s=3),
    CarrierLoss(on="client", at_s=0.5, for_s=3),
    AddressRemoved(on="client", at_s=0.5, for_s=3),
    Route(on="client", becomes="lost", at_s=0.5, for_s=3),
)
SENT = at(8 * SECOND, "segment", "server", way="out", role="data", flags="PA", length=1)


def survived(fault: AnyFault, client: Endpoint = SLOW, bound_s: float = 40) -> Plan:
    """The claim that an outage changes nothing."""
    return planned(fault, client=client, outcome="survives", bound_s=bound_s)


def unmet(plan: Plan, events: list[Event]) -> None:
    """The verdict is that nothing met the fault."""
    words = "nothing that it acts on was sent while it was on"
    assert verdict(plan, events, "inconclusive", words).cause == "fault-met-nothing"


@pytest.mark.parametrize("fault", ELSEWHERE, ids=lambda fault: fault.kind)
def test_an_outage_in_silence_proves_nothing(fault: AnyFault) -> None:
    """It does where any segment passed either endpoint meanwhile, but not before or after."""
    plan = survived(fault)
    events = as_foreseen(plan)
    unmet(plan, events)
    for moment_ns in (4 * SECOND, 16 * SECOND):
        unmet(
            plan, [*events, at(moment_ns, "segment", "server", way="out", role="data", flags="PA")]
        )
    verdict(plan, [*events, SENT], "pass")


def test_segments_of_another_connection_prove_nothing() -> None:
    """On either host; a NAT may give the watched one another port at the client, but not at the
    server.
    """
    plan = survived(LinkDown(on="server", at_s=5, for_s=10))
    ends = {"local": ["10.77.1.1", 40000], "remote": ["10.77.2.2", 7000]}
    events = changed(as_foreseen(plan), "subject.armed", **ends)

    def sent(host: str, sport: int, dport: int) -> Event:
        what = {
            "way": "out" if host == "client" else "in",
            "role": "data",
            "flags": "PA",
            "length": 1,
        }
        return at(8 * SECOND, "segment", host, sport=sport, dport=dport, **what)

    for other in (
        sent("client", 40001, 7000),
        sent("client", 40001, 53),
        sent("server", 40001, 53),
    ):
        unmet(plan, [*events, other])
    for ours in (sent("client", 40000, 7000), sent("server", 20000, 7000)):
        verdict(plan, [*events, ours], "pass")


@pytest.mark.parametrize("fault", OWN, ids=lambda fault: fault.kind)
def test_what_the_own_host_loses_is_on_no_wire(fault: AnyFault) -> None:
    """A probe that the oracle has sent meanwhile counts, and so does data that was written."""
    met = survived(fault, ALIVE, bound_s=8)
    assert met.faults[0].hides_probes
    verdict(met, without(as_foreseen(met), "segment"), "fail")  # later probes are on the wire
    verdict(met, as_foreseen(met), "pass")
    silent = survived(fault, bound_s=40)
    unmet(silent, as_foreseen(silent))
    wrote = at(SECOND, "subject.wrote", "server", side="server", written=True, took_ns=1000)
    verdict(silent, [*as_foreseen(silent), wrote], "pass")
    unmet(silent, [*as_foreseen(silent), changed([wrote], "subject.wrote", written=False)[0]])


def test_a_probe_on_the_edge_of_its_own_outage_is_no_proof() -> None:
    """It counts only where its whole window lies in the outage, as measured."""
    plan = survived(LinkDown(on="client", at_s=0.5, for_s=3), ALIVE, bound_s=8)
    (lo, hi), *rest = plan.faults[0].due_ns
    assert 2 * SECOND - 5 * MS < lo < hi < 3 * SECOND < rest[0][1]
    silent = [event for event in as_foreseen(plan) if event.kind != "segment"]
    for until_ns, name in ((hi + MS, "pass"), (hi - MS, "inconclusive"), (lo - MS, "inconclusive")):
        ends = msgspec.structs.replace(plan.faults[0], until_ns=until_ns)
        unpredicted = msgspec.structs.replace(plan, prediction=None, faults=(ends,))
        verdict(unpredicted, moved(silent, "fault.healed", until_ns), name)


def test_an_outage_that_was_over_long_before_the_detection() -> None:
    """A firewall that dropped its state is what was detected: the outage before that has changed
    nothing.
    """
    late = Endpoint(keepalive=Keepalive(idle_s=400, interval_s=1, count=3))
    faults = FirewallIdle(timeout_s=350), LinkDown(on="server", at_s=20, for_s=10)
    plan = planned(*faults, client=late, outcome="detected", errno="ETIMEDOUT")
    unmet(plan, as_foreseen(plan))
    verdict(
        plan,
        [*as_foreseen(plan), at(25 * SECOND, "segment", way="out", role="data", flags="PA")],
        "pass",
    )


def test_an_outage_that_lasts_may_be_told_by_silence() -> None:
    """Without keepalive a dead peer is never detected: nothing is sent, and that is the claim."""
    for for_s in (None, 100):
        plan = planned(
            LinkDown(on="server", at_s=5, for_s=for_s),
            client=Endpoint(),
            outcome="never",
            bound_s=40,
        )
        events = as_foreseen(plan)
        verdict(plan, without(events, "fault.healed", "subject.alive"), "pass")


@pytest.mark.parametrize(
    ("fault", "needs"),
    [
        *((fault, True) for fault in (*ELSEWHERE, *OWN, Blackhole(at_s=1, for_s=2))),
        (LinkDown(on="server", at_s=1), False),
        (Blackhole(at_s=1), False),
        (ProcessKill(at_s=1), False),
        (PeerReboot(at_s=1), False),
        (StopsReading(at_s=1, for_s=2), False),
        (FirewallIdle(timeout_s=350), False),
    ],
)
def test_which_faults_need_traffic(fault: AnyFault, needs: bool) -> None:  # noqa: FBT001 - a parameter of the table
    """Those that lose segments or freeze the peer's program, and wear off."""
    (expectation,) = planned(fault, client=SLOW, outcome="as-predicted").faults
    assert expectation.needs_traffic == needs


def test_what_is_hidden_and_not_predicted_is_left_alone() -> None:
    """Where nobody can tell whether anything was sent, the state that was read back stands."""
    command = Endpoint(command=Command(argv=("client",), detects=Detects(prints="lost")))
    beating = Endpoint(heartbeat=IdleState()), Endpoint(heartbeat=Reaper())
    for client, server in ((command, Endpoint()), beating):
        for on, needs in (("client", False), ("server", True)):
            fault = LinkDown(on=on, at_s=1, for_s=5)
            plan = planned(
                fault, client=client, server=server, outcome="noticed", window_s=(0.0, 900.0)
            )
            assert plan.faults[0].needs_traffic == needs
    silent = planned(
        NeighbourDeath(on="client", at_s=1, for_s=5), client=SLOW, outcome="survives", bound_s=40
    )
    assert not silent.faults[0].needs_traffic  # it counts what it drops


def test_predictions_list_the_first_probes() -> None:
    """An outage after those is left alone; one before them is not, however many follow."""
    for at_s, needs in ((0.1, True), (90, False)):
        fault = LinkDown(on="client", at_s=at_s, for_s=0.5)
        assert survived(fault, ALIVE, bound_s=100).faults[0].needs_traffic == needs


def test_what_a_proxy_sends_is_captured_at_the_ends_alone() -> None:
    """What it sends into a dead link reaches none.

    A frozen proxy still has both ends' segments come.
    """
    cut = planned(
        LinkDown(on="server", at_s=5, for_s=10),
        kind="proxied",
        client=SLOW,
        outcome="survives",
        bound_s=40,
    )
    assert not cut.faults[0].needs_traffic
    frozen = ProcessFreeze(on="proxy", at_s=5, for_s=10)
    assert (
        planned(frozen, kind="proxied", client=SLOW, outcome="survives", bound_s=40)
        .faults[0]
        .needs_traffic
    )
