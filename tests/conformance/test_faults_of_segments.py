"""Single segments forged or swallowed, and paths of poor quality: what each does, proves and leaves
behind.
"""

from __future__ import annotations

import socket
import struct
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from harness.api.lab_session import Workbench
from harness.capabilities import netem
from harness.errors import CapabilityError, FaultError
from harness.faults import (
    AnyFault,
    Blackhole,
    CloseCrossesRequest,
    Delay,
    Duplicate,
    FinSwallowed,
    Loss,
    ProcessKill,
    Rate,
    Reorder,
    RstInjected,
    SynackDrop,
    SynDrop,
)
from harness.faults.blackhole import Direction
from harness.model.programs import Command, Detects, Ready
from harness.model.topology import FAMILIES, SIDES, Side, Topology, layout, other
from harness.scenario.schema import Endpoint
from tests.conformance.calls import PATIENCE_S, foreseen
from tests.conformance.test_faults import LOST_S, WHOLE, Case, _untouched, bench, build

__all__ = ["_untouched", "bench", "build"]

pytestmark = pytest.mark.conformance

WAYS: tuple[Direction, ...] = ("both", "to-server", "to-client")
DELAY_S = 0.02
RETRANSMITTED_S = 0.5
"""A FIN that is not acknowledged is sent twice more within that time: TCP_RTO_MIN is 0.2 s."""
SETTLES_NS = 20_000_000


def everywhere(values: Sequence[AnyFault]) -> pytest.MarkDecorator:
    """Parametrise with faults in every topology that takes them."""
    cases = [
        Case(fault, topology)
        for topology in WHOLE
        for fault in values
        if not list(fault.misplaced(layout(topology)))
    ]
    return pytest.mark.parametrize("case", cases, ids=str)


@everywhere([RstInjected(toward=side) for side in SIDES])
def test_an_rst_with_the_right_number_resets(bench: Workbench, case: Case) -> None:
    """At once, as foreseen; the other side lives until it says something."""
    assert isinstance(case.fault, RstInjected)
    link = bench.connect(observe=case.fault.toward)
    with bench.inject(case.fault):
        seen = link.wait(within_s=2)
        assert seen.errno == "ECONNRESET"
        assert foreseen(seen, link.predict())
        assert other(case.fault.toward) not in link._connection.noticed


@everywhere(
    [RstInjected(sequence=place) for place in ("in-window", "below-window", "beyond-window")]
)
def test_an_rst_with_another_number_does_nothing(bench: Workbench, case: Case) -> None:
    """It arrives, which is proven, and the connection lives."""
    assert isinstance(case.fault, RstInjected)
    link = bench.connect(observe=case.fault.toward)
    with bench.inject(case.fault) as injection:
        assert link.wait(within_s=LOST_S).kind == "quiet"
        assert ("challenge ACK" in injection.gather().found) == (case.fault.sequence == "in-window")
    assert link.echo()


CROSSINGS = [
    *(Case(CloseCrossesRequest(), topology) for topology in WHOLE),
    Case(CloseCrossesRequest(on="client"), Topology(kind="direct")),
    Case(CloseCrossesRequest(on="client"), Topology(kind="nat", family="ipv6")),
]


@pytest.mark.parametrize("case", CROSSINGS, ids=str)
def test_a_request_crosses_the_close(bench: Workbench, case: Case) -> None:
    """The FIN waits, however often it is sent, until the other side has sent; RST is behind it."""
    assert isinstance(case.fault, CloseCrossesRequest)
    on, survivor = case.fault.on, other(case.fault.on)
    link = bench.connect(observe=survivor, processes={on})
    assert link.echo()
    with case.fault.inject(bench.lab) as evidence:
        assert link.echo()
        with ProcessKill(on=on).inject(bench.lab):
            assert link.wait(within_s=RETRANSMITTED_S).kind == "quiet"
            assert evidence().level == "in-place"
            assert evidence().found == "a FIN was held back, and no data has crossed it"
            assert link._connection.ends[survivor].say()
            assert link.wait(within_s=2).kind == "eof"
            bench.loop.wait(time.monotonic_ns() + SETTLES_NS)
            assert evidence().level == "bit"
            assert evidence().found == "1 FIN crossed by data"
    arrived = [
        event.data["role"]
        for event in bench.timeline.events
        if event.kind == "segment"
        and (event.data["host"], event.data["way"]) == (survivor, "in")
        and event.data["role"] in ("fin", "rst")
    ]
    # Where the ends are wired directly, what is dropped is dropped at this host, and captured.
    assert (arrived[-2:] if case.topology.kind == "direct" else arrived) == ["fin", "rst"]


