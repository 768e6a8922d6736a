"""What the harness's own relay is told to do: payloads vanish in it, and TCP at both ends finds
nothing wrong.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import get_args

import pytest

from harness.api.lab_session import Link, Workbench
from harness.errors import FaultError
from harness.faults import DataSwallowed
from harness.lab.netns_lab import NetnsLab
from harness.model.topology import SIDES, Family, Topology
from harness.programs.tcp_endpoint import PATTERN, Endpoint
from tests.conformance.calls import PATIENCE_S, retransmissions
from tests.conformance.test_faults import LOST_S
from tests.conformance.traces import network_untouched, nothing_held

pytestmark = pytest.mark.conformance
SIZE = len(PATTERN)
IN_CONTAINERS = (pytest.mark.needs("docker"), pytest.mark.containers)
PLACES = [
    *(pytest.param(("netns", family), id=f"proxied-{family}") for family in get_args(Family)),
    pytest.param(("docker", "ipv4"), id="docker-ipv4", marks=IN_CONTAINERS),
]
CASES = {
    "octets": (DataSwallowed(octets=SIZE), (False, False)),
    "range": (DataSwallowed(octets=(SIZE - 1, SIZE + 1), direction="to-server"), (False, False)),
    "text": (DataSwallowed(octets=SIZE, starts_with="still", direction="to-client"), (True, False)),
    "hex": (DataSwallowed(octets=SIZE, starts_with_hex="73 74"), (False, False)),
}
"""What a fault swallows, and whether a payload still comes to the server, and its answer back."""
in_namespaces = pytest.mark.parametrize("bench", PLACES[:-1], indirect=True)
anywhere = pytest.mark.parametrize("bench", PLACES, indirect=True)


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Iterator[Workbench]:
    """A workbench with a relay, which leaves nothing behind.

    Docker makes bridges for other tests at the same time.
    """
    lab, family = request.param
    untouched = network_untouched() if lab == "netns" else nullcontext()
    made = Workbench("proxied", family, lab=lab)
    made.topology = Topology(kind="proxied", family=family, proxy="relay")
    with nothing_held(), untouched, made:
        yield made


def ends(link: Link) -> tuple[Endpoint, Endpoint]:
    """Client and server."""
    client, server = (link._connection.ends[side] for side in SIDES)
    assert isinstance(client, Endpoint)
    assert isinstance(server, Endpoint)
    return client, server


def reached(bench: Workbench, link: Link, size: int, within_s: float) -> tuple[bool, bool]:
    """Whether what the client writes comes to the server, and whether the answer comes back, of
    each at least one octet in time.
    """
    client, server = ends(link)
    there, back = server.received, client.received
    assert client.say(size)
    deadline_ns = time.monotonic_ns() + round(within_s * 1e9)
    bench.loop.wait(deadline_ns, lambda: client.received > back)
    return server.received > there, client.received > back


@in_namespaces
@pytest.mark.parametrize(("fault", "expected"), CASES.values(), ids=CASES)
def test_payloads_vanish_and_others_pass(
    bench: Workbench, fault: DataSwallowed, expected: tuple[bool, bool]
) -> None:
    """In place until one is swallowed, then bit. Nothing is sent again: it was acknowledged.

    Removed, it lets everything pass, but for what was swallowed.
    """
    link = bench.connect()
    assert reached(bench, link, SIZE, PATIENCE_S) == (True, True)
    with fault.inject(bench.lab) as evidence:
        assert reached(bench, link, 2 * SIZE, PATIENCE_S) == (True, True)
        assert evidence().level == "in-place"
        assert reached(bench, link, SIZE, LOST_S) == expected
        assert evidence().level == "bit"
        assert evidence().found == "1 payload swallowed by the relay"
    assert reached(bench, link, SIZE, PATIENCE_S) == (True, True)
    assert link.wait(within_s=0).kind == "quiet"
    assert [retransmissions(end.sock) for end in ends(link)] == [0, 0]


@anywhere
def test_another_beginning_passes(bench: Workbench) -> None:
    """Of the same size; and each time that the fault comes it counts anew."""
    link = bench.connect()
    with DataSwallowed(octets=SIZE, starts_with="STILL").inject(bench.lab) as evidence:
        assert reached(bench, link, SIZE, PATIENCE_S) == (True, True)
        assert evidence().level == "in-place"
    for _ in range(2):
        with DataSwallowed(starts_with="still").inject(bench.lab) as evidence:
            assert evidence().level == "in-place"
            assert reached(bench, link, SIZE, LOST_S) == (False, False)
            assert evidence().found == "1 payload swallowed by the relay"


@in_namespaces
def test_a_relay_that_is_gone_is_no_evidence(bench: Workbench) -> None:
    """And there is nothing to heal; a new order finds nobody."""
    bench.connect()
    relay = bench.host("proxy").program
    fault = DataSwallowed(octets=SIZE)
    with fault.inject(bench.lab) as evidence:
        relay.kill()
        assert evidence().level == "none"
    with pytest.raises(FaultError, match="expected relay to"), fault.inject(bench.lab):
        pass


def test_a_lab_without_a_relay_is_refused() -> None:
    """By name."""
    with (
        NetnsLab(Topology()) as lab,
        pytest.raises(FaultError, match=r"data-swallowed: expected a lab with a relay"),
        DataSwallowed(octets=1).inject(lab),
    ):
        pass
