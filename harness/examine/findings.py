"""What an examination found, as plain values: one `CellReport` for each fault under each load.

They are part of the JSON document of `harness examine`: the string below a key describes it there.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from harness.examine.faults import Course
from harness.model.topology import Side

How = Literal["exit", "output", "close", "reconnect", "error", "end-of-file", "heartbeat"]
Finding = Literal["detected", "never", "false-alarm", "unaffected", "struck", "unknown"]
Grade = Literal["good", "bad", "unknown", "none"]
Mechanism = Literal[
    "keepalive", "user-timeout", "retransmissions", "rst", "fin", "own-timer", "nothing", "unknown"
]


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """How a program showed that its connection is over."""

    how: How
    """What showed it: the program's end, a line of output, the close of its connection, a new
    connection; of a built-in program an error of the socket, the end of the stream, its heartbeat.
    """
    at_s: float
    """When, in seconds after the fault; negative before it."""
    found: str
    """The sign in words: the line that was printed, "status 1"."""
    reports: str | None = None
    """What the program said of it: the first group of `detects.prints`, the exit status."""
    said: str | None = None
    """The line that it printed just before."""
    guessed: bool = False
    """Whether nobody named this line of output as a sign."""
    late_s: float = 0.0
    """How much earlier it may have come, as it was found by a look now and then."""


class Attribution(msgspec.Struct, frozen=True, kw_only=True):
    """Which timer or segment decided."""

    by: Mechanism
    """keepalive; user-timeout (TCP_USER_TIMEOUT); retransmissions (tcp_retries2); rst and fin from
    the other side; own-timer (no timer of the kernel was due); nothing (keepalive is off and
    nothing was sent, so that this end cannot detect the fault); unknown (its own interface was
    down, so that nothing shows what it sent).
    """
    words: str
    """The same for people, with the settings."""
    window_s: tuple[float, float] | None = None
    """The exact window that the oracle predicts for it, in seconds after the fault; null where
    there is none.
    """


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """How an end works again after the fault."""

    connection: Literal["same", "new"]
    """On the watched connection, or on a later one."""
    by: Literal["data", "handshake", "stands"]
    """data: data has arrived; handshake: a connection was made, and no data has arrived; stands:
    the connection stands, and nothing was sent on it.
    """
    after_s: float
    """Seconds from the end of the fault or, where that does not end, from the detection."""


class LeftSocket(msgspec.Struct, frozen=True, kw_only=True):
    """A socket that was left at the end of the watch."""

    state: str
    """Its TCP state: ESTABLISHED."""
    unsent: int = 0
    """Octets that were written and are not acknowledged."""
    unread: int = 0
    """Octets that have arrived and were not read."""


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What was left of an end at the end of the watch."""

    processes: int = 0
    """How many processes."""
    sockets: tuple[LeftSocket, ...] = ()
    """All TCP sockets of its host."""


class SocketSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Options read from the live socket."""

    keepalive: bool
    """SO_KEEPALIVE."""
    idle_s: int = 7200
    """TCP_KEEPIDLE."""
    interval_s: int = 75
    """TCP_KEEPINTVL."""
    count: int = 9
    """TCP_KEEPCNT."""
    user_timeout_ms: int = 0
    """TCP_USER_TIMEOUT; 0: none."""


class EndReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one end did."""

    side: Side
    """Which end."""
    finding: Finding
    """detected: it showed that it had detected the fault; never: it showed nothing until the watch
    ended, though its peer was gone; false-alarm: it showed a detection before the fault, or under
    one that leaves the peer there; unaffected: it showed nothing, and need not have; struck: the
    fault struck this end itself; unknown: the run could not be examined.
    """
    grade: Grade
    """Whether that is good or bad; none where the end was not examined."""
    sign: Sign | None = None
    """The sign that counts; null where it showed nothing."""
    others: tuple[Sign, ...] = ()
    """All other signs, in the order of time."""
    error: str | None = None
    """The name of the errno that it showed, if there was one: ETIMEDOUT."""
    probes: int = 0
    """Keepalive probes that it sent between the fault and the sign, or the end of the watch."""
    retransmissions: int = 0
    """Retransmissions in that time."""
    writes: int = 0
    """Segments of new data in that time, such as pings."""
    attribution: Attribution | None = None
    """Which timer or segment decided, or why nothing could."""
    recovery: Recovery | None = None
    """How it works again; null where nothing shows that it does."""
    left: Left | None = None
    """What was left of it; null of a built-in program."""
    settings: SocketSettings | None = None
    """The options of its socket; null where they could not be read."""
    ended: int | None = None
    """The exit status of its program, if that ended; negative: the signal that ended it."""


class CellReport(msgspec.Struct, frozen=True, kw_only=True):
    """One fault under one load."""

    name: str
    """The cell's name, and that of its run directory."""
    fault: str
    """The name of the fault in the grid."""
    title: str
    """The fault as a noun."""
    words: str
    """What happens, as a sentence."""
    course: Course
    """lasts: the peer is gone and should be detected; ends: the path or the peer comes back;
    harmless: the peer is there all the time.
    """
    load: str
    """idle, trickle or full; empty where the commands offer no choice."""
    watched_s: float
    """How long the ends were watched, in seconds after the fault."""
    ends: tuple[EndReport, EndReport]
    """The client and the server."""
    trouble: str = ""
    """Why the run could not be examined; empty where it was."""
    notes: tuple[str, ...] = ()
    """What a reader should know, such as that the fault met no packet."""

    def end(self, side: Side) -> EndReport:
        """What one end did."""
        return self.ends[0] if side == "client" else self.ends[1]


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """All cells, with where they were run."""

    client: str
    """The client's command."""
    server: str
    """The server's command."""
    clock: str
    """virtual or real."""
    kernel: str
    """The release of the kernel."""
    hz: int
    """Its timer frequency."""
    cells: tuple[CellReport, ...]
    """Each fault under each load."""
    left_out: tuple[tuple[str, str], ...] = ()
    """Faults that these programs or this machine cannot meet, each with the reason."""
    guesses: tuple[str, ...] = ()
    """What was taken for granted of the commands, in words."""
