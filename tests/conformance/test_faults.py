from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, suppress
from typing import Any, NamedTuple, get_args

import msgspec
import pytest
from pyroute2 import IPRoute

from harness.api.lab_session import Workbench
from harness.errors import FaultError, ScenarioError
from harness.faults import (
    FAULTS,
    AddressRemoved,
    AnyFault,
    Blackhole,
    CarrierLoss,
    CloseCrossesRequest,
    DataSwallowed,
    Delay,
    Duplicate,
    Failover,
    Fault,
    FinSwallowed,
    FirewallFlush,
    FirewallIdle,
    HostSuspend,
    IcmpReject,
    LinkDown,
    Loss,
    NatRebinding,
    NeighbourDeath,
    PeerReboot,
    PmtuBlackhole,
    ProcessFreeze,
    ProcessKill,
    ProxyDown,
    Rate,
    Reorder,
    Route,
    RstInjected,
    StopsReading,
    SynackDrop,
    SynDrop,
    ToxicBandwidth,
    ToxicLatency,
    ToxicLimitData,
    ToxicResetPeer,
    ToxicSlicer,
    ToxicSlowClose,
    ToxicTimeout,
)
from harness.faults.icmp import Code
from harness.faults.route import Becomes
from harness.faults.toxiproxy import Stream
from harness.lab import nftables
from harness.lab.netns_lab import NetnsLab
from harness.model.topology import FAMILIES, SIDES, Family, Kind, Side, Topology, layout, other
from harness.programs import tcp_endpoint
from tests.conformance.calls import foreseen
from tests.conformance.traces import network_untouched, nothing_held

pytestmark = pytest.mark.conformance

LABS: dict[str, Callable[[Kind, Family], AbstractContextManager[Workbench]]] = {"netns": Workbench}
TOPOLOGIES = tuple(
    Topology(kind=kind, family=family) for kind in get_args(Kind) for family in get_args(Family)
)
WHOLE = tuple(topology for topology in TOPOLOGIES if layout(topology).is_whole)
"""Those in which one end's TCP is the other's peer."""
LOST_S = 0.05
"""How long data that must not come back is waited for: a hundred times the way there and back."""


class Case(NamedTuple):
    """A fault in a place where it may stand."""

    fault: AnyFault
    topology: Topology

    def __str__(self) -> str:
        fields = (
            self.fault.kind,
            *(str(getattr(self.fault, name)) for name in _PLACE if hasattr(self.fault, name)),
        )
        return f"{'-'.join(fields)}-{self.topology.kind}-{self.topology.family}".replace(
            "None-", ""
        )


_PLACE = (
    *("sequence", "on", "toward", "direction", "then", "code", "becomes", "to", "stream"),
    "announced",
)
_HOSTS = ("client", "switch", "router", "firewall-a", "firewall-b", "proxy", "server")


def _values() -> Iterator[AnyFault]:
    """Every fault in every place and direction, whether a topology has it or not."""
    for host in _HOSTS:
        yield from (
            Blackhole(on=host, direction=direction)
            for direction in ("both", "to-server", "to-client")
        )
        for kind in (CarrierLoss, LinkDown, NeighbourDeath):
            yield from (kind(on=host, toward=toward) for toward in (*_HOSTS, None))
        for becomes in get_args(Becomes):
            yield from (Route(on=host, becomes=becomes, to=to) for to in (*SIDES, None))
        for code in ("net-unreachable", "no-route"):
            yield from (
                IcmpReject(on=host, code=code, direction=direction)
                for direction in ("to-server", "to-client")
            )
        yield from (FirewallIdle(timeout_s=1, then=then, on=host) for then in ("drop", "reset"))
        yield from (FirewallFlush(then=then, on=host) for then in ("drop", "reset"))
    yield from (NatRebinding(then=then) for then in ("drop", "reset"))
    yield from (Blackhole(direction=direction) for direction in ("both", "to-server", "to-client"))
    yield from (
        PmtuBlackhole(direction=direction) for direction in ("both", "to-server", "to-client")
    )
    yield from (IcmpReject(code=code) for code in get_args(Code))
    for side in SIDES:
        yield AddressRemoved(on=side)
        yield from (PeerReboot(on=side), ProcessKill(on=side), ProcessFreeze(on=side))
        yield from (
            Failover(on=side),
            HostSuspend(on=side),
            StopsReading(on=side),
        )  # see test_faults_of_hosts.py
    yield from (PeerReboot(on="proxy"), ProcessKill(on="proxy"), ProcessFreeze(on="proxy"))
    yield from _toxics()
    # What these do is in test_faults_of_segments.py.
    for way in ("both", "to-server", "to-client"):
        yield from (
            FinSwallowed(direction=way),
            Loss(percent=100, direction=way),
            Delay(delay_ms=1, direction=way),
        )
    yield from (
        Duplicate(percent=1),
        Reorder(percent=1, delay_ms=1),
        Rate(kbit_s=1),
        SynDrop(),
        SynackDrop(),
    )
    for side in SIDES:
        yield from (RstInjected(toward=side), CloseCrossesRequest(on=side))


