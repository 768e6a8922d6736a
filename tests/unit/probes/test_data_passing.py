"""When data passes, told from segments."""

from __future__ import annotations

import math

import pytest

from harness.model.events import CapturedPacket
from harness.probes.data_passing import DataPassing

NEAR, FAR = 41000, 7000


class Wire:
    """Segments of a client's host, one for each nanosecond."""

    def __init__(self, port: int | None = FAR) -> None:
        self.passing, self.now_ns = DataPassing(port), 0

    def sent(
        self, seq: int, ack: int, length: int = 0, flags: str = "A", role: str = "data"
    ) -> None:
        """By the client."""
        self._take("out", seq, ack, length, flags, role, (NEAR, FAR))

    def came(
        self, seq: int, ack: int, length: int = 0, flags: str = "A", role: str = "data"
    ) -> None:
        """To the client."""
        self._take("in", seq, ack, length, flags, role, (FAR, NEAR))

    def _take(
        self,
        way: str,
        seq: int,
        ack: int,
        length: int,
        flags: str,
        role: str,
        ports: tuple[int, int],
    ) -> None:
        self.now_ns += 1
        packet = CapturedPacket(
            way="in" if way == "in" else "out",
            role=role,
            flags=flags,
            seq=seq,
            ack=ack,
            length=length,
            sport=ports[0],
            dport=ports[1],
        )
        self.passing.take(self.now_ns, packet)


@pytest.mark.parametrize("start", [100, (1 << 32) - 2])
def test_payload_that_comes_and_is_acknowledged(start: int) -> None:
    """At the moment at which it came, also where sequence numbers begin anew."""
    wire = Wire()
    wire.came(start, 50, 4)
    wire.sent(50, (start + 4) % (1 << 32))
    assert wire.passing.moments(math.inf) == [1]


def test_payload_for_a_connection_that_was_given_up() -> None:
    """The kernel answers with RST: nobody got it."""
    wire = Wire()
    wire.came(100, 50, 4)
    wire.sent(50, 0, flags="R", role="rst")
    wire.sent(50, 104)
    assert wire.passing.moments(math.inf) == []


def test_a_handshake_and_probes_are_no_data() -> None:
    """Nor are acknowledgements without anything that was sent."""
    wire = Wire()
    wire.sent(1, 0, flags="S", role="syn")
    wire.came(9, 2, flags="SA", role="syn-ack")
    wire.sent(2, 10, role="ack")
    wire.sent(1, 10, 1, role="probe")
    wire.came(10, 2, role="answer")
    wire.came(9, 2, 1, role="probe")
    wire.sent(2, 10, role="answer")
    assert wire.passing.moments(math.inf) == []


def test_a_peer_that_only_receives_shows_it_by_acknowledging() -> None:
    """But one that had answered with data before the fault must do so again."""
    wire = Wire()
    wire.sent(50, 100, 4)
    wire.came(100, 54)
    assert wire.passing.moments(0) == [2]
    talking = Wire()
    talking.came(100, 50, 4)
    talking.sent(50, 104, 4)
    talking.came(104, 54)
    assert talking.passing.moments(before_ns=2) == [1]
    assert talking.passing.moments(before_ns=1) == [1, 3]


def test_a_retransmission_counts_when_it_is_acknowledged() -> None:
    """An acknowledgement of what was acknowledged before says nothing; a part of it is enough."""
    wire = Wire()
    wire.sent(50, 100, 4)
    wire.sent(54, 100, 4)
    wire.came(100, 50)
    wire.sent(50, 100, 4, role="retransmit")
    wire.came(100, 54)
    wire.came(100, 54)
    wire.came(100, 58)
    assert wire.passing.moments(0) == [5, 7]


def test_another_connection_of_the_same_ports_begins_anew() -> None:
    """What was on its way on the old one belongs to nobody any more."""
    wire = Wire()
    wire.sent(50, 100, 4)
    wire.sent(1, 0, flags="S", role="syn")
    wire.came(9, 54, flags="A")
    assert wire.passing.moments(0) == []


def test_other_traffic_is_left_out() -> None:
    """By the server's port; without one all segments count. ICMP errors have no ports."""
    for port, found in ((80, []), (None, [1])):
        wire = Wire(port)
        wire.came(100, 50, 4)
        wire.sent(50, 104)
        assert wire.passing.moments(math.inf) == found
    wire = Wire(None)
    wire.passing.take(1, CapturedPacket(way="in", role="icmp"))
    assert wire.passing.moments(math.inf) == []
