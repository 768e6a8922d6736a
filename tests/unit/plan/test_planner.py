"""Plans: what a scenario and a machine come to before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.errors import ScenarioError
from harness.faults import (
    AnyFault,
    Blackhole,
    ContainerPause,
    FirewallIdle,
    LinkDown,
    NeighbourDeath,
    NetworkDisconnect,
    PeerReboot,
    ProcessFreeze,
    WallClock,
)
from harness.model.machine import MachineFacts
from harness.model.programs import PLACEHOLDERS, Command, Detects, Simple
from harness.model.topology import Kind, Topology, layout
from harness.plan import planner
from harness.plan.allowances import ALLOWANCE_MS, VIRTUAL_INJECTION_NS, tolerances
from harness.plan.plan import GRACE_NS, Plan, settings_of
from harness.scenario.schema import Endpoint, Expect, Keepalive, Scenario
from harness.scenario.validation import problems
from harness.subjects.running import places
from tests.unit import strategies, timelines

SECOND_NS = 1_000_000_000
ALIVE = Endpoint(keepalive=Keepalive(idle_s=10, interval_s=2, count=3))


def machine(hz: int = 250, **facts: Any) -> MachineFacts:
    """A machine in real time with two CPUs, unless said otherwise."""
    return MachineFacts(**{"kernel": "6.1", "hz": hz, "hz_source": "given", "cpus": 2, **facts})


VIRTUAL = machine(1000, clock="virtual")


def planned(
    *faults: AnyFault, on: MachineFacts | None = None, client: Endpoint = ALIVE, **expect: Any
) -> Plan:
    """A plan for a client with keepalive 10/2/3."""
    return timelines.planned(*faults, machine=on or machine(), client=client, **expect)


# --- what a machine brings ----------------------------------------------------------------------


def test_virtual_time_leaves_nothing_open_but_the_kernels_own_waiting() -> None:
    """No handler is late, no program woken late.

    Carrying out a fault may take the kernel a few grace periods.
    """
    made = planned(Blackhole(), on=VIRTUAL)
    assert made.allowance_ns == 0
    oracle = tolerances(VIRTUAL)
    assert (oracle.hz, oracle.late_jiffies, oracle.arming_lag_ns) == (1000, 0, 0)
    assert oracle.injection_ns == VIRTUAL_INJECTION_NS


def test_what_a_lab_does_not_have_is_refused() -> None:
    """Containers and guests where there are none; networks by name anywhere."""
    with pytest.raises(
        ScenarioError,
        match="expected a lab of containers, by --lab docker, found 'container-pause'",
    ):
        planned(ContainerPause())
    step = WallClock(step_s=60)
    with pytest.raises(
        ScenarioError, match=r"kind: expected virtual time, by --clock virtual: .*'wall-clock'"
    ):
        planned(step)
    assert planned(step, on=VIRTUAL, bound_s=60, outcome="survives").expected
    with pytest.raises(
        ScenarioError,
        match="network: expected no such key: a lab's networks have names of their own",
    ):
        planned(NetworkDisconnect(network="shop_default"), on=machine(lab="docker"))


def test_real_time_has_a_declared_allowance() -> None:
    """The same for waking a program, injecting a fault and setting options.

    And a jiffy where there are other CPUs.
    """
    made = planned(Blackhole())
    assert made.allowance_ns == ALLOWANCE_MS * 1_000_000
    oracle = tolerances(machine())
    assert oracle.arming_lag_ns == oracle.injection_ns == made.allowance_ns
    assert oracle.late_jiffies == 1
    assert tolerances(machine(cpus=1)).late_jiffies == 0


def test_what_real_time_leaves_open_only_widens_windows() -> None:
    """A window in virtual time lies within the one in real time of the same HZ."""
    exact = planned(Blackhole(at_s=1), on=VIRTUAL).expected[0].window_ns
    loose = planned(Blackhole(at_s=1), on=machine(1000)).expected[0].window_ns
    assert exact is not None
    assert loose is not None
    assert loose[0] <= exact[0] < exact[1] < loose[1]


# --- how far it looks ---------------------------------------------------------------------------


def test_the_horizon_is_the_bound_that_the_scenario_sets() -> None:
    """And the subject is watched for as long."""
    made = planned(outcome="survives", bound_s=77)
    assert made.prediction is not None
    assert made.prediction.horizon_ns == made.watch_ns == 77 * SECOND_NS


def test_without_a_bound_the_horizon_holds_a_whole_detection_after_the_last_change() -> None:
    """Also when the last thing that happens is a healing."""
    made = planned(Blackhole(at_s=100, for_s=50))
    assert made.prediction is not None
    assert made.prediction.horizon_ns >= (150 + 10 + 3 * 2) * SECOND_NS


def test_without_keepalive_three_seconds_are_enough() -> None:
    """Nothing will happen then."""
    made = planned(Blackhole(at_s=5), client=Endpoint())
    assert made.watch_ns == 8 * SECOND_NS
    assert [outcome.kind for outcome in made.expected] == ["quiet"]


@strategies.PATIENT
@given(st.sampled_from(strategies.KERNEL_HZS), st.data())
def test_a_lasting_cut_is_always_noticed_before_the_horizon(hz: int, data: st.DataObject) -> None:
    """The horizon is never too near, whatever the settings and whenever the fault."""
    count = data.draw(st.integers(1, 127))
    idle, interval = data.draw(st.integers(1, 500)), data.draw(st.integers(1, 500))
    client = Endpoint(
        keepalive=Keepalive(idle_s=idle, interval_s=interval, count=count),
        user_timeout_s=data.draw(
            st.just(0) | st.integers(1, 9).map(lambda probes: idle + probes * interval)
        ),
    )
    at_s = data.draw(st.integers(0, 5 * (idle + interval)))
    for facts in (machine(hz), machine(hz, clock="virtual")):
        made = planned(Blackhole(at_s=at_s), client=client, on=facts)
        assert [outcome.kind for outcome in made.expected] == ["detected"]
        window = made.expected[0].window_ns
        assert window is not None
        assert window[1] + made.allowance_ns < made.watch_ns


def test_the_subject_is_watched_beyond_the_last_acceptable_moment() -> None:
    """So that late can be told from never."""
    made = planned(Blackhole())
    window = made.expected[0].window_ns
    assert window is not None
    assert made.watch_ns == window[1] + made.allowance_ns + GRACE_NS


def test_the_subject_is_watched_to_the_end_of_a_claimed_window() -> None:
    """Also where the claim is wrong, or counts from the fault."""
    late = planned(Blackhole(at_s=3), outcome="detected", window_s=(90, 100), origin="fault")
    assert late.watch_ns == 103 * SECOND_NS + GRACE_NS


# --- what it expects ----------------------------------------------------------------------------


def test_what_is_not_claimed_is_taken_from_the_prediction() -> None:
    """A scenario without an expectation expects what the oracle says."""
    made = planned(PeerReboot(at_s=1))
    assert made.prediction is not None
    assert made.expected == made.prediction.outcomes
    assert [outcome.errno for outcome in made.expected] == ["ECONNRESET"]
    assert made.notes == ()


def test_a_claim_against_the_oracle_is_kept_and_noted() -> None:
    """It may be the oracle that is wrong: the run decides, forewarned."""
    made = planned(Blackhole(), outcome="detected", errno="ECONNRESET")
    assert made.expected == ()
    assert made.notes == ("the claim contradicts the oracle, which predicts ETIMEDOUT",)
    assert made.watch_ns > 10 * SECOND_NS


@pytest.mark.parametrize(
    ("window_s", "origin", "contradicts"),
    [
        ((16, 20), "armed", False),
        ((1, 16.3), "armed", False),
        ((17, 20), "armed", True),
        ((1, 16.1), "armed", True),
        ((13.0, 13.5), "fault", False),
        ((16, 16.5), "fault", True),
        ((16, 16.5), "last-received", False),
    ],
)
def test_a_window_apart_from_the_oracles_is_a_contradiction(
    window_s: tuple[float, float], origin: Any, *, contradicts: bool
) -> None:
    """Counted from the claim's own origin; one that has a moment in common with it is none."""
    made = planned(
        Blackhole(at_s=3), on=VIRTUAL, outcome="detected", window_s=window_s, origin=origin
    )
    (outcome,) = made.expected
    assert outcome.window_ns is not None
    assert made.contradicts is contradicts, outcome.window_ns
    assert bool(made.notes) is contradicts
    assert all(
        note.startswith("the claim contradicts the oracle, which predicts ") for note in made.notes
    )