@pytest.mark.parametrize("case", [CROSSINGS[0], CROSSINGS[-1]], ids=str)
def test_a_close_that_nothing_crosses_comes_late(bench: Workbench, case: Case) -> None:
    """When the fault is removed; and RST without a FIN is not held."""
    assert isinstance(case.fault, CloseCrossesRequest)
    on, survivor = case.fault.on, other(case.fault.on)
    link = bench.connect(observe=survivor, processes={on})
    with case.fault.inject(bench.lab) as evidence, reset_by(bench, on) as survives:
        assert survives.recv(1) == b"r"
        with pytest.raises(ConnectionResetError):
            survives.recv(1)
        bench.host(on).program.kill()
        assert link.wait(within_s=LOST_S).kind == "quiet"
        assert evidence().level == "in-place"
    assert link.wait(within_s=2).kind == "eof"


HTTP_SERVER = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Empty(BaseHTTPRequestHandler):
    protocol_version, timeout = "HTTP/1.1", 5
    def do_GET(self):
        self.send_response(204)
        self.end_headers()

HTTPServer(("", int(os.environ["HARNESS_PORT"])), Empty).serve_forever()
"""
HTTP_CLIENT = """
import http.client, os, time
kept = http.client.HTTPConnection(os.environ["HARNESS_SERVER"], int(os.environ["HARNESS_PORT"]))
for pause in (1, 8):
    kept.request("GET", "/")
    kept.getresponse().read()
    print("answered", flush=True)
    time.sleep(pause)
try:
    kept.request("GET", "/")
    kept.getresponse()
except OSError as error:
    print("lost:", type(error).__name__, flush=True)
time.sleep(1000)
"""


@pytest.mark.timed
def test_a_request_crosses_the_close_of_any_server() -> None:
    """Here of an HTTP server that closes what is idle for 5 s, and is asked again after 8 s."""
    server = Command(argv=("{python}", "-c", HTTP_SERVER), ready=Ready(listens=True))
    client = Command(
        argv=("{python}", "-c", HTTP_CLIENT),
        ready=Ready(prints="^answered"),
        detects=Detects(prints="^lost: (.*)"),
    )
    with Workbench("routed") as bench:
        link = bench.connect(client=Endpoint(command=client), server=Endpoint(command=server))
        with bench.inject(CloseCrossesRequest()):
            seen = link.wait(within_s=20)
    assert (seen.kind, seen.reports) == ("noticed", "RemoteDisconnected")
    moments: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for event in bench.timeline.events:
        if event.kind == "segment":
            moments[event.data["host"], event.data["way"], event.data["role"]].append(event.t_ns)
    asked_ns = moments["client", "out", "data"][-1]
    assert moments["server", "out", "fin"][0] < asked_ns <= moments["client", "in", "fin"][0]


@contextmanager
def reset_by(bench: Workbench, on: Side) -> Iterator[socket.socket]:
    """The other end of a connection that a side closes with RST, after one octet."""
    family = FAMILIES[bench.topology.family]
    with (
        bench.host("server").socket(family) as listener,
        bench.host("client").socket(family) as client,
    ):
        listener.bind((bench.address("server"), 0))
        listener.listen()
        for each in (listener, client):
            each.settimeout(PATIENCE_S)
        client.connect(listener.getsockname()[:2])
        with listener.accept()[0] as server:
            server.settimeout(PATIENCE_S)
            closing, survives = (server, client) if on == "server" else (client, server)
            closing.send(b"r")
            closing.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            closing.close()
            yield survives


@pytest.mark.parametrize("case", [Case(CloseCrossesRequest(), Topology())], ids=str)
def test_a_program_that_has_ended_holds_nothing(bench: Workbench, case: Case) -> None:
    """It is no evidence, and there is nothing to let go."""
    bench.connect()
    with case.fault.inject(bench.lab) as evidence:
        (holder,) = (each for each in bench.host("server").programs if each.name == "FIN holder")
        holder.kill()
        assert (evidence().level, evidence().found) == ("none", "FIN holder has ended")


@pytest.mark.parametrize("case", [Case(RstInjected(toward="server"), Topology())], ids=str)
def test_an_rst_needs_a_number(bench: Workbench, case: Case) -> None:
    """Without a connection, or with data on its way, nothing is sent, and the error says why."""
    with pytest.raises(FaultError, match="found none"), case.fault.inject(bench.lab):
        pass
    link = bench.connect()
    with Blackhole(on="server", direction="to-server").inject(bench.lab):
        link.echo(LOST_S)
        with pytest.raises(FaultError, match="octets that are not"), case.fault.inject(bench.lab):
            pass


@everywhere([FinSwallowed(direction=way) for way in WAYS])
def test_fins_are_swallowed_until_it_heals(bench: Workbench, case: Case) -> None:
    """A killed program seems to live; a FIN that is sent again after healing ends the stream."""
    assert isinstance(case.fault, FinSwallowed)
    dying: Side = "client" if case.fault.direction == "to-server" else "server"
    link = bench.connect(observe=other(dying), processes={dying})
    with bench.inject(case.fault):
        bench.host(dying).program.kill()
        assert link.wait(within_s=LOST_S).kind == "quiet"
    assert link.wait(within_s=2).kind == "eof"


@everywhere([SynDrop(), SynackDrop()])
def test_no_new_connection_is_made(bench: Workbench, case: Case) -> None:
    """Not while it lasts, whoever tries; one that stands goes on."""
    link = bench.connect()
    family, address = FAMILIES[case.topology.family], bench.address("server")
    with (
        bench.host("server").socket(family) as listener,
        bench.host("client").socket(family) as caller,
    ):
        listener.bind((address, 0))
        listener.listen()
        caller.settimeout(LOST_S)
        with bench.inject(case.fault) as injection:
            with pytest.raises(TimeoutError):
                caller.connect((address, listener.getsockname()[1]))
            assert "our own" not in injection.gather().found
            assert link.echo()
        with bench.host("client").socket(family) as again:
            again.settimeout(2)
            again.connect((address, listener.getsockname()[1]))


@pytest.mark.parametrize(
    "case",
    [Case(fault, topology) for topology in WHOLE for fault in (SynDrop(), SynackDrop())],
    ids=str,
)
def test_an_attempt_of_our_own_proves_it(bench: Workbench, case: Case) -> None:
    """Where nobody tries to connect, so that an idle connection's survival can be shown."""
    with bench.inject(case.fault) as injection:
        assert "1 SYN" in injection.gather().found
        assert "of an attempt of our own" in injection.gather().found


