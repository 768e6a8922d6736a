"""Plans in words."""

from __future__ import annotations

import msgspec

from harness.faults import Blackhole, FirewallIdle, LinkDown, ProcessKill
from harness.model.programs import Command, Detects, OwnProxy, Ready, Standby
from harness.model.topology import Topology
from harness.plan.planner import make
from harness.report.plan_text import describe_plan
from harness.scenario.schema import EndExpect, Endpoint, Expect, Keepalive, Scenario
from tests.unit.timelines import ALIVE, MACHINE, flap, planned, unreachable


def test_a_plan_in_words() -> None:
    """Machine, topology, faults, claim, prediction and the length of the watch, each on its
    line.
    """
    assert describe_plan(unreachable(window_s=(5.0, 5.4))).splitlines() == [
        "by/hand: ",
        "  machine     Linux 6.18.0, HZ=250 (given), 2 CPUs, real time",
        "  topology    routed, ipv4; the client observes",
        "  client      keepalive idle_s=2 interval_s=1 count=3",
        "  fault       blackhole at_s=0.5, direction=both",
        "  evidence    it must act: what is injected during a run must act",
        "  claim       detected ETIMEDOUT 5 to 5.4 s after arming",
        (
            "  prediction  ETIMEDOUT 5.072 to 5.108 s after arming; 3 probes on the wire; 3 "
            "probes unanswered"
        ),
        (
            "  watched for 7.400 s at most, allowance 50 ms; predicted with a jiffy (4 ms) that "
            "timers may run late on SMP"
        ),
    ]


def test_a_plan_says_what_evidence_a_standing_fault_must_leave() -> None:
    """A firewall that keepalive keeps open must be in place; one that drops its state must act."""
    for timeout_s, words in (
        (5, "it must be in place: the oracle predicts the same without it"),
        (1, "it must act"),
    ):
        plan = planned(
            FirewallIdle(timeout_s=timeout_s, then="reset"), LinkDown(on="server", at_s=9)
        )
        lines = describe_plan(plan).splitlines()
        at = next(number for number, line in enumerate(lines) if "firewall-idle" in line)
        assert lines[at + 1].startswith(f"  evidence    {words}")


def test_a_plan_of_survival_in_words() -> None:
    """Nothing detected is said as such, and the bound of the claim is named."""
    text = describe_plan(flap())
    assert "  claim       survives within 8 s after arming" in text
    counted = describe_plan(unreachable(origin="fault"))
    assert "  claim       detected ETIMEDOUT (times count from the fault)" in counted
    assert "  prediction  nothing detected; 4 probes on the wire" in text


def test_a_plan_names_what_decides() -> None:
    """State, both sides' options and an exact window, where they are not as ever."""
    scenario = Scenario(
        client=Endpoint(user_timeout_s=2.5, writes_at_s=(0.5, 1), write_bytes=99),
        server=Endpoint(keepalive=True, receive_buffer_bytes=2048, reads=False),
        expect=Expect(outcome="never", bound_s=3, window="exact", phase_ns=7),
    )
    lines = describe_plan(make(scenario, MACHINE)).splitlines()
    assert "  client      user_timeout_s=2.5, writes_at_s=[0.5, 1], write_bytes=99" in lines
    assert (
        "  server      keepalive idle_s=7200 interval_s=75 count=9, "
        "receive_buffer_bytes=2048, reads=false"
    ) in lines
    assert any("  claim " in line and "(window=exact, phase_ns=7)" in line for line in lines)
    connecting = Scenario(state="connecting", faults=(Blackhole(at_s=0),))
    assert "  state       connecting" in describe_plan(make(connecting, MACHINE))


def test_a_plan_names_every_command() -> None:
    """Those of the ends, and what runs in between, with what is said of them.

    And what is claimed after a healing.
    """
    client = Command(
        argv=("./client", "{server}"), ready=Ready(prints="^on"), detects=Detects(reconnects=True)
    )
    scenario = Scenario(
        topology=Topology(kind="proxied"),
        client=Endpoint(command=client),
        proxy=OwnProxy(command=Command(argv=("haproxy", "-f", "a file"))),
        faults=(ProcessKill(on="proxy", at_s=1, for_s=2),),
        expect=Expect(outcome="noticed", origin="healed", reconnects_s=(0, 1.5)),
    )
    text = describe_plan(make(scenario, MACHINE))
    assert (
        "  client      command=./client '{server}' (ready prints '^on'; detects reconnects)\n"
        in text
    )
    assert "  proxy       command=haproxy -f 'a file'\n" in text
    assert (
        "  claim       noticed and connected again 0 to 1.5 s after the removal of the last fault\n"
        in text
    )
    standby = Standby(on="router", command=Command(argv=("server",)))
    other = Scenario(standby=standby, faults=(Blackhole(at_s=0.5),))
    assert "  standby     on=router, command=server\n" in describe_plan(make(other, MACHINE))


def test_nothing_is_predicted_of_a_proxy_of_ones_own() -> None:
    """Not even of what the oracle knows of the others: it is killed, and its kernel says FIN."""
    killed = Scenario(
        topology=Topology(kind="proxied", proxy="relay"),
        faults=(ProcessKill(on="proxy", at_s=1),),
        expect=Expect(outcome="eof"),
    )
    assert make(killed, MACHINE).prediction is not None
    own = OwnProxy(command=Command(argv=("haproxy",)))
    plan = make(
        msgspec.structs.replace(killed, topology=Topology(kind="proxied"), proxy=own), MACHINE
    )
    assert plan.unpredictable == "a proxy of one's own answers for the other end in its own way"


def test_a_plan_without_a_prediction_says_why() -> None:
    """The limit of the model is a note."""
    faults = Blackhole(at_s=0.5), ProcessKill(at_s=1.0)
    plan = planned(*faults, outcome="detected", errno="ETIMEDOUT", window_s=(5.0, 9.0))
    text = describe_plan(plan)
    assert "  note        not predicted: the peer's FIN is sent while the path is cut" in text
    assert "  prediction" not in text


def test_a_plan_in_which_both_ends_are_judged() -> None:
    """Claim and prediction name their end; evidence does where it differs."""
    later = Endpoint(keepalive=Keepalive(idle_s=10, interval_s=1, count=3))
    claims = Expect(client=EndExpect(errno="ETIMEDOUT"), server=EndExpect(window_s=(13, 14)))
    scenario = Scenario(
        name="both", client=ALIVE, server=later, faults=(Blackhole(at_s=0.5),), expect=claims
    )
    lines = describe_plan(make(scenario, MACHINE)).splitlines()
    assert "  topology    routed, ipv4; both ends are judged" in lines
    found = [line for line in lines if line.startswith(("  claim", "  prediction", "  evidence"))]
    assert found[:2] == [
        "  evidence    it must act: what is injected during a run must act",
        "  claim       client: as-predicted ETIMEDOUT",
    ]
    assert found[2].startswith("  prediction  client: ETIMEDOUT 5.072 to 5.108 s after arming; 3")
    assert found[3] == "  claim       server: as-predicted 13 to 14 s after arming"
    assert found[4].startswith("  prediction  server: ETIMEDOUT 13.")
    firewall = (FirewallIdle(timeout_s=5, then="reset"), Blackhole(at_s=9))
    quiet = planned(*firewall, outcome="any", bound_s=30)
    text = describe_plan(quiet)
    assert "  topology    routed, ipv4; both ends are watched" in text
    assert "  claim       client: nothing; watched within 30 s after arming" in text