@pytest.mark.parametrize(
    ("faults", "window_s", "contradicts"),
    [
        ((Blackhole(at_s=0.5, for_s=1.5), Blackhole(at_s=3)), (14, 15), False),
        ((Blackhole(at_s=0.5, for_s=0.5), Blackhole(at_s=3)), (14, 15), True),
        ((Blackhole(at_s=3, for_s=40),), (0, 40), True),
    ],
)
def test_a_window_that_counts_from_the_last_healing(
    faults: tuple[Blackhole, ...], window_s: tuple[float, float], *, contradicts: bool
) -> None:
    """Of the faults that end; what is predicted to come before it contradicts such a claim."""
    made = planned(*faults, on=VIRTUAL, outcome="detected", window_s=window_s, origin="healed")
    (outcome,) = made.expected
    assert made.contradicts is contradicts, outcome.window_ns
    assert [note.endswith(" s after the removal of the last fault") for note in made.notes] == [
        True
    ] * contradicts


def test_a_fault_after_the_predicted_end_is_noted() -> None:
    """It is never injected; what counts from it is given after arming.

    A survivor's run goes on to its bound.
    """
    firewall, late = FirewallIdle(timeout_s=50, then="reset"), LinkDown(on="server", at_s=1000)
    end = Endpoint(keepalive=Keepalive(idle_s=60, interval_s=10, count=3))

    def notes(*faults: AnyFault, **claim: Any) -> tuple[str, ...]:
        return planner.make(
            Scenario(client=end, faults=faults, expect=Expect(**claim)), VIRTUAL
        ).notes

    (note,) = notes(firewall, late)
    assert note.startswith(
        "fault 1 (link-down) at 1000 s comes after the predicted detection, at most 6"
    )
    apart, again = notes(firewall, late, outcome="detected", origin="fault", window_s=(0, 9))
    assert again == note
    assert apart.startswith("the claim contradicts the oracle, which predicts 60.")
    assert apart.endswith(" s after arming")
    assert notes(late) == notes(msgspec.structs.replace(late, at_s=30)) == ()