def _toxics() -> Iterator[AnyFault]:
    """What these do is in test_faults_of_proxies.py."""
    yield ProxyDown()
    for stream in get_args(Stream):
        yield ToxicLatency(latency_ms=200, stream=stream)
        yield ToxicBandwidth(rate_kb_s=1, stream=stream)
        yield ToxicSlowClose(delay_ms=200, stream=stream)
        yield from (ToxicTimeout(timeout_ms=timeout_ms, stream=stream) for timeout_ms in (0, 200))
        yield ToxicResetPeer(timeout_ms=100, stream=stream)
        yield ToxicSlicer(average_bytes=2, delay_us=1000, stream=stream)
        yield ToxicLimitData(bytes=1, stream=stream)


SEEN_OTHERWISE = (PeerReboot, ProcessKill, Failover, HostSuspend, StopsReading, FinSwallowed)
"""Through a proxy the other end sees something else of these, but for those of the proxy itself:
scenarios/proxied.
"""


def _others(known: Collection[type[Fault]]) -> Iterator[Fault]:
    """Every fault that `_values` does not know, on each host that its key `on` can name."""
    for kind, fault in FAULTS.items():
        if fault in known or fault.of_containers or fault.of_guests:
            continue
        fields = [field.name for field in msgspec.structs.fields(fault)]
        for place in [{"on": host} for host in _HOSTS] if "on" in fields else [{}]:
            with suppress(msgspec.ValidationError):
                yield msgspec.convert({"kind": kind, **place}, fault)


def _cases() -> Iterator[Case]:
    """Where the topology has the place; what comes to the same thing only once."""
    values = [*_values()]
    values += _others({type(fault) for fault in values})
    for topology in TOPOLOGIES:
        where = layout(topology)
        seen = set()
        for fault in values:
            of_an_end = (
                isinstance(fault, SEEN_OTHERWISE) and getattr(fault, "on", None) != where.proxy
            )
            if list(fault.misplaced(where)) or (of_an_end and not where.is_whole):
                continue
            same: object = fault
            if isinstance(fault, Blackhole):
                same = fault.places(where)
            elif isinstance(fault, LinkDown | CarrierLoss | NeighbourDeath):
                same = (fault.on, fault.toward or where.host(fault.on).interfaces[0].toward)
            elif isinstance(fault, Route):
                same = (
                    fault.on,
                    fault.becomes,
                    fault.to or {"client": "server", "server": "client"}[fault.on],
                )
            if (type(fault), same) not in seen:
                seen.add((type(fault), same))
                yield Case(fault, topology)


CASES = tuple(_cases())
WITHOUT_TEST = tuple(type(fault) for fault in _others({type(fault) for fault in _values()}))
"""Faults that have no test of their own here."""


def of(*kinds: type[AnyFault]) -> pytest.MarkDecorator:
    """Parametrise with the cases of some faults."""
    chosen = [case for case in CASES if isinstance(case.fault, kinds)]
    return pytest.mark.parametrize(
        "case", [pytest.param(case, marks=needs(case.topology)) for case in chosen], ids=str
    )


def needs(topology: Topology) -> tuple[pytest.MarkDecorator, ...]:
    """What a test in a topology cannot do without."""
    return (
        (pytest.mark.needs("toxiproxy-server"),)
        if layout(topology).proxied_by == "toxiproxy"
        else ()
    )


