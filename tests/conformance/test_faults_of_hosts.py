"""Faults of a whole host and of the program on it: what each leaves behind, and what becomes of
data.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from harness.api.lab_session import Link, Workbench
from harness.faults import AnyFault, Failover, HostSuspend, ProcessKill, StopsReading
from harness.model.topology import SIDES, Side, other
from harness.scenario.schema import Endpoint
from tests.conformance.test_faults import LOST_S, WHOLE, Case, _untouched, bench, build

__all__ = ["_untouched", "bench", "build"]

pytestmark = pytest.mark.conformance


def on_both_sides(*makes: Callable[[Side], AnyFault]) -> pytest.MarkDecorator:
    """Parametrise with faults of either side in every topology."""
    cases = [Case(make(side), topology) for make in makes for topology in WHOLE for side in SIDES]
    return pytest.mark.parametrize("case", cases, ids=str)


def arrives(bench: Workbench, link: Link, side: Side, within_s: float = 2.0) -> bool:
    """Whether data that a side sends, and all before it, comes to the client in time."""
    assert link._connection.ends[side].say()
    return waits(bench, link, within_s)


def waits(bench: Workbench, link: Link, within_s: float = 2.0) -> bool:
    """Whether what was sent comes to the client in time."""
    bench.loop.wait(
        time.monotonic_ns() + round(within_s * 1e9), lambda: link._connection.echo_is_over
    )
    return link._connection.echoed


def lies_unread(bench: Workbench, side: str) -> bool:
    """Whether, before long, data lies unread on a host."""
    deadline = time.monotonic() + 2
    while not bench.host(side).unread() and time.monotonic() < deadline:
        time.sleep(0.001)
    return bench.host(side).unread() > 0


@on_both_sides(lambda side: Failover(on=side), lambda side: Failover(on=side, announced=False))
def test_a_failover_bites(bench: Workbench, case: Case) -> None:
    """Announced: the neighbours send to the new host, which answers with RST. Otherwise they send
    to a MAC address that nobody has any more.
    """
    assert isinstance(case.fault, Failover)
    observer, announced = other(case.fault.on), case.fault.announced
    link = bench.connect(observe=observer)
    assert link.echo()
    with bench.inject(case.fault) as injection:
        proof = injection.gather()
        assert proof.level == "bit"
        assert (":80; " if announced else "sends to 02:77:00:00:") in proof.found
        assert link._connection.ends[observer].say()
        seen = link.wait(within_s=2 if announced else LOST_S)
        assert (seen.kind, seen.errno) == (
            ("detected", "ECONNRESET") if announced else ("quiet", None)
        )


@on_both_sides(lambda side: HostSuspend(on=side))
def test_a_suspended_host_goes_on_where_it_was(bench: Workbench, case: Case) -> None:
    """In place until a segment meets it, then bit.

    What was sent meanwhile is sent again when it is back.
    """
    assert isinstance(case.fault, HostSuspend)
    observer = other(case.fault.on)
    link = bench.connect(observe=observer, processes=case.fault.processes())
    assert link.echo()
    with case.fault.inject(bench.lab) as evidence:
        assert evidence().level == "in-place"
        assert not arrives(bench, link, observer, LOST_S)
        assert evidence().level == "bit"
        assert link.wait(within_s=0).kind == "quiet"
        assert not bench.host(case.fault.on).unread()
    assert waits(bench, link)
    assert link.echo()


@on_both_sides(lambda side: StopsReading(on=side))
def test_who_stops_reading_goes_on_later(bench: Workbench, case: Case) -> None:
    """Data lies in its kernel's queue, and not one octet is lost."""
    assert isinstance(case.fault, StopsReading)
    observer = other(case.fault.on)
    link = bench.connect(observe=observer, processes=case.fault.processes())
    assert link.echo()
    with case.fault.inject(bench.lab) as evidence:
        assert evidence().level == "in-place"
        assert not arrives(bench, link, observer, LOST_S)
        assert evidence().level == "bit"
        assert bench.host(case.fault.on).program.state() in "RS"
    assert waits(bench, link)
    assert not bench.host(case.fault.on).unread()
    assert link.echo()


@on_both_sides(lambda side: ProcessKill(on=side, unread=True))
def test_unread_data_makes_a_killed_program_reset(bench: Workbench, case: Case) -> None:
    """RST instead of FIN."""
    assert isinstance(case.fault, ProcessKill)
    observer = other(case.fault.on)
    client, server = (Endpoint(reads=side == observer) for side in SIDES)
    link = bench.connect(client, server, observe=observer, processes=case.fault.processes())
    assert link._connection.ends[observer].say()
    assert lies_unread(bench, case.fault.on)
    with bench.inject(case.fault) as injection:
        assert injection.gather().level == "bit"
        assert link.wait(within_s=2).errno == "ECONNRESET"


@pytest.mark.parametrize("unread", [False, True])
@pytest.mark.parametrize("case", [Case(ProcessKill(), WHOLE[0])], ids=str)
def test_a_killed_program_that_had_read_otherwise_is_no_evidence(
    bench: Workbench, case: Case, *, unread: bool
) -> None:
    """What lay in its queue decides what its kernel says, so it must be as the fault has it."""
    link = bench.connect(server=Endpoint(reads=unread), processes=case.fault.processes())
    assert link._connection.ends["client"].say()
    if unread:
        assert waits(bench, link)
    else:
        assert lies_unread(bench, "server")
    with ProcessKill(unread=unread).inject(bench.lab) as evidence:
        assert evidence().level == "none"


@pytest.mark.parametrize(
    "case", [Case(fault, WHOLE[0]) for fault in (HostSuspend(), StopsReading())], ids=str
)
def test_heals_when_the_block_fails(bench: Workbench, case: Case) -> None:
    """An error inside of the block is not replaced, and the fault is healed all the same."""
    link = bench.connect(processes=case.fault.processes())
    with pytest.raises(ZeroDivisionError), bench.inject(case.fault):
        raise ZeroDivisionError
    assert link.echo()