def test_seconds_that_look_like_milliseconds_are_told_where_they_prevent_a_prediction() -> None:
    """An interval of 1000 s behind a firewall, for example: conntrack's own timeout comes first."""
    end = Endpoint(keepalive=Keepalive(idle_s=60, interval_s=1000, count=9))
    words = (
        r"conntrack shortens .* to 300 s .*; client\.keepalive\.interval_s = 1000 means .*did "
        r"you mean 1 s\?"
    )
    with pytest.raises(ScenarioError, match=words):
        planned(FirewallIdle(timeout_s=3600), LinkDown(on="server", at_s=30), client=end)


def test_names_in_braces_that_are_no_placeholders_are_noted() -> None:
    """In single words; not those of shells, formats, JSON and scripts, and only once."""
    argv = (
        "x",
        "{sever}:{port}",
        "{sever}",
        "--at={host}",
        "${HOME}",
        "%{code}",
        '{"a":1}',
        "{}",
        "{{x}}",
        "f {y} g",
    )
    command = Command(argv=argv, env={"A": "{firewall-a}"}, detects=Detects(exits=True))
    expect = Expect(outcome="never", bound_s=9)
    scenario = Scenario(
        client=Endpoint(command=command), faults=(Blackhole(at_s=3),), expect=expect
    )
    _, *notes = planner.make(scenario, VIRTUAL).notes
    assert [note.partition(" and stays")[0] for note in notes] == [
        "client.command: {sever} is no placeholder (did you mean server?)",
        "client.command: {host} is no placeholder",
        "client.command: {firewall-a} is no placeholder",
    ]


def test_all_placeholders_are_known() -> None:
    """Those that are filled in when a command starts, and the one that is filled in when its file
    is read.
    """
    where = layout(Topology())
    filled = places(Command(argv=("x",)), where, "client", Path("/scratch"))
    assert {*filled, "scenario"} == {*where.addresses_from("client"), *PLACEHOLDERS}


def test_seconds_that_look_like_milliseconds_are_noted() -> None:
    """Beside the plan, which is made for what is written."""
    machine = VIRTUAL
    scenario = Scenario(
        client=Endpoint(keepalive=Keepalive(idle_s=30000, interval_s=75), user_timeout_s=30000),
        faults=(Blackhole(at_s=3),),
    )
    assert planner.make(scenario, machine).notes == (
        "client.user_timeout_s = 30000 means 30000 s (8 h 20 min); did you mean 30 s?",
        "client.keepalive.idle_s = 30000 means 30000 s (8 h 20 min); did you mean 30 s?",
    )


def test_a_claim_that_only_some_phases_fulfil_is_noted() -> None:
    """An outage that ends at the last probe may or may not be survived."""
    made = planned(Blackhole(for_s=14.2), on=VIRTUAL, outcome="survives")
    assert [outcome.kind for outcome in made.expected] == ["quiet"]
    (note,) = made.notes
    assert (
        note == "the phase of the timer wheel decides between ETIMEDOUT or that nothing is detected"
    )


