"""What proves that a fault acted: packets of the watched connection, and no others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness import timeline
from harness.venue.kernel import Kernel
from tests.live.command import harness

pytestmark = [pytest.mark.live, pytest.mark.virtual]

CLIENT = """
import socket, sys, time

server, port, sends = sys.argv[1], int(sys.argv[2]), sys.argv[3].split("+")
watched = socket.create_connection((server, port))
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if "twin" in sends:
    twin = socket.create_connection((server, port))
print("connected", flush=True)
time.sleep(2)
if "datagram" in sends:
    datagrams.sendto(b"?", (server, 53))
if "connection" in sends:
    other = socket.socket()
    other.setblocking(False)
    other.connect_ex((server, port + 1))
if "another" in sends:
    another = socket.socket()
    another.setblocking(False)
    another.connect_ex((server, port))
if "twin" in sends:
    twin.sendall(b"ping")
if "data" in sends:
    watched.sendall(b"ping")
time.sleep(1)
print("lost: gave up", flush=True)
if "again" in sends:
    again = socket.create_connection((server, port))
    again.sendall(b"ping")
time.sleep(1000)
"""
SERVER = """
import selectors, socket, sys

listening = socket.create_server(("", int(sys.argv[1])))
print("listens", flush=True)
held = selectors.DefaultSelector()
held.register(listening, selectors.EVENT_READ)
while True:
    for key, _ in held.select():
        if key.fileobj is listening:
            held.register(listening.accept()[0], selectors.EVENT_READ)
        elif not key.fileobj.recv(4096):
            held.unregister(key.fileobj)
"""
SCENARIO = """
[topology]
{topology}

[server.command]
argv = ["{{python}}", "{folder}/server.py", "{{port}}"]
ready = {{ prints = "^listens" }}

[client.command]
argv = ["{{python}}", "{folder}/client.py", "{{server}}", "{{port}}", "{sends}"]
ready = {{ prints = "^connected" }}
detects = {{ prints = "^lost" }}

{faults}

[expect]
outcome = "noticed"
window_s = [2.9, 3.2]
{claim}
"""
BLACKHOLE, REJECT, LOSS = (
    'kind = "blackhole"',
    'kind = "icmp-reject"\ncode = "host-unreachable"',
    'kind = "loss"\npercent = 100',
)
PMTU = 'kind = "pmtu-blackhole"'
AT_SERVER = 'kind = "blackhole"\non = "server"\ndirection = "to-server"'
IDLE = 'kind = "firewall-idle"\ntimeout_s = 1\nthen = "drop"'
SYNS = 'kind = "syn-drop"\nfor_s = 2.5'
ROUTED, NAT, PROXIED = (
    'kind = "routed"',
    'kind = "nat"',
    'kind = "proxied"\nproxy = "relay"',
)


class Case(NamedTuple):
    """A fault, what the client sends while it is on, where, and what else is claimed."""

    fault: str
    sends: str
    topology: str = ROUTED
    claim: str = ""


CASES: Mapping[str, Case] = {
    "nothing-but-a-datagram": Case(BLACKHOLE, "datagram"),
    "nothing-but-another-connection": Case(BLACKHOLE, "connection"),
    "another-connection-rejected": Case(REJECT, "connection"),
    "another-connection-lost": Case(LOSS, "connection"),
    "another-one-to-the-same-port": Case(BLACKHOLE, "another"),
    "another-one-that-stood-before": Case(BLACKHOLE, "twin"),
    "another-one-behind-a-firewall": Case(IDLE, "twin"),
    "another-one-behind-a-nat": Case(AT_SERVER, "twin", NAT),
    "another-one-behind-a-proxy": Case(AT_SERVER, "twin", PROXIED),
    "another-one-later": Case(SYNS, "again"),
    "a-path-mtu-that-is-kept": Case(PMTU, "data"),
    "all-four": Case(BLACKHOLE, "datagram+connection+twin+data"),
    "its-own-behind-a-firewall": Case(IDLE, "twin+data"),
    "its-own-behind-a-nat": Case(AT_SERVER, "twin+data", NAT),
    "its-own-behind-a-proxy": Case(AT_SERVER, "twin+data", PROXIED),
    "its-own-later": Case(SYNS, "another+again", claim="reconnects_s = [0.9, 1.2]"),
}
"""By name."""


@pytest.fixture(scope="module")
def runs(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the runs of all cases, in one guest."""
    del kernel
    folder = tmp_path_factory.mktemp("evidence")
    (folder / "client.py").write_text(CLIENT)
    (folder / "server.py").write_text(SERVER)
    for name, case in CASES.items():
        faults = f"[[faults]]\n{case.fault}" + ("" if case.fault == IDLE else "\nat_s = 1")
        text = SCENARIO.format(
            folder=folder, topology=case.topology, sends=case.sends, faults=faults, claim=case.claim
        )
        (folder / f"{name}.scenario.toml").write_text(text)
    ended = harness(
        folder,
        "run",
        "--clock",
        "virtual",
        "--jobs",
        "1",
        "--out",
        str(folder / "out"),
        str(folder),
    )
    assert len(list((folder / "out").rglob("verdict.json"))) == len(CASES), ended
    return folder / "out"


