"""Rules that count the watched connection, on every lab and topology of test_labs.py."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import msgspec
import pytest

from harness.lab.host import Host, Lab
from harness.lab.nftables import Rules
from harness.lab.watched import OTHERS, between_ends, counting
from harness.model.topology import FAMILIES
from tests.conformance import test_labs
from tests.conformance.calls import PATIENCE_S, far

pytestmark = pytest.mark.conformance

pytest_generate_tests, lab = test_labs.pytest_generate_tests, test_labs.lab
_IS_TCP = {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}


def test_connections_are_told_apart(lab: Lab) -> None:
    """Of two from the same client to the same port, rules count the segments of the one that is
    watched, and all others apart. Which one that is may be said afterwards.
    """
    called, address = far(lab, "client")
    ends = lab.watched = between_ends(lab.layout, 7003)
    rules: Rules = {"seen": [[_IS_TCP, {"counter": None}, {"accept": None}]]}
    with ExitStack() as stack:
        listener = stack.enter_context(called.socket(FAMILIES[lab.layout.family]))
        listener.bind((address, 7003))
        listener.listen()
        listener.settimeout(PATIENCE_S)
        hook = f"ingress:{called.spec.facing('client').name}"
        counted = stack.enter_context(counting(lab, called, hook, rules))
        (speaker, hears), (_, silent) = (
            _connected(lab.host("client"), listener, stack) for _ in range(2)
        )

        def of(*accepted: socket.socket) -> tuple[int, int]:
            known = (frozenset({e.getsockname()[:2], e.getpeername()[:2]}) for e in accepted)
            lab.watched = msgspec.structs.replace(ends, known=frozenset(known))
            found = counted()
            return found["seen"], found[OTHERS]

        before = of(silent)
        assert 0 < before[0] < sum(before)
        speaker.sendall(b"hello")
        assert hears.recv(5) == b"hello"
        after = of(silent)
        assert after[0] == before[0]
        assert after[1] > before[1]
        assert of(hears) == after[::-1]
        assert of(hears, silent) == (sum(after), 0)


def _connected(
    client: Host, listener: socket.socket, stack: ExitStack
) -> tuple[socket.socket, socket.socket]:
    """Both ends of a new connection."""
    near = stack.enter_context(client.socket(listener.family))
    near.settimeout(PATIENCE_S)
    near.connect(listener.getsockname()[:2])
    far_end = stack.enter_context(listener.accept()[0])
    far_end.settimeout(PATIENCE_S)
    return near, far_end