def test_a_claim_by_name_stands_alone_where_nothing_is_predicted() -> None:
    """A firewall that resets, and packets that are lost somewhere near it."""
    faults = (FirewallIdle(timeout_s=5, then="reset"), Blackhole(at_s=1))
    made = planned(*faults, outcome="detected", errno="ETIMEDOUT", window_s=(1, 9))
    assert made.prediction is None
    assert made.expected == ()
    assert made.unpredictable is not None
    assert made.notes == (f"not predicted: {made.unpredictable}",)


@pytest.mark.parametrize(
    ("kind", "faults", "predicted"),
    [
        (
            "switched",
            (NeighbourDeath(on="client", at_s=5), NeighbourDeath(on="server", at_s=13)),
            False,
        ),
        (
            "switched",
            (NeighbourDeath(on="server", at_s=5), NeighbourDeath(on="client", at_s=13)),
            False,
        ),
        (
            "switched",
            (NeighbourDeath(on="client", at_s=5, for_s=2), NeighbourDeath(on="server", at_s=13)),
            True,
        ),
        (
            "routed",
            (NeighbourDeath(on="client", at_s=5), NeighbourDeath(on="server", at_s=13)),
            True,
        ),
        (
            "routed",
            (
                NeighbourDeath(on="router", toward="server", at_s=5),
                NeighbourDeath(on="server", at_s=6),
            ),
            False,
        ),
        (
            "routed",
            (
                NeighbourDeath(on="router", toward="client", at_s=5),
                NeighbourDeath(on="server", at_s=6),
            ),
            True,
        ),
    ],
)
def test_neighbours_that_forget_each_other_are_not_predicted(
    kind: Kind, faults: tuple[NeighbourDeath, ...], *, predicted: bool
) -> None:
    """The request of one tells the other its address: the kernel sent an RST that should have had
    nowhere to go.
    """
    expect = Expect(outcome="detected", errno="ETIMEDOUT", window_s=(0, 99))
    scenario = Scenario(
        name="x", topology=Topology(kind=kind), client=ALIVE, faults=faults, expect=expect
    )
    found = planner.make(scenario, VIRTUAL).unpredictable or ""
    assert ("reminds the other" not in found) is predicted, found


def test_the_hosts_retries_bound_data_in_flight() -> None:
    """8 of them for 104.2 to 108.8 s after the write."""
    writer = Endpoint(writes_at_s=(1.0,), retries2=8)
    (outcome,) = planned(Blackhole(at_s=0.5), on=VIRTUAL, client=writer).expected
    assert outcome.window_ns is not None
    assert 105e9 < outcome.window_ns[0] < outcome.window_ns[1] < 109.9e9


@pytest.mark.parametrize(
    "ends",
    [
        {"client": ALIVE, "server": Endpoint(retries2=8)},
        {
            "client": Endpoint(heartbeat=Simple(), retries2=8),
            "server": Endpoint(heartbeat=Simple()),
        },
        {
            "client": Endpoint(retries2=8, writes_at_s=(1.0,), write_bytes=1 << 16),
            "server": Endpoint(reads=False, receive_buffer_bytes=4096),
        },
    ],
    ids=["the other end's", "heartbeat", "full window"],
)
def test_other_retries_are_not_predicted_everywhere(ends: dict[str, Any]) -> None:
    """Models of heartbeats and full windows have the kernel's own number."""
    expect = Expect(outcome="never", bound_s=20)
    scenario = Scenario(name="x", **ends, faults=(Blackhole(at_s=5),), expect=expect)
    assert "tcp_retries2" in (planner.make(scenario, VIRTUAL).unpredictable or "")


def test_as_predicted_is_refused_where_nothing_is_predicted() -> None:
    """There is nothing to judge by; the message says why."""
    with pytest.raises(
        ScenarioError,
        match=(
            r"^scenario by/hand: expect.outcome: expected an outcome by name, since the oracle "
            r"has none .*middlebox"
        ),
    ):
        planned(FirewallIdle(timeout_s=5, then="reset"), Blackhole(at_s=1))


def test_what_no_types_can_rule_out_is_refused_here_too() -> None:
    """A scenario built in Python has met no loader."""
    with pytest.raises(
        ScenarioError, match=r"^scenario by/hand: faults\[0\].on: expected a host of this topology"
    ):
        planned(LinkDown(on="mars"))


