"""Payloads that vanish at the relay: where, which, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import msgspec
import pytest

from harness.errors import FaultError, ScenarioError
from harness.faults import DataSwallowed, data_swallowed
from harness.lab.watched import Watched
from harness.model.topology import SIDES, Proxy, Topology, layout
from harness.oracle.effects import Unpredictable
from harness.plan.model_coverage import refuse_uncovered
from harness.scenario import loader
from harness.scenario.schema import Scenario

RELAYED = Topology(kind="proxied", proxy="relay")


def read(keys: Mapping[str, object], topology: Topology = RELAYED) -> DataSwallowed:
    """The fault of a scenario file with these keys. Raises ScenarioError."""
    raw = {
        "topology": msgspec.to_builtins(topology),
        "faults": [{"kind": "data-swallowed", "at_s": 1, **keys}],
    }
    if topology.proxied_by == "command":
        raw["proxy"] = {"command": {"argv": ["haproxy"]}}
        del raw["topology"]["proxy"]
    (fault,) = loader.from_mapping(raw, "f").faults
    assert isinstance(fault, DataSwallowed)
    return fault


@pytest.mark.parametrize(
    ("keys", "sizes", "beginning"),
    [
        ({"octets": 5}, (5, 5), b""),
        ({"octets": [5, 20]}, (5, 20), b""),
        ({"starts_with": "PING"}, (1, 65536), b"PING"),
        ({"starts_with": "é", "octets": 5}, (5, 5), b"\xc3\xa9"),
        ({"starts_with_hex": "89 00"}, (1, 65536), b"\x89\x00"),
        ({"starts_with_hex": "8900"}, (1, 65536), b"\x89\x00"),
    ],
)
def test_payloads_are_told_by_size_and_beginning(
    keys: dict[str, object], sizes: tuple[int, int], beginning: bytes
) -> None:
    """One size or a range; text or octets."""
    fault = read(keys)
    assert (fault._sizes, fault.beginning) == (sizes, beginning)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, r"octets: expected octets of a payload \(5, or \[1, 20\]\), starts_with or"),
        ({"octets": 0}, r"octets: expected an integer from 1 to 65536 or an array"),
        ({"octets": [1]}, r"octets: expected an array.* at least 2, found \[1\]"),
        ({"octets": [9, 1]}, r"octets: expected the least octets, then the most, found \[9, 1\]"),
        ({"starts_with": ""}, r"starts_with: expected 1 to 1000 octets of text, found ''"),
        ({"starts_with_hex": "8"}, r"expected 1 to 1000 octets in hexadecimal, such as 89 00"),
        ({"starts_with_hex": ""}, r"expected 1 to 1000 octets in hexadecimal, such as 89 00"),
        ({"starts_with_hex": "00" * 1001}, r"expected 1 to 1000 octets in hexadecimal"),
        ({"starts_with": "a", "starts_with_hex": "61"}, r"no such key beside starts_with"),
    ],
)
def test_what_tells_no_payloads_is_refused(keys: dict[str, object], message: str) -> None:
    """With the key, what was expected and what was found."""
    with pytest.raises(ScenarioError, match=r"f: faults\[0\]\..*" + message):
        read(keys)


@pytest.mark.parametrize("proxy", [*get_args(Proxy), None])
def test_only_the_relay_swallows(proxy: Proxy | None) -> None:
    """A toxiproxy, a proxy of one's own and a path without a proxy are refused by name."""
    topology = Topology() if proxy is None else Topology(kind="proxied", proxy=proxy)
    if proxy == "relay":
        assert read({"octets": 1}, topology).octets == 1
        return
    named = r"\[proxy\.command\] is the proxy" if proxy == "command" else r'proxy = "relay"'
    with pytest.raises(ScenarioError, match=rf"faults\[0\]\.kind: .*{named}"):
        read({"octets": 1}, topology)