@pytest.fixture(params=LABS)
def build(
    request: pytest.FixtureRequest,
) -> Callable[[Kind, Family], AbstractContextManager[Workbench]]:
    """A workbench over each lab there is."""
    return LABS[request.param]


@pytest.fixture
def bench(
    build: Callable[[Kind, Family], AbstractContextManager[Workbench]], case: Case
) -> Iterator[Workbench]:
    """A workbench in the case's topology, which leaves nothing behind."""
    with nothing_held(), build(case.topology.kind, case.topology.family) as built:
        yield built


@pytest.fixture(scope="module", autouse=True)
def _untouched() -> Iterator[None]:
    """No fault touches the network that the tests run in."""
    with network_untouched():
        yield


def test_no_fault_is_missing() -> None:
    """Every fault that a scenario can name has its cases, in both families."""
    tested = {(type(case.fault), case.topology.family) for case in CASES}
    kinds = [
        fault
        for fault in FAULTS.values()
        # see test_faults_in_containers.py, test_faults_of_guests.py and test_faults_of_the_relay.py
        if not (fault.of_containers or fault.of_guests or fault is DataSwallowed)
    ]
    assert tested == {(fault, family) for fault in kinds for family in get_args(Family)}


@of(LinkDown if not WITHOUT_TEST else WITHOUT_TEST[0], *WITHOUT_TEST)
def test_any_fault_leaves_evidence_and_heals(bench: Workbench, case: Case) -> None:
    """What has no test of its own, or else one fault that has."""
    leaves_evidence_and_heals(bench, case.fault)


def leaves_evidence_and_heals(bench: Workbench, fault: AnyFault) -> None:
    """It is there while it is injected, and what does not last leaves the hosts' networks as they
    were.
    """
    link = bench.connect(processes=fault.processes(), observe=bystander(fault))
    link.echo()
    before = configuration(bench)
    with fault.inject(bench.lab) as evidence:
        bench.loop.capture(bench.lab)
        link.echo(LOST_S)
        assert evidence().level != "none", evidence().found
    if not fault.lasting and not isinstance(fault, FirewallIdle):
        assert configuration(bench) == before


def bystander(fault: AnyFault) -> Side:
    """An end that goes on, whatever happens to the other."""
    return "server" if getattr(fault, "on", None) == "client" else "client"


@of(Blackhole)
def test_blackhole_bites_and_heals(bench: Workbench, case: Case) -> None:
    """In place until a packet meets it, then bit.

    What was swallowed is sent again after healing.
    """
    link = bench.connect()
    assert link.echo()
    with case.fault.inject(bench.lab) as evidence:
        assert evidence().level == "in-place"
        assert not link.echo(LOST_S)
        assert evidence().level == "bit"
    assert link.echo()


def test_both_ways_are_cut_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """On one host in the middle, and opened at once: nothing passes one way while its answer is
    lost.
    """
    transactions: list[tuple[dict[str, Any], ...]] = []

    def run(*commands: dict[str, Any]) -> list[dict[str, Any]]:
        transactions.append(commands)
        return kept(*commands)

    kept = nftables.run
    with NetnsLab(Topology(kind="routed")) as lab:
        monkeypatch.setattr(nftables, "run", run)
        with Blackhole().inject(lab):
            (added,) = transactions
        assert len(transactions) == 2
    assert sum("chain" in command["add"] for command in added) == 2


@of(AddressRemoved, CarrierLoss, LinkDown, Route)
def test_what_cuts_a_host_off_bites_and_heals(bench: Workbench, case: Case) -> None:
    """Cut off at once, and nothing passes.

    Afterwards every host has what it had, and everything does.
    """
    link = bench.connect()
    assert link.echo()
    before = configuration(bench)
    with case.fault.inject(bench.lab) as evidence:
        assert evidence().level == "bit"
        assert not link.echo(LOST_S)
    assert configuration(bench) == before
    assert link.echo()


