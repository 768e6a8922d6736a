"""Any command as a subject, and a proxy in between, on both clocks: what is detected, how, and what
cannot be judged.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.faults import (
    Blackhole,
    FirewallIdle,
    LinkDown,
    PeerReboot,
    ProcessFreeze,
    ProcessKill,
    Route,
)
from harness.judge.result import Result
from harness.model.programs import Alive, Command, Detects, OwnProxy, Ready, Standby
from harness.model.topology import Topology
from harness.plan.local_machine import local_machine
from harness.plan.planner import make
from harness.programs import tcp_relay
from harness.scenario.schema import Endpoint, Expect, Keepalive, Scenario
from harness.venue import uml
from harness.venue.kernel import Kernel
from tests.conformance.traces import network_untouched
from tests.running import in_guests, undisturbed

pytestmark = [pytest.mark.live]

CLIENT = """
import os, socket, sys, time
way, patience_s = sys.argv[1], float(sys.argv[2])
address = os.environ["HARNESS_SERVER"], int(os.environ["HARNESS_PORT"])
if way == "second":
    first = socket.create_connection(address)
try:
    sock = socket.create_connection(address, patience_s)
except OSError as error:
    print("lost", type(error).__name__, flush=True)
    time.sleep(1000)
sock.settimeout(patience_s)
print("connected", flush=True)
if way == "flood":
    while True:
        print("and so on")
if way in ("dies", "dies silently"):
    time.sleep(0.3)
    sys.exit("of its own accord" if way == "dies" else 0)
try:
    while sock.send(b"ping") and sock.recv(100):
        if way == "talks":
            print("pong", flush=True)
        time.sleep(0.2)
    found = "EOF"
except OSError as error:
    found = type(error).__name__
if way == "exits":
    sys.exit(7)
if way == "closes":
    sock.close()
if way == "reconnects":
    sock.close()
    time.sleep(0.5)
    socket.create_connection(address, 1)
if way == "turns":
    other = socket.create_connection((os.environ["HARNESS_ROUTER"], address[1]))
    print("turned to", other.getpeername()[0], flush=True)
while way == "returns":
    sock.close()
    time.sleep(0.2)
    try:
        sock = socket.create_connection(address, 1)
        break
    except OSError:
        pass
print("lost", found, flush=True)
time.sleep(1000)
"""
SERVER = """
import os, socket, threading
listener = socket.create_server(("", int(os.environ["HARNESS_PORT"])))
open(os.path.join(os.environ["HARNESS_SCRATCH"], "data"), "w").write("here")
def echo(sock):
    while data := sock.recv(100):
        sock.send(data)
while True:
    threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()
"""
WATCHFUL = """
import os, socket
listener = socket.create_server(("", int(os.environ["HARNESS_PORT"])))
connection = listener.accept()[0]
listener.close()
connection.settimeout(1.5)
try:
    while data := connection.recv(100):
        connection.send(data)
    found = "EOF"
except OSError as error:
    found = type(error).__name__
print("lost", found, flush=True)
"""
FAILS = """
import os, socket, time
connection = socket.create_server(("", int(os.environ["HARNESS_PORT"]))).accept()[0]
time.sleep(0.5)
raise SystemExit("of its own accord")
"""
ONCE = f"""
import os, time
if os.path.exists("been"):
    time.sleep(1000)
open("been", "w").close()
{SERVER}"""
LOST = Detects(prints="^lost (\\w+)")


def client(way: str = "tells", patience_s: float = 1.0, **settings: Any) -> Endpoint:
    """A program that pings five times a second and has so much patience."""
    command = {"ready": Ready(prints="^connected", within_s=20.0), "detects": LOST, **settings}
    return Endpoint(
        command=Command(argv=("{python}", "-c", CLIENT, way, str(patience_s)), **command)
    )


ECHO = Endpoint(
    command=Command(argv=("{python}", "-c", SERVER), ready=Ready(listens=True, within_s=20.0))
)
WATCHER = Endpoint(
    command=Command(
        argv=("{python}", "-c", WATCHFUL), ready=Ready(listens=True, within_s=20.0), detects=LOST
    )
)
"""A server that listens until it has its one connection, and gives that up 1.5 s after the last
data.
"""
assert ECHO.command is not None


def own_proxy(*words: str, **settings: Any) -> OwnProxy:
    """The harness's relay as a command, or another in its place."""
    argv = words or ("{python}", str(tcp_relay.__file__), "{proxy}", "{server}", "{port}")
    return OwnProxy(command=Command(argv=argv, **settings))


HOLE = (Blackhole(at_s=1.1),)
SOON = (0.9, 1.3)
"""Seconds from the fault: a ping is under way at most 0.2 s before it, and a second is waited for
an answer.
"""


