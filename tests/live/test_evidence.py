"""What proves that a fault acted: packets of the watched connection, and no others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
print("connected", flush=True)
time.sleep(2)
if "datagram" in sends:
    datagrams.sendto(b"?", (server, 53))
if "connection" in sends:
    other = socket.socket()
    other.setblocking(False)
    other.connect_ex((server, port + 1))
if "data" in sends:
    watched.sendall(b"ping")
time.sleep(1)
print("lost: gave up", flush=True)
time.sleep(1000)
"""
SCENARIO = """
[client.command]
argv = ["{{python}}", "{client}", "{{server}}", "{{port}}", "{sends}"]
ready = {{ prints = "^connected" }}
detects = {{ prints = "^lost" }}

[[faults]]
{fault}
at_s = 1

[expect]
outcome = "noticed"
window_s = [2.9, 3.2]
"""
BLACKHOLE, REJECT, LOSS = (
    'kind = "blackhole"',
    'kind = "icmp-reject"\ncode = "host-unreachable"',
    'kind = "loss"\npercent = 100',
)
PMTU = 'kind = "pmtu-blackhole"'
CASES: Mapping[str, tuple[str, str]] = {
    "nothing-but-a-datagram": (BLACKHOLE, "datagram"),
    "nothing-but-another-connection": (BLACKHOLE, "connection"),
    "another-connection-rejected": (REJECT, "connection"),
    "another-connection-lost": (LOSS, "connection"),
    "a-path-mtu-that-is-kept": (PMTU, "data"),
    "all-three": (BLACKHOLE, "datagram+connection+data"),
}
"""By name: the fault, and what the client sends while it is on."""


@pytest.fixture(scope="module")
def runs(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the runs of all cases, in one guest."""
    del kernel
    folder = tmp_path_factory.mktemp("evidence")
    (folder / "client.py").write_text(CLIENT)
    for name, (fault, sends) in CASES.items():
        text = SCENARIO.format(client=folder / "client.py", sends=sends, fault=fault)
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
    assert proof["level"] == "in-place"
    assert proof["others"] > 0
    assert f"besides {proof['others']} packet" in verdict["reason"]


def test_a_datagram_of_our_own_shows_no_more_than_that_a_fault_is_in_place(runs: Path) -> None:
    """What the program sends is small enough for the path."""
    verdict = json.loads((runs / "a-path-mtu-that-is-kept" / "verdict.json").read_text())
    assert (verdict["verdict"], verdict["cause"]) == ("inconclusive", "fault-met-nothing"), verdict
    assert _proof(runs / "a-path-mtu-that-is-kept")["level"] == "in-place"


def test_the_connection_is_told_apart(runs: Path) -> None:
    """With its own data it is proven; what else met the fault is counted apart."""
    verdict = json.loads((runs / "all-three" / "verdict.json").read_text())
    assert verdict["verdict"] == "pass", verdict
    proof = _proof(runs / "all-three")
    assert (proof["level"], proof["others"]) == ("bit", 3), "a datagram, and a SYN sent twice"
    assert "besides 3 packets of other traffic" in verdict["reason"]
