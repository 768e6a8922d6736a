"""Segments of both captures are matched: what arrived, when, and what never did."""

from __future__ import annotations

import msgspec
import pytest

from harness.model.topology import Layout, Topology, layout
from harness.report.figure.crossings import Crossing, captured, matched
from harness.timeline import Event
from tests.unit.report.figure.drawn import Sent, both_ends
from tests.unit.timelines import SECOND, at

ROUTED = layout(Topology(kind="routed"))


def crossings(events: list[Event], where: Layout = ROUTED) -> list[Crossing]:
    """The segments of a timeline without an end."""
    return matched(captured(events, None, where))


def delays(found: list[Crossing]) -> list[int | None]:
    """How long each was on its way; None: it never arrived."""
    return [each.received.t_ns - each.t_ns if each.received else None for each in found]


def probes(*took_ns: int | None, stamps: bool = True) -> list[Event]:
    """A keepalive probe in each second."""
    return both_ends(
        *(
            Sent(number * SECOND, "client", "probe", took, stamp=number if stamps else None)
            for number, took in enumerate(took_ns)
        )
    )


def test_alike_probes_are_told_apart_by_their_timestamps() -> None:
    """Of probes that differ in nothing else, the lost one is found."""
    found = crossings(probes(10, None, None, 20))
    assert delays(found) == [10, None, None, 20]
    assert [each.lost for each in found] == [False, True, True, False]


def test_a_delay_longer_than_the_interval() -> None:
    """Probes that overtake nothing arrive in their order, also without timestamps."""
    assert (
        delays(crossings(probes(3 * SECOND, 3 * SECOND, 3 * SECOND, stamps=False)))
        == [3 * SECOND] * 3
    )


def test_ports_that_a_nat_changes() -> None:
    """Neither ports nor checksum tell a segment's two captures apart."""
    found = crossings(both_ends(Sent(0, "client", "probe", stamp=1, translated=(50123, 7000))))
    assert delays(found) == [50_000]


def test_a_second_copy() -> None:
    """What arrives twice is one segment and its copy."""
    events = probes(10)
    copy = msgspec.structs.replace(events[-1], t_ns=events[-1].t_ns + 5)
    first, second = crossings([*events, copy])
    assert (first.again, second.again) == (False, True)
    assert not second.lost
    assert second.sent == first.sent


def test_made_in_the_middle() -> None:
    """An RST that the other end never sent has no sender."""
    (found,) = crossings(both_ends(Sent(0, "server", "rst", flags="R"))[1:])
    assert found.sent is None
    assert found.toward == "client"


@pytest.mark.parametrize("first", [1, 600])
def test_a_large_segment_in_pieces(first: int) -> None:
    """What a device cuts into pieces has arrived with the first of them."""
    whole = both_ends(Sent(0, "client", "data", None, length=1200, seq=first))
    pieces = [
        both_ends(Sent(10, "client", "data", 0, length=600, seq=first + at_octet))[1]
        for at_octet in (0, 600)
    ]
    (found,) = crossings([*whole, *pieces])
    assert delays([found]) == [10]


def test_behind_a_proxy() -> None:
    """A proxy ends connections: what it receives is not known, and nothing counts as lost."""
    found = crossings(probes(None, 10), layout(Topology(kind="proxied")))
    assert len(found) == 3
    assert all(each.unknown and not each.lost for each in found)


def test_what_comes_after_the_end_is_left_out() -> None:
    """Segments of the tear-down, in the moment of the end or later, are not of the run."""
    before, after = both_ends(Sent(0, "client", "ack"), Sent(5, "client", "rst"))[::2]
    events = [before, at(5, "run.ended", "harness", reason="by hand"), after]
    assert [each.role for each in captured(events, 1, ROUTED)] == ["ack"]
    assert len(captured(events, None, ROUTED)) == 2


def test_a_second_server_has_no_capture() -> None:
    """What is sent to another host than the peer is not lost: nobody looks there."""
    router = {"dst": "10.77.1.254"}
    sent, _ = both_ends(Sent(0, "client", "syn", flags="S"))
    elsewhere = msgspec.structs.replace(sent, data=sent.data | router)
    (found,) = crossings([elsewhere])
    assert (found.unknown, found.lost, found.seen.peer) == (True, False, "router")


def test_a_nat_has_the_address_of_whom_it_hides() -> None:
    """What the server sends to the router's address is for the client."""
    sent, came = both_ends(Sent(0, "server", "data", length=3))
    to_router = msgspec.structs.replace(sent, data=sent.data | {"dst": "10.77.2.254"})
    (found,) = crossings([to_router, came], layout(Topology(kind="nat")))
    assert found.received is not None
    assert found.toward == "client"
