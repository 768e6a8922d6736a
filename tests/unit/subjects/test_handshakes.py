"""The order of a side's connections, and their moments."""

from __future__ import annotations

import pytest

from harness.lab.socket_table import Ends
from harness.model.topology import Side
from harness.subjects.handshakes import Handshakes
from harness.subjects.tcp_driver import PORT

SYN, ACK, PUSH, RESET = (frozenset(flags) for flags in ("S", "A", "PA", "RA"))


def connection(side: Side, client_port: int, server_port: int = PORT) -> Ends:
    """As that side sees it."""
    client, server = ("10.77.1.1", client_port), ("10.77.2.2", server_port)
    return Ends(client, server) if side == "client" else Ends(server, client)


@pytest.mark.parametrize("side", ["client", "server"])
def test_connections_count_in_the_order_of_their_syns(side: Side) -> None:
    """From 1, those to the server's port alone; -1 is the last one.

    A repeated SYN begins nothing.
    """
    handshakes = Handshakes(side)
    first, second = connection(side, 40001), connection(side, 40002)
    assert handshakes.take(connection(side, 40000, server_port=9), SYN, 50)
    assert handshakes.take(first, SYN, 100)
    assert handshakes.take(second, SYN, 200)
    assert not handshakes.take(first, SYN, 300)
    found = [handshakes.begun(number) for number in (1, 2, 3, -1, -2, -3)]
    assert found == [first, second, None, second, first, None]
    assert handshakes.begun_ns(first) == 100


def test_a_connection_stands_since_its_first_acknowledgement() -> None:
    """Data that comes later changes nothing; a RST is none.

    Where it was not captured, the SYN's moment counts.
    """
    handshakes = Handshakes("client")
    first, second = connection("client", 40001), connection("client", 40002)
    handshakes.take(first, SYN, 100)
    handshakes.take(first, RESET, 101)
    assert (handshakes.first_stood_ns(), handshakes.stood_ns(first)) == (None, 100)
    handshakes.take(second, SYN, 200)
    handshakes.take(second, ACK, 202)
    handshakes.take(second, PUSH, 300)
    assert (handshakes.first_stood_ns(), handshakes.stood_ns(second)) == (202, 202)


def test_another_programs_connections_count_from_1_again() -> None:
    """Those of the program before it are forgotten."""
    handshakes = Handshakes("client")
    handshakes.take(connection("client", 40001), SYN, 100)
    handshakes.take(connection("client", 40001), ACK, 101)
    handshakes.forget()
    assert (handshakes.begun(1), handshakes.first_stood_ns()) == (None, None)
    handshakes.take(connection("client", 40002), SYN, 200)
    assert handshakes.begun(1) == connection("client", 40002)
