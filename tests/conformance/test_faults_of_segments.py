"""Single segments forged or swallowed, and paths of poor quality: what each does, proves and leaves
behind.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

import pytest

from harness.api.lab_session import Workbench
from harness.capabilities import netem
from harness.errors import CapabilityError, FaultError
from harness.faults import (
    AnyFault,
    Blackhole,
    Delay,
    Duplicate,
    FinSwallowed,
    Loss,
    Rate,
    Reorder,
    RstInjected,
    SynackDrop,
    SynDrop,
)
from harness.faults.blackhole import Direction
from harness.model.topology import FAMILIES, SIDES, Side, Topology, layout, other
from tests.conformance.calls import foreseen
from tests.conformance.test_faults import LOST_S, WHOLE, Case, _untouched, bench, build

__all__ = ["_untouched", "bench", "build"]

pytestmark = pytest.mark.conformance

WAYS: tuple[Direction, ...] = ("both", "to-server", "to-client")
DELAY_S = 0.02


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
