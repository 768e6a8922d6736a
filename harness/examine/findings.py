"""What an examination found, as plain values: one `CellReport` for each fault under each load.

All times are seconds. `*_s` of a sign counts from the fault, negative before it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from harness.examine.faults import Course
from harness.model.topology import Side

How = Literal["exit", "output", "close", "reconnect", "error", "end-of-file", "heartbeat"]
Finding = Literal["detected", "never", "false-alarm", "unaffected", "struck", "unknown"]
"""What an end did.

detected     it showed that it had detected the fault
never        it showed nothing until the watch ended, though its peer was gone
false-alarm  it showed a detection before the fault, or under a fault that leaves the peer there
unaffected   it showed nothing, and need not have
struck       the fault struck this end itself: nothing is examined
unknown      the run could not be examined; `CellReport.trouble` says why
"""
Grade = Literal["good", "bad", "unknown", "none"]
Mechanism = Literal[
    "keepalive", "user-timeout", "retransmissions", "rst", "fin", "own-timer", "nothing"
]
"""What decided.

keepalive        unanswered keepalive probes: TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT
user-timeout     TCP_USER_TIMEOUT
retransmissions  the last retransmission of data in flight (net.ipv4.tcp_retries2)
rst, fin         the answer or the end of the stream from the other side
own-timer        a timer of the program: no timer of the kernel was due
nothing          nothing was sent, and keepalive is off: this end cannot detect it
"""


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """How a program showed that its connection is over.

    `found`: in words; `reports`: what it said of it; `said`: the line that it printed just before.
    `guessed`: nobody named it as a sign.
    `late_s`: it may have come so much earlier, as it was found by a look now and then.
    """

    how: How
    at_s: float
    found: str
    reports: str | None = None
    said: str | None = None
    guessed: bool = False
    late_s: float = 0.0


class Attribution(msgspec.Struct, frozen=True, kw_only=True):
    """Which timer or segment decided.

    `window_s`: the oracle's exact window for it, after the fault; None where there is none.
    """

    by: Mechanism
    words: str
    window_s: tuple[float, float] | None = None


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """How an end works again after the fault.

    `connection`: on the same connection or on a new one. `by`: data has passed, or a new connection
    was made, or the old one stands and nothing was sent. `after_s`: from the end of the fault or,
    where that does not end, from the detection.
    """

    connection: Literal["same", "new"]
    by: Literal["data", "handshake", "stands"]
    after_s: float


class LeftSocket(msgspec.Struct, frozen=True, kw_only=True):
    """A socket that was left at the end of the watch. `unsent`, `unread`: octets in its queues."""

    state: str
    unsent: int = 0
    unread: int = 0


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What was left of an end at the end of the watch."""

    processes: int = 0
    sockets: tuple[LeftSocket, ...] = ()


class SocketSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Options read from the live socket."""

    keepalive: bool
    idle_s: int = 7200
    interval_s: int = 75
    count: int = 9
    user_timeout_ms: int = 0


class EndReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one end did.

    `sign`: the first sign of a detection; `others`: those after it. `error`: an errno's name, where
    it was seen. `probes`, `retransmissions`, `writes`: segments that it sent after the fault and
    before the sign, or until the watch ended. `ended`: the exit status, where the program ended.
    """

    side: Side
    finding: Finding
    grade: Grade
    sign: Sign | None = None
    others: tuple[Sign, ...] = ()
    error: str | None = None
    probes: int = 0
    retransmissions: int = 0
    writes: int = 0
    attribution: Attribution | None = None
    recovery: Recovery | None = None
    left: Left | None = None
    settings: SocketSettings | None = None
    ended: int | None = None


class CellReport(msgspec.Struct, frozen=True, kw_only=True):
    """One fault under one load.

    `name`: of the scenario, and of its run directory. `watched_s`: how long the ends were watched
    after the fault. `trouble`: why the run could not be examined. `notes`: what a reader should
    know, such as that the fault met no packet.
    """

    name: str
    fault: str
    title: str
    words: str
    course: Course
    load: str
    watched_s: float
    ends: tuple[EndReport, EndReport]
    trouble: str = ""
    notes: tuple[str, ...] = ()

    def end(self, side: Side) -> EndReport:
        """What one end did."""
        return self.ends[0] if side == "client" else self.ends[1]


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """All cells, with where they were run. `left_out`: faults that do not fit, with the reason."""

    client: str
    server: str
    clock: str
    kernel: str
    hz: int
    cells: tuple[CellReport, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    guesses: tuple[str, ...] = ()