def _proof(run: Path) -> Mapping[str, Any]:
    (proof,) = [event.data for event in timeline.load(run) if event.kind == "fault.evidence"]
    return proof


@pytest.mark.parametrize(
    "name", [name for name in CASES if "another" in name or "datagram" in name]
)
def test_other_traffic_proves_nothing(runs: Path, name: str) -> None:
    """The program gave its peer up.

    But nothing of its connection met the fault, which therefore proves nothing.
    """
    verdict = json.loads((runs / name / "verdict.json").read_text())
    assert (verdict["verdict"], verdict["cause"]) == ("inconclusive", "fault-met-nothing"), verdict
    proof = _proof(runs / name)
    assert proof["level"] in ("in-place", "none")
    assert proof["others"] > 0
    assert f"besides {proof['others']} packet" in verdict["reason"]


def test_a_datagram_of_our_own_shows_no_more_than_that_a_fault_is_in_place(runs: Path) -> None:
    """What the program sends is small enough for the path."""
    verdict = json.loads((runs / "a-path-mtu-that-is-kept" / "verdict.json").read_text())
    assert (verdict["verdict"], verdict["cause"]) == ("inconclusive", "fault-met-nothing"), verdict
    assert _proof(runs / "a-path-mtu-that-is-kept")["level"] == "in-place"


def test_the_connection_is_told_apart(runs: Path) -> None:
    """With its own data it is proven; what else met the fault is counted apart."""
    verdict = json.loads((runs / "all-four" / "verdict.json").read_text())
    assert verdict["verdict"] == "pass", verdict
    proof = _proof(runs / "all-four")
    others = proof["others"]
    assert proof["level"] == "bit"
    assert others >= 4, "a datagram, a SYN sent twice, and data on a connection to the same port"
    assert f"besides {others} packets of other traffic" in verdict["reason"]


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("its-own")])
def test_its_own_packets_prove_it_wherever_they_are(runs: Path, name: str) -> None:
    """A firewall that stood before the connection, the port that a NAT gave it, a proxy's own."""
    verdict = json.loads((runs / name / "verdict.json").read_text())
    assert verdict["verdict"] == "pass", verdict
    proof = _proof(runs / name)
    assert (proof["level"], proof["others"] > 0) == ("bit", True)


REBOUND = """
[topology]
kind = "nat"

[client.keepalive]
idle_s = 10
interval_s = 5
count = 3

[[faults]]
kind = "nat-rebinding"
at_s = 2

[[faults]]
kind = "blackhole"
at_s = 3
direction = "to-server"
on = "server"

[expect]
outcome = "detected"
errno = "ETIMEDOUT"
window_s = [24, 27]
"""


def test_a_fault_behind_a_nat_acts_under_the_new_port(kernel: Kernel, tmp_path: Path) -> None:
    """The NAT has given the connection another port before."""
    del kernel
    (tmp_path / "rebound.scenario.toml").write_text(REBOUND)
    ended = harness(tmp_path, "run", "--clock", "virtual", "rebound.scenario.toml", "--out", "out")
    assert ended.status == 0, ended
    proofs = [e.data for e in timeline.load(tmp_path / "out" / "rebound") if "evidence" in e.kind]
    assert [(each["level"], each["others"]) for each in proofs] == [("bit", 0), ("bit", 0)]
