"""Commands of which nothing is claimed, on both clocks: all that they do is written down."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from harness.faults import Blackhole
from harness.judge.result import Result
from harness.model.programs import Command, Detects
from harness.model.topology import SIDES, Side, Topology
from harness.plan.local_machine import local_machine
from harness.plan.planner import make
from harness.scenario.schema import Endpoint, Expect, Scenario
from harness.system import kernel_clock
from harness.timeline import Event
from harness.venue import uml
from harness.venue.kernel import Kernel
from tests.running import in_guests, undisturbed

pytestmark = [pytest.mark.conformance]

CLIENT = """
import os, socket, sys, time
def connect():
    sock = socket.create_connection((os.environ["HARNESS_SERVER"], int(os.environ["HARNESS_PORT"])))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 50 + tries)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30000)
    sock.settimeout(0.5)
    return sock
tries, way = 1, sys.argv[1]
sock = connect()
for number, line in enumerate(sys.stdin):
    if way == "exits" and number:
        sys.exit(7)
    try:
        sock.send(line.encode())
        print("pong", sock.recv(100), flush=True)
    except OSError as error:
        print("lost", type(error).__name__, flush=True)
        sock.close()
        tries += 1
        sock = connect()
"""
SERVER = """
import os, socket, sys, threading
listener = socket.create_server(("", int(os.environ["HARNESS_PORT"])))
def echo(sock):
    while data := sock.recv(100):
        sock.send(data)
    if sys.argv[1] == "exits":
        os._exit(8)
while True:
    threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()
"""
INPUT: dict[str, Any] = {"input": "ping\n", "input_every_s": 0.3}


def scenario(name: str, client: Command, server: str, *faults: Blackhole) -> Scenario:
    """Watched for three seconds."""
    return Scenario(
        name=name,
        topology=Topology(kind="routed"),
        client=Endpoint(command=client),
        server=Endpoint(command=Command(argv=("{python}", "-c", SERVER, server))),
        faults=faults,
        expect=Expect(outcome="any", bound_s=3),
    )


def client(way: str, **settings: Any) -> Command:
    """Writes each line of its input to the server, and waits half a second for an answer."""
    return Command(argv=("{python}", "-c", CLIENT, way), **settings)


SCENARIOS = (
    # A ping every 0.3 s: one at 0.6 s at the latest is lost, and given up half a second later.
    scenario(
        "reconnects",
        client("reconnects", detects=Detects(prints="^lost (.*)"), **INPUT),
        "stays",
        Blackhole(at_s=0.4, for_s=0.9),
    ),
    # The client ends at its second ping, and the server with the connection.
    scenario("both-end", client("exits", **INPUT), "exits", Blackhole(at_s=2.5)),
)


@pytest.mark.skipif(
    kernel_clock.clock() == "virtual", reason="in a guest it is test_in_virtual_time"
)
def test_in_real_time(tmp_path: Path) -> None:
    """On this kernel."""
    plans = [make(each, local_machine()) for each in SCENARIOS]
    _check(undisturbed(plans, tmp_path))


@pytest.mark.virtual
def test_in_virtual_time(tmp_path: Path, kernel: Kernel) -> None:
    """In one guest."""
    plans = [make(each, uml.machine(kernel)) for each in SCENARIOS]
    _check(in_guests(plans, tmp_path, kernel))


def _check(results: Iterable[Result]) -> None:
    known = {result.plan.name: result for result in results}
    assert not [each for result in known.values() for each in of(result, "run.broken")]
    _check_reconnects(known["reconnects"])
    _check_both_end(known["both-end"])


def of(result: Result, kind: str, side: Side | None = None, **data: object) -> list[Event]:
    """The events of one kind, of one side or both, with these data."""
    return [
        event
        for event in result.events
        if event.kind == kind
        and (side is None or event.source == side)
        and data.items() <= event.data.items()
    ]


def _check_reconnects(result: Result) -> None:
    """The client says so, closes, and connects anew; the server keeps what it has lost."""
    signs = [event.data["how"] for event in of(result, "subject.sign", "client")]
    assert signs[0] == "output"
    assert sorted(signs[1:3]) == ["close", "reconnect"]
    (lost,) = of(result, "subject.sign", "client", how="output")
    assert lost.data["reports"] == "TimeoutError"
    assert not of(result, "subject.sign", "server", how="exit")
    (client,), (server,) = (of(result, "subject.reconnected", side) for side in SIDES)
    assert client.data["local"] == server.data["remote"]
    (armed,) = of(result, "subject.settings", "client", when="armed")
    (ended,) = of(result, "subject.settings", "client", when="end")
    assert (armed.data["idle_s"], ended.data["idle_s"]) == (51, 52)
    assert ended.data["local"] == client.data["local"]
    assert ended.data["user_timeout_ms"] == 30000
    assert [event.data["keepalive"] for event in (armed, ended)] == [True, True]
    (of_client,), (of_server,) = (of(result, "subject.left", side) for side in SIDES)
    assert len(of_client.data["processes"]) == len(of_server.data["processes"]) == 1
    held = [each for each in of_client.data["sockets"] if each["held"]]
    assert [each["local"] for each in held] == [client.data["local"]]
    assert server.data["local"] in [each["local"] for each in of_server.data["sockets"]]


def _check_both_end(result: Result) -> None:
    """Before the fault, and the run does not go on without them."""
    ends = {side: of(result, "subject.sign", side, how="exit") for side in SIDES}
    assert [event.data["found"] for event in ends["client"]] == ["status 7"]
    assert [event.data["found"] for event in ends["server"]] == ["status 8"]
    assert not of(result, "fault.injected")
    (ended,) = of(result, "run.ended")
    (armed,) = of(result, "subject.armed", "client")
    assert ended.t_ns - armed.t_ns < 2_400_000_000
    for event in of(result, "subject.left"):
        assert event.data["processes"] == []
