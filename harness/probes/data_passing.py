"""When data passes between an end and its peer, told from the segments captured on the end's host.

Data passes at the moment at which a segment with payload arrives that the end's kernel then
acknowledges: what comes for a connection that the end has given up is answered with RST. That shows
the whole way: the peer's program has written, and the end holds the connection. A handshake shows
neither, nor does an acknowledgement of what the end itself has sent: a kernel sends both for a
program that hangs, or that never takes the connection from its queue.

Some peers only receive. Where none of the peer's payload came before the first fault, the moment at
which the peer newly acknowledges payload of this end counts, too.
"""

from __future__ import annotations

from harness.model.events import CapturedPacket

_HALF, _MASK = 1 << 31, (1 << 32) - 1


def _reaches(number: int, wanted: int) -> bool:
    """Whether a sequence number is at or after another one, modulo 2**32 (RFC 9293, 3.4)."""
    return (number - wanted) & _MASK < _HALF


class _Flow:
    """One connection: what has come and is not acknowledged yet, and the same of what was sent."""

    def __init__(self) -> None:
        self.came: tuple[int, int] | None = None
        """When the first such payload came, and the sequence number after it."""
        self.sent: tuple[int, int] | None = None
        """The sequence numbers of the first such octet, and after the last one."""


class DataPassing:
    """Takes the segments of an end's host in the order of time.

    Times are nanoseconds of whatever clock `take` is given.
    """

    def __init__(self, port: int | None) -> None:
        """`port`: the server's; segments from or to another one are left out. None: none are."""
        self._port = port
        self._flows: dict[tuple[int, int], _Flow] = {}
        self._came: list[int] = []
        self._acknowledged: list[int] = []

    def take(self, at_ns: int, seen: CapturedPacket) -> None:
        """A segment. ICMP errors are left out, and keepalive probes, whose octet is no data."""
        ports = seen.sport, seen.dport
        if not all(ports) or seen.role == "probe":
            return
        if self._port is not None and self._port not in ports:
            return
        is_own = seen.way == "out"
        near, far = ports if is_own else ports[::-1]
        if set(seen.flags) & {"S", "R"}:
            self._flows.pop((near, far), None)
            return
        flow = self._flows.setdefault((near, far), _Flow())
        if is_own:
            self._sends(flow, seen.seq, seen.ack, seen.length)
        else:
            self._receives(flow, at_ns, seen.seq, seen.ack, seen.length)

    def moments(self, before_ns: float) -> list[int]:
        """When data passed, in the order of time. `before_ns`: when the first fault set in."""
        if self._came and self._came[0] < before_ns:
            return self._came
        return sorted(self._came + self._acknowledged)

    def _sends(self, flow: _Flow, seq: int, ack: int, length: int) -> None:
        if flow.came is not None and _reaches(ack, flow.came[1]):
            self._came.append(flow.came[0])
            flow.came = None
        if length:
            ends = (seq + length) & _MASK
            first, last = flow.sent or (seq, ends)
            flow.sent = first, ends if _reaches(ends, last) else last

    def _receives(self, flow: _Flow, at_ns: int, seq: int, ack: int, length: int) -> None:
        if flow.sent is not None and _reaches(ack, flow.sent[0] + 1):
            self._acknowledged.append(at_ns)
            flow.sent = None if _reaches(ack, flow.sent[1]) else (ack, flow.sent[1])
        if length and flow.came is None:
            flow.came = at_ns, (seq + length) & _MASK