def noticed(window_s: tuple[float, float] = SOON, **expect: Any) -> Expect:
    """What a program detects, in seconds from the fault."""
    return Expect(outcome="noticed", window_s=window_s, origin="fault", **expect)


JUDGED: dict[str, dict[str, Any]] = {
    "says so": {"client": client(), "faults": HOLE, "expect": noticed(reports="TimeoutError")},
    "ends": {
        "client": client("exits", detects=Detects(exits=True, status=7)),
        "faults": HOLE,
        "expect": noticed(reports="status 7"),
    },
    "closes": {
        "client": client("closes", detects=Detects(closes=True)),
        "faults": HOLE,
        "expect": noticed(),
    },
    "connects anew": {
        "client": client("reconnects", detects=Detects(reconnects=True)),
        "server": ECHO,
        "faults": (ProcessFreeze(at_s=1.1),),
        "expect": noticed((1.4, 1.8), reconnects_s=(0.0, 0.1)),
    },
    "sees its server killed": {
        "client": client(),
        "server": ECHO,
        "faults": (ProcessKill(at_s=1.1),),
        "expect": noticed((0.0, 0.3)),
    },
    "sees its server started again": {
        "client": client("returns", detects=Detects(reconnects=True)),
        "server": ECHO,
        "faults": (ProcessKill(at_s=0.5, for_s=0.6),),
        "expect": Expect(outcome="noticed", origin="healed", reconnects_s=(0.0, 1.0)),
    },
    "sees a new host in its place": {
        "client": client(),
        "server": ECHO,
        "faults": (PeerReboot(at_s=1.1),),
        "expect": noticed((0.0, 0.5), reports="ConnectionResetError"),
    },
    "server of an address with colons": {
        "topology": Topology(family="ipv6"),
        "client": client(),
        "faults": HOLE,
        "expect": noticed(),
    },
    "watched on its second connection": {
        "client": client("second", connection=2),
        "server": ECHO,
        "faults": HOLE,
        "expect": noticed(),
    },
    "server that detects nothing": {
        "client": Endpoint(keepalive=Keepalive(idle_s=1, interval_s=1, count=1)),
        "server": ECHO,
        "faults": (Blackhole(at_s=0.2),),
        "expect": Expect(outcome="detected", errno="ETIMEDOUT", window_s=(2.0, 2.2)),
    },
    "outlives a client that has ended": {
        "client": client("exits", 0.5, detects=Detects(prints="never said")),
        "server": WATCHER,
        "faults": HOLE,
        "expect": noticed((1.2, 1.7), side="server", reports="TimeoutError"),
    },
    "outlives a client that has detected it": {
        "client": client("exits", 0.5, detects=Detects(exits=True, status=7)),
        "server": WATCHER,
        "faults": HOLE,
        "expect": noticed((1.2, 1.7), side="server", reports="TimeoutError"),
    },
    "gets no answer while connecting": {
        "state": "connecting",
        "client": client(ready=Ready(within_s=20.0)),
        "faults": (Blackhole(at_s=0),),
        "expect": Expect(outcome="noticed", window_s=(0.9, 1.2), reports="TimeoutError"),
    },
    "has no route while connecting": {
        "state": "connecting",
        "client": client(ready=Ready(within_s=20.0)),
        "server": ECHO,
        "faults": (Route(on="client", becomes="unreachable", at_s=0),),
        "expect": Expect(outcome="noticed", window_s=(0.0, 2.0), reports="OSError"),
    },
    "ends while connecting": {
        "state": "connecting",
        "client": Endpoint(
            command=Command(
                argv=(
                    "{python}",
                    "-c",
                    "import socket; socket.create_connection(('{server}', int('{port}')), 0.5)",
                ),
                detects=Detects(exits=True, status=1),
            )
        ),
        "faults": (Blackhole(at_s=0),),
        "expect": Expect(outcome="noticed", window_s=(0.4, 0.8)),
    },
    "survives an outage": {
        "client": client("talks", 5.0, alive=Alive(prints="^pong", within_s=1.0)),
        "faults": (Blackhole(at_s=0.5, for_s=0.5),),
        "expect": Expect(outcome="survives", bound_s=3.5),
    },
    "known not to hold": {
        "client": client(),
        "faults": HOLE,
        "expect": noticed((0.0, 0.5)),
        "known_failure": "a second more",
    },
    "lives": {"client": client(), "expect": Expect(outcome="never", bound_s=2.0)},
    "is hidden by a proxy": {
        "topology": Topology(kind="proxied", proxy="relay"),
        "client": Endpoint(keepalive=Keepalive(idle_s=1, interval_s=1, count=1)),
        "faults": (LinkDown(on="server", at_s=0.2),),
        "expect": Expect(outcome="never", bound_s=3.0),
    },
    "is asked through a proxy": {
        "topology": Topology(kind="proxied", proxy="relay"),
        "client": client(),
        "server": ECHO,
        "faults": (LinkDown(on="server", at_s=1.1),),
        "expect": noticed(reports="TimeoutError"),
    },
    "is asked through a command as proxy": {
        "topology": Topology(kind="proxied"),
        "client": client(),
        "server": ECHO,
        "proxy": own_proxy(),
        "faults": (LinkDown(on="server", at_s=1.1),),
        "expect": noticed(reports="TimeoutError"),
    },
    "loses a command as proxy": {
        "topology": Topology(kind="proxied"),
        "client": client(),
        "server": ECHO,
        "proxy": own_proxy(),
        "faults": (ProcessKill(on="proxy", at_s=1.1),),
        "expect": noticed((0.0, 0.3)),
    },
    "turns to a second server": {
        "client": client("turns", detects=Detects(prints="^turned to (.*)")),
        "server": ECHO,
        "standby": Standby(on="router", command=ECHO.command),
        "faults": (ProcessKill(at_s=1.1),),
        "expect": noticed((0.0, 0.3), reports="10.77.1.254"),
    },
    "ends behind a proxy": {
        "topology": Topology(kind="proxied", proxy="relay", family="ipv6"),
        "faults": (ProcessKill(at_s=0.3),),
        "expect": Expect(outcome="eof", window_s=(0.0, 0.1), origin="fault"),
    },
    "answers through a proxy": {
        "topology": Topology(kind="proxied", proxy="relay"),
        "client": Endpoint(writes_at_s=(0.1,), write_bytes=200_000),
        "expect": Expect(outcome="survives", bound_s=1.0),
    },
}
REFUTED: dict[str, tuple[dict[str, Any], str]] = {
    "with another word": (
        {"client": client(), "faults": HOLE, "expect": noticed(reports="EOFError")},
        "expected a report of 'EOFError', found output: lost TimeoutError",
    ),
    "too late": (
        {"client": client(), "faults": HOLE, "expect": noticed((0.0, 0.5))},
        "after expect.window_s",
    ),
    "without a word": (
        {
            "client": client(detects=Detects(prints="never said")),
            "faults": HOLE,
            "expect": noticed(),
        },
        "expected the program to give its peer up, found nothing detected",
    ),
    "hung": (
        {
            "client": client("talks", 100.0, alive=Alive(prints="^pong", within_s=1.0)),
            "faults": HOLE,
            "expect": Expect(outcome="survives", bound_s=3.0),
        },
        (
            "nothing was detected, yet the command shows no life: expected a line that matches "
            "'^pong' from 2."
        ),
    ),
    "for good": (
        {"client": client(), "faults": HOLE, "expect": noticed(reconnects_s=(0.0, 1.0))},
        "no other connection was made",
    ),
    "as it is known not to be": (
        {
            "client": client(),
            "faults": HOLE,
            "expect": noticed(),
            "known_failure": "two seconds more",
        },
        "the claim holds, though it is said to fail (two seconds more)",
    ),
}
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "no such program": (
        {"client": Endpoint(command=Command(argv=("/no/such/program",), detects=LOST))},
        "expected to start '/no/such/program'",
    ),
    "no such folder": (
        {"client": client(folder="/no/such/folder")},
        "in /no/such/folder, found No such file",
    ),
    "never ready": (
        {"client": client(ready=Ready(prints="^ready", within_s=1.0))},
        "expected a line that matches '^ready' within 1 s, found its last lines: connected",
    ),
    "never listens": (
        {
            "client": client(),
            "server": Endpoint(
                command=Command(
                    argv=("{python}", "-c", "input()"),
                    ready=Ready(listens=True, within_s=0.5),
                    detects=LOST,
                )
            ),
        },
        "expected it to listen at port 7000 within 0.5 s, found it has printed nothing",
    ),
    "never connects": (
        {"client": client(connection=2, ready=Ready(within_s=1.0))},
        "expected connection 2 to port 7000 within 1 s",
    ),
    "dies before": (
        {"client": client("dies", ready=Ready(prints="^ready"))},
        (
            "ended with status 1 before it was ready; still awaited: a line that matches "
            "'^ready'; its last"
        ),
    ),
    "dies silently": (
        {
            "client": client("dies silently"),
            "faults": (),
            "expect": Expect(outcome="never", bound_s=1.0),
        },
        "ended with status 0, never having printed what matches '^lost",
    ),
    "dies too early": (
        {"client": client("dies")},
        "its last lines: connected | of its own accord",
    ),
    "loses the other end too early": (
        {"client": client("dies"), "server": WATCHER, "expect": noticed(side="server")},
        (
            "ended with status 1 before any fault was injected; its last lines: connected | of "
            "its own accord"
        ),
    ),
    "loses the other end behind a firewall that has done nothing": (
        {
            "client": client("tells", 5.0, detects=Detects(prints="never said")),
            "server": Endpoint(
                command=Command(argv=("{python}", "-c", FAILS), ready=Ready(listens=True))
            ),
            "faults": (FirewallIdle(timeout_s=100),),
            "expect": Expect(outcome="never", bound_s=2.0),
        },
        "ended with status 1 before any fault was injected; its last lines: of its own accord",
    ),
    "loses heart before it begins": (
        {
            "client": Endpoint(
                command=Command(
                    argv=(
                        "{python}",
                        "-c",
                        "print('lost early', flush=True)\n" + CLIENT,
                        "dies",
                        "1.0",
                    ),
                    ready=Ready(prints="^connected", within_s=20.0),
                    detects=LOST,
                )
            )
        },
        (
            "having printed what matches '^lost (\\\\w+)' only before both ends were ready; its "
            "last lines: lost early"
        ),
    ),
    "ends with another status": (
        {"client": client("exits", detects=Detects(exits=True, status=8))},
        "ended with status 7; its last lines: connected",
    ),
    "is started again and never listens": (
        {
            "client": client(detects=Detects(prints="never said")),
            "server": Endpoint(
                command=Command(
                    argv=("{python}", "-c", ONCE), ready=Ready(listens=True, within_s=2.0)
                )
            ),
            "faults": (ProcessKill(at_s=0.5, for_s=0.1),),
            "expect": Expect(outcome="never", bound_s=4.0),
        },
        (
            "expected it to listen at port 7000 within 2 s of being started again, found it has "
            "printed nothing"
        ),
    ),
    "is started again and ends": (
        {
            "client": client(detects=Detects(prints="never said")),
            "server": Endpoint(
                command=Command(
                    argv=(
                        "{python}",
                        "-c",
                        ONCE.replace("time.sleep(1000)", "raise SystemExit(3)"),
                    ),
                    ready=Ready(listens=True),
                )
            ),
            "faults": (ProcessKill(at_s=0.5, for_s=0.1),),
            "expect": Expect(outcome="never", bound_s=4.0),
        },
        "ended with status 3",
    ),
    "has a proxy that never listens": (
        {
            "topology": Topology(kind="proxied"),
            "client": client(),
            "proxy": own_proxy("{python}", "-c", "input()", ready=Ready(within_s=0.5)),
            "faults": (LinkDown(on="server", at_s=1.1),),
        },
        "expected it to listen at port 7000 within 0.5 s, found it has printed nothing",
    ),
    "has a proxy that ends": (
        {
            "topology": Topology(kind="proxied"),
            "client": client(),
            "proxy": own_proxy("{python}", "-c", "raise SystemExit('no such file')"),
            "faults": (LinkDown(on="server", at_s=1.1),),
        },
        "ended with status 1 before any fault was injected; its last lines: no such file",
    ),
    "floods": (
        {"client": client("flood")},
        "floods its output, 5000 lines so far; its last lines: and so on",
    ),
}