def test_nothing_is_predicted() -> None:
    """On either side: the oracle knows no relay's ways."""
    for side in SIDES:
        (effect,) = DataSwallowed(octets=1, at_s=2, for_s=3).effects(layout(RELAYED), side)
        assert (effect.mechanism, effect.from_s, effect.until_s) == ("impaired", 2.0, 5.0)
        assert effect.unknown
    with pytest.raises(Unpredictable):
        refuse_uncovered(Scenario(topology=RELAYED, faults=(DataSwallowed(octets=1),)))


class Relay:
    """A relay's program. `obeys`: whether it carries orders out; `status`: None while it runs."""

    def __init__(self) -> None:
        self.orders: list[str] = []
        self.name, self.obeys = "python3", True
        self.status: int | None = None

    def write(self, order: bytes) -> None:
        """Take an order."""
        self.orders.append(order.decode())
        if self.obeys:
            self.name = "swallowing" if order.startswith(b"swallow") else "passing"

    def shown_name(self) -> str:
        """What it calls itself."""
        return self.name

    def poll(self) -> int | None:
        """Its exit status."""
        return self.status


class RelayLab:
    """A lab with a relay, or none."""

    def __init__(self, topology: Topology = RELAYED) -> None:
        self.layout, self.program = layout(topology), Relay()
        self.watched: Watched | None = None
        self.noted: list[list[int]] = []

    def note(self, *lines: str) -> None:
        """What the relay has noted."""
        self.noted += [[int(port) for port in line.split()] for line in lines]

    def host(self, name: str) -> RelayLab:
        """The proxy's host."""
        assert name == "proxy"
        return self


@pytest.mark.parametrize(
    ("fault", "order"),
    [
        (DataSwallowed(octets=5), "swallow to-server,to-client 5 5 -\n"),
        (
            DataSwallowed(octets=(1, 9), starts_with="PI", direction="to-server"),
            "swallow to-server 1 9 5049\n",
        ),
    ],
)
def test_the_relay_is_told_and_asked(
    fault: DataSwallowed, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place until it has swallowed something; then it passes everything again."""
    lab = RelayLab()
    monkeypatch.setattr(data_swallowed, "_noted", lambda _: lab.noted)
    with fault.inject(lab) as evidence:  # type: ignore[arg-type]
        assert lab.program.orders == [order]
        assert evidence().level == "in-place"
        lab.note("40000 7000 50000 7000", "40001 7000 50001 7000", "40000 7000 50000 7000")
        assert (evidence().level, evidence().found) == ("bit", "3 payloads swallowed by the relay")
        lab.watched = Watched((), 7000, frozenset({frozenset({("a", 40_001), ("b", 7000)})}))
        assert evidence().found == (
            "1 payload swallowed by the relay; besides 2 payloads of other connections"
        )
        lab.watched = Watched((), 7000, frozenset({frozenset({("a", 40_002), ("b", 7000)})}))
        assert (evidence().level, evidence().others) == ("in-place", 3)
        lab.program.name = "passing"
        assert (evidence().level, evidence().found) == ("none", "the relay is passing")
    assert lab.program.orders[1:] == ["pass\n"]


def test_a_relay_that_has_ended_takes_no_orders() -> None:
    """It is not healed, and no evidence."""
    lab = RelayLab()
    with DataSwallowed(octets=1).inject(lab) as evidence:  # type: ignore[arg-type]
        lab.program.status = -9
        assert (evidence().level, evidence().found) == ("none", "the relay is gone")
    assert len(lab.program.orders) == 1


def test_what_does_not_obey_is_a_fault_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """And so is a lab without a relay."""
    monkeypatch.setattr("harness.faults.process.OBEDIENCE_S", 0.0)
    lab = RelayLab()
    lab.program.obeys = False
    with pytest.raises(FaultError), DataSwallowed(octets=1).inject(lab):  # type: ignore[arg-type]
        pass
    with (
        pytest.raises(FaultError, match="expected a lab with a relay"),
        DataSwallowed(octets=1).inject(RelayLab(Topology())),  # type: ignore[arg-type]
    ):
        pass