@of(IcmpReject, NeighbourDeath)
def test_what_must_be_met_bites_and_heals(bench: Workbench, case: Case) -> None:
    """In place until a segment meets it, then bit.

    Afterwards every host has what it had, and everything passes.
    """
    link = bench.connect()
    assert link.echo()
    before = configuration(bench)
    with case.fault.inject(bench.lab) as evidence:
        assert evidence().level == "in-place"
        assert not link.echo(LOST_S)
        assert evidence().level == "bit"
        assert link.wait(within_s=0).kind == "quiet"
    assert configuration(bench) == before
    assert link.echo()


@of(PmtuBlackhole)
def test_only_big_packets_vanish(bench: Workbench, case: Case) -> None:
    """What is small passes, what is big does not, until it heals."""
    assert isinstance(case.fault, PmtuBlackhole)
    link = bench.connect()
    before = configuration(bench)
    with case.fault.inject(bench.lab) as evidence:
        assert link.echo()
        for side in SIDES:
            assert big_one_arrives(bench, side) is (
                case.fault.direction not in ("both", f"to-{side}")
            )
        assert evidence().level == "bit"
    assert configuration(bench) == before
    assert all(big_one_arrives(bench, side) for side in SIDES)


def big_one_arrives(bench: Workbench, side: Side) -> bool:
    """Whether a datagram of 1,400 bytes that must not be fragmented reaches an end."""
    family = FAMILIES[bench.topology.family]
    sender = bench.host(other(side))
    with (
        bench.host(side).socket(family, socket.SOCK_DGRAM) as inbox,
        sender.socket(family, socket.SOCK_DGRAM) as outbox,
    ):
        inbox.bind((bench.address(side), 0))
        inbox.settimeout(LOST_S)
        outbox.setsockopt(
            *((socket.IPPROTO_IP, 10) if family == socket.AF_INET else (socket.IPPROTO_IPV6, 23)), 3
        )
        outbox.sendto(bytes(1400), (bench.address(side), inbox.getsockname()[1]))
        try:
            return len(inbox.recv(2000)) == 1400
        except TimeoutError:
            return False


def configuration(bench: Workbench) -> dict[str, object]:
    """The addresses, routes and pinned neighbours of every host."""
    found: dict[str, object] = {}
    for name in bench.lab.layout.host_names:
        with bench.host(name).entered(), IPRoute() as ipr:
            addresses = [
                (m["index"], m["prefixlen"], m.get_attr("IFA_ADDRESS")) for m in ipr.get_addr()
            ]
            keys = (
                "RTA_DST",
                "RTA_GATEWAY",
                "RTA_OIF",
                "RTA_PREFSRC",
                "RTA_PRIORITY",
                "RTA_METRICS",
            )
            routes = [
                (
                    m["family"],
                    m["dst_len"],
                    m["proto"],
                    m["type"],
                    *(m.get_attr(key) for key in keys),
                )
                for m in ipr.get_routes(table=254)
                if m.get_attr("RTA_DST") != "fe80::"  # comes and goes with link-local addresses
            ]
            pinned = [
                (m["ifindex"], m.get_attr("NDA_DST"), m.get_attr("NDA_LLADDR"))
                for m in ipr.get_neighbours()
                if m["state"] & 0x80 and m["family"] != socket.AF_BRIDGE
            ]
        found[name] = tuple(sorted(rows, key=repr) for rows in (addresses, routes, pinned))
    return found


@of(FirewallIdle)
def test_firewall_bites_and_heals(bench: Workbench, case: Case) -> None:
    """It sees a flow, forgets it after its timeout and not before, and lets everything pass when it
    is gone.
    """
    assert isinstance(case.fault, FirewallIdle)
    with case.fault.inject(bench.lab) as evidence:
        assert evidence().level == "none"
        link = bench.connect()
        assert link.echo()
        assert evidence().level == "in-place"
        time.sleep(case.fault.limit_s)
        assert not link.echo(LOST_S)
        assert evidence().level == "bit"
    if case.fault.then == "drop":
        assert link.echo()
    else:
        assert link.wait(within_s=0).errno == "ECONNRESET"
    fresh = bench.connect()
    assert fresh.echo()