IN_REAL_TIME = (
    "says so",
    "connects anew",
    "sees its server killed",
    "too late",
    "never ready",
    "dies before",
)


def _scenarios() -> list[Scenario]:
    scenarios = [Scenario(name=name.replace(" ", "-"), **each) for name, each in JUDGED.items()]
    scenarios += [
        Scenario(name=name.replace(" ", "-"), **each) for name, (each, _) in REFUTED.items()
    ]
    common = {"faults": HOLE, "expect": noticed()}
    scenarios += [
        Scenario(name=name.replace(" ", "-"), **{**common, **each})
        for name, (each, _) in BROKEN.items()
    ]
    return scenarios


def _check(results: Sequence[Result]) -> None:
    found = {r.plan.name.replace("-", " "): (r.verdict.verdict, r.verdict.reason) for r in results}
    assert {name: found[name] for name in found.keys() & JUDGED if found[name][0] != "pass"} == {}
    for expected, cases in (("fail", REFUTED), ("inconclusive", BROKEN)):
        for name, (_, words) in cases.items():
            if name not in found:
                continue
            assert found[name][0] == expected, (name, found[name])
            assert words in found[name][1], (name, found[name])


def test_in_real_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each kind one, as it says; and nothing is left behind, neither processes nor folders."""
    chosen = [
        scenario for scenario in _scenarios() if scenario.name.replace("-", " ") in IN_REAL_TIME
    ]
    assert len(chosen) == len(IN_REAL_TIME)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with network_untouched():
        plans = [make(scenario, local_machine()) for scenario in chosen]
        _check(undisturbed(plans, tmp_path / "out", len(plans)))
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


@pytest.mark.virtual
def test_in_virtual_time(tmp_path: Path, kernel: Kernel) -> None:
    """All, on another kernel and without waiting."""
    plans = [make(scenario, uml.machine(kernel)) for scenario in _scenarios()]
    _check(in_guests(plans, tmp_path / "out", kernel))