@pytest.mark.parametrize(
    ("family", "on", "errno", "seen"),
    [
        ("ipv4", "client", "ETIMEDOUT", (0, 0)),
        ("ipv6", "client", "ENETUNREACH", (0, 0)),
        ("ipv4", "server", "ETIMEDOUT", (3, 3)),
        ("ipv6", "server", "ETIMEDOUT", (3, 3)),
    ],
)
def test_whose_link_is_down_decides_errno_and_what_is_on_the_wire(
    family: Any, on: str, errno: str, seen: tuple[int, int]
) -> None:
    """Only IPv6 tells TCP why its own host cannot send; from afar every loss is silence."""
    scenario = Scenario(
        topology=Topology(kind="routed", family=family),
        client=ALIVE,
        faults=(LinkDown(on=on, at_s=0.5),),
    )
    (outcome,) = planner.make(scenario, machine()).expected
    assert (outcome.errno, outcome.probes, outcome.probes_seen) == (errno, (3, 3), seen)


def test_each_side_has_its_own_settings() -> None:
    """What is predicted is what `expect.side` sees with its socket's options."""
    scenario = Scenario(client=ALIVE, faults=(Blackhole(),), expect=Expect(side="server"))
    assert settings_of(scenario, "client").idle_s == 10
    assert not settings_of(scenario, "server").keepalive
    assert [outcome.kind for outcome in planner.make(scenario, machine()).expected] == ["quiet"]


def test_keepalive_true_means_the_defaults_of_linux() -> None:
    """2 hours, 75 seconds, 9 probes."""
    found = settings_of(Scenario(client=Endpoint(keepalive=True, user_timeout_s=1.5)), "client")
    assert (found.idle_s, found.interval_s, found.count, found.user_timeout_ms) == (
        7200,
        75,
        9,
        1500,
    )


# --- whether data must pass at the end ----------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "expectation", "echo"),
    [
        ((), {}, True),
        ((Blackhole(for_s=1),), {}, True),
        ((Blackhole(),), {}, False),
        ((Blackhole(direction="to-client"),), {}, False),
        ((FirewallIdle(timeout_s=60),), {}, True),
        ((ProcessFreeze(),), {}, False),
        ((ProcessFreeze(for_s=1),), {}, True),
        ((), {"outcome": "never"}, False),
        ((Blackhole(),), {"outcome": "survives"}, True),
    ],
)
def test_data_must_pass_where_that_is_claimed_or_nothing_stands_in_its_way(
    faults: tuple[Any, ...], expectation: dict[str, Any], *, echo: bool
) -> None:
    """A fault that lasts stands in its way, one that heals does not."""
    assert planned(*faults, **expectation).must_echo is echo


def test_nobody_asks_a_firewall_where_keepalive_is_off() -> None:
    """It may have forgotten the flow, and nothing tells."""
    assert not planned(FirewallIdle(timeout_s=60), client=Endpoint()).must_echo


# --- on disk ------------------------------------------------------------------------------------


@strategies.sweep(40, exhaustively=1000)
@given(strategies.scenarios(), st.sampled_from(strategies.KERNEL_HZS))
def test_any_sound_scenario_is_planned_or_refused_by_name(scenario: Scenario, hz: int) -> None:
    """Nothing but ScenarioError comes out, and that only where nothing is predicted."""
    faults = tuple(
        msgspec.structs.replace(fault, at_s=fault.at_s % 1000) for fault in scenario.faults
    )
    bound_s = None if scenario.expect.bound_s is None else min(scenario.expect.bound_s, 3600)
    expect = msgspec.structs.replace(scenario.expect, bound_s=bound_s)
    scenario = msgspec.structs.replace(scenario, faults=faults, expect=expect)
    assume(not any(problems(scenario)))
    try:
        made = planner.make(scenario, machine(hz, clock="virtual"))
    except ScenarioError as error:
        assert error.key.startswith("expect")  # noqa: PT017
        return
    assert made.watch_ns > 0
    assert (made.prediction is None) == (made.unpredictable is not None)


def test_two_keepalives_are_not_predicted_where_one_can_reach_the_other() -> None:
    """The other side's probes refresh a firewall, and its RST may pass a one-way cut: no model
    covers that.
    """

    def made(fault: Blackhole) -> Plan:
        claim = Expect(outcome="detected", errno="ETIMEDOUT", window_s=(10.0, 99.0))
        return planner.make(
            Scenario(name="x", client=ALIVE, server=ALIVE, faults=(fault,), expect=claim), machine()
        )

    assert made(Blackhole(direction="to-client")).unpredictable is not None
    assert made(Blackhole()).unpredictable is None