@of(FirewallFlush)
def test_flush_bites_and_heals(bench: Workbench, case: Case) -> None:
    """What had passed finds no state at once.

    What is new passes, and so does everything when it is healed.
    """
    assert isinstance(case.fault, FirewallFlush)
    link = bench.connect()
    assert link.echo()
    with case.fault.inject(bench.lab) as evidence:
        assert evidence().level == "bit"
        assert not link.echo(LOST_S)
        assert "1 flow dropped, 0 left" in evidence().found
        assert bench.connect().echo()
    if case.fault.then == "drop":
        assert link.echo()
    else:
        assert link.wait(within_s=0).errno == "ECONNRESET"


@of(NatRebinding)
def test_rebinding_bites(bench: Workbench, case: Case) -> None:
    """The client's next packet comes from another port, and the server resets what it does not
    know.
    """
    link = bench.connect()
    assert link.echo()
    with case.fault.inject(bench.lab) as evidence:
        assert evidence().level == "bit"
        assert not link.echo(LOST_S)
        assert link.wait(within_s=0).errno == "ECONNRESET"
        assert bench.connect().echo()
    assert bench.connect().echo()


@of(PeerReboot)
def test_reboot_bites(bench: Workbench, case: Case) -> None:
    """The host is another one at once, and answers what it no longer knows with RST."""
    assert isinstance(case.fault, PeerReboot)
    observer = other(case.fault.on)
    link = bench.connect(observe=observer)
    assert link.echo()
    with bench.inject(case.fault) as injection:
        assert injection.gather().level == "bit"
        survivor = link._connection.ends[observer]
        assert isinstance(survivor, tcp_endpoint.Endpoint)
        survivor.sock.send(b"still there?")
        assert link.wait(within_s=2).errno == "ECONNRESET"


@of(ProcessKill)
def test_kill_bites(bench: Workbench, case: Case) -> None:
    """The program is gone at once, and its kernel says so."""
    assert isinstance(case.fault, ProcessKill)
    link = bench.connect(observe=other(case.fault.on), processes=case.fault.processes())
    assert link.wait(within_s=0).kind == "quiet"
    with bench.inject(case.fault) as injection:
        assert injection.gather().level == "bit"
        expected, seen = link.predict(), link.wait()
    assert seen.kind == "eof"
    assert foreseen(seen, expected)


@of(ProcessFreeze)
def test_freeze_bites_and_heals(bench: Workbench, case: Case) -> None:
    """The program stands still, its connection stays, and it goes on where it was."""
    assert isinstance(case.fault, ProcessFreeze)
    link = bench.connect(observe=other(case.fault.on), processes=case.fault.processes())
    assert link.echo()
    with case.fault.inject(bench.lab) as evidence:
        assert evidence().level == "bit"
        assert not link.echo(LOST_S)
        assert link.wait(within_s=0).kind == "quiet"
    assert link.echo()


@pytest.mark.parametrize(
    "case",
    [
        Case(fault, Topology(kind="routed", family="ipv6"))
        for fault in (
            Blackhole(),
            LinkDown(on="client"),
            LinkDown(on="router", toward="server"),
            ProcessFreeze(),
        )
    ],
    ids=str,
)
def test_heals_when_the_block_fails(bench: Workbench, case: Case) -> None:
    """An error inside of the block is not replaced, and the fault is healed all the same."""
    link = bench.connect(processes=case.fault.processes())
    with pytest.raises(ZeroDivisionError), bench.inject(case.fault):
        raise ZeroDivisionError
    assert link.echo()


@pytest.mark.parametrize("case", [Case(Blackhole(), Topology())], ids=str)
def test_no_evidence_is_an_error(bench: Workbench, case: Case) -> None:
    """A fault that met nothing until it was healed is reported, not passed over."""
    with pytest.raises(FaultError, match="0 packets dropped"), bench.inject(case.fault):
        pass


@pytest.mark.parametrize("topology", TOPOLOGIES, ids=str)
def test_misplaced_faults_are_refused(topology: Topology) -> None:
    """What has no place in a topology is refused with the key and what would be accepted, before
    anything is built.
    """
    where = layout(topology)
    bench = Workbench(topology.kind, topology.family)
    refused = [fault for fault in _values() if list(fault.misplaced(where))]
    assert refused
    for fault in refused:
        with (
            pytest.raises(ScenarioError, match=r"faults\[0\]\.\w+: expected .+, found"),
            bench.inject(fault),
        ):
            pass
