"""How tests of labs find out whether one host reaches another, and whether anything was lost on the
way.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from harness.api.detection import Detection, Expected
from harness.lab.host import Host, Lab
from harness.model.topology import FAMILIES, SIDES, Side
from harness.system import kernel_clock

PATIENCE_S = 30.0
"""The longest that a working connection may take on however busy a machine."""


class Call(NamedTuple):
    """What came back of "hello", and how many segments the caller had to send again, its SYN among
    them.
    """

    reply: bytes
    retransmissions: int


AT_ONCE = Call(b"hello", 0)


def far(lab: Lab, caller: Side) -> tuple[Host, str]:
    """The host with the address to which a side's packets can get: the other end, or the host of a
    proxy.
    """
    called: Side = SIDES[1 - SIDES.index(caller)]
    if lab.layout.proxy is None:
        return lab.host(called), lab.layout.address(called)
    address = lab.layout.host(lab.layout.proxy).facing(caller).address
    assert address is not None
    return lab.host(lab.layout.proxy), address


def call(lab: Lab, caller: Side, timeout_s: float = PATIENCE_S) -> Call:
    """Send "hello" from a side as far as it gets over a new connection. Raises OSError."""
    called, address = far(lab, caller)
    family = FAMILIES[lab.layout.family]
    with called.socket(family) as listener, lab.host(caller).socket(family) as connection:
        listener.bind((address, 0))
        listener.listen()
        listener.settimeout(PATIENCE_S)
        connection.settimeout(timeout_s)
        connection.connect((address, listener.getsockname()[1]))
        with listener.accept()[0] as accepted:
            accepted.settimeout(PATIENCE_S)
            connection.sendall(b"hello")
            accepted.sendall(accepted.recv(5))
            reply = connection.recv(5)
        again = retransmissions(connection)
    return Call(reply, again)


def retransmissions(connection: socket.socket) -> int:
    """How many segments a socket has sent again so far."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    (again,) = struct.unpack_from("I", info, 100)  # tcpi_total_retrans
    return int(again)


def foreseen(seen: Detection, expected: Expected) -> bool:
    """Whether what was seen is what was predicted.

    In real time it may come later, in virtual time it may not.

    A load of this machine delays a fault and what comes of it; that scenarios keep their windows in
    real time is for test_clocks.py, where the judge tells a busy machine from a wrong prediction.
    """
    if kernel_clock.clock() == "virtual":
        return seen in expected
    alike = [
        each for each in expected.outcomes if (each.kind, each.errno) == (seen.kind, seen.errno)
    ]
    return any(
        each.window_ns is None
        or seen.after_armed_s is None
        or each.window_ns[0] <= seen.after_armed_s * 1e9
        for each in alike
    )


def reaches(lab: Lab, caller: Side) -> bool:
    """Whether a side gets as far as it can within the time that takes a hundred times over."""
    try:
        return call(lab, caller, timeout_s=0.05).reply == b"hello"
    except OSError:
        return False