@everywhere([Loss(percent=100, direction=way) for way in WAYS])
def test_all_is_lost(bench: Workbench, case: Case) -> None:
    """What was lost is sent again after healing."""
    link = bench.connect()
    assert link.echo()
    with bench.inject(case.fault) as injection:
        assert not link.echo(LOST_S)
        assert "by nftables, nothing is left to chance" in injection.gather().found
    assert link.echo()


@pytest.mark.parametrize(
    "case", [Case(Loss(percent=50), Topology(kind=kind)) for kind in ("routed", "switched")]
)
def test_some_is_lost(bench: Workbench, case: Case) -> None:
    """Some of two hundred segments, not all of them.

    With netem, which takes the seed, and without.
    """
    arrived = 0
    with (
        bench.inject(case.fault) as injection,
        bench.host("server").socket(socket.AF_INET, socket.SOCK_DGRAM),
    ):
        for _ in range(40):
            arrived += _answered(bench)
        assert ("seed 1" in injection.gather().found) == netem().available
    assert 0 < arrived < 40


def _answered(bench: Workbench) -> bool:
    """Whether a SYN to a port where nobody listens, and the RST that answers it, both arrive."""
    with bench.host("client").socket(socket.AF_INET) as caller:
        caller.settimeout(0.01)
        try:
            caller.connect((bench.address("server"), 9))
        except ConnectionRefusedError:
            return True
        except TimeoutError:
            return False
    return False


NETEM: tuple[tuple[AnyFault, float], ...] = (
    *(
        (Delay(delay_ms=DELAY_S * 1000, direction=way), DELAY_S * (2 if way == "both" else 1))
        for way in WAYS
    ),
    (Delay(delay_ms=DELAY_S * 1000, jitter_ms=5), 2 * DELAY_S - 0.01),
    (Duplicate(percent=100), 0.0),
    (Reorder(percent=100, delay_ms=1), 0.0),
    (Rate(kbit_s=16), 2 * 66 * 8 / 16_000),
)
LEAST_S = dict(NETEM)


@everywhere([fault for fault, _ in NETEM])
def test_netem_bites_and_heals(bench: Workbench, case: Case) -> None:
    """Segments pass all the same, not sooner than they may.

    Where the kernel has no netem the error says so.
    """
    link = bench.connect()
    assert link.echo()
    if not netem().available:
        with (
            pytest.raises(CapabilityError, match="CONFIG_NET_SCH_NETEM"),
            case.fault.inject(bench.lab),
        ):
            pass
        return
    with case.fault.inject(bench.lab) as evidence:
        assert evidence().level == "in-place"
        started = time.monotonic()
        assert link.echo()
        assert time.monotonic() - started >= LEAST_S[case.fault]
        assert evidence().level == "bit"
    assert link.echo()


@pytest.mark.parametrize("case", [Case(Delay(delay_ms=1), Topology())], ids=str)
def test_one_queue_at_a_time(bench: Workbench, case: Case) -> None:
    """A second fault of quality in the same place is refused, and the first one stays."""
    if not netem().available:
        return  # as test_netem_bites_and_heals shows, the first one is refused then
    link = bench.connect()
    with case.fault.inject(bench.lab) as evidence:
        with (
            pytest.raises(FaultError, match="one quality fault at a time"),
            Rate(kbit_s=1).inject(bench.lab),
        ):
            pass
        assert link.echo()
        assert evidence().level == "bit"
