"""The events of a connection's ends and of other programs under test: the data of each kind.

A key that is not OPTIONAL is written in each run. Its default, if it has one, stands for it in a
timeline that was made by hand or by an earlier version. The string below a key describes it in the
output of `harness schema timeline`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from harness.model.topology import Side

OPTIONAL = msgspec.Meta(extra={"optional": True})
"""Marks a key that may be missing."""
Nanoseconds = Annotated[int, msgspec.Meta(ge=0)]
Address = tuple[str, int]
"""Address and port."""
Poll = tuple[str, ...]
"""Names of poll(2)'s events, without "POLL"."""


class OfProgram(msgspec.Struct, frozen=True):
    """What a program under test did."""

    side: str
    """The program's table in the scenario: client, server, or one in the middle."""


class OfSide(msgspec.Struct, frozen=True):
    """What an end of the connection did."""

    side: Side
    """The end of the connection."""


class Noticed(OfSide, frozen=True):
    """An end detects that the connection is over."""


# --- becoming ready ------------------------------------------------------------------------------


class Listening(OfSide, frozen=True):
    """A built-in server that is a process of its own listens."""

    port: int
    """The port that it listens at."""


class Armed(OfSide, frozen=True):
    """The socket's options are set: the moment that a scenario's times count from.

    Of a connection that is being made: the call of connect(2). Of a command: its connection's SYN.
    """

    took_ns: Nanoseconds
    """The duration of the call: the moment is known to within it."""
    lag_ns: Annotated[Nanoseconds, OPTIONAL] = 0
    """How long before the call the kernel had counted its last jiffy. Of built-in ends alone."""
    local: Annotated[Address | None, OPTIONAL] = None
    """The end's own address and port. Not of commands that made no connection."""
    remote: Annotated[Address | None, OPTIONAL] = None
    """The peer's address and port. Not of commands that made no connection."""


class Connected(OfSide, frozen=True):
    """A connection that was being made is established."""


class Ready(OfProgram, frozen=True):
    """A command that was started again after a fault is ready."""

    took_ns: Nanoseconds
    """Since it was started."""


class Restarted(OfProgram, frozen=True):
    """A command was started again after a fault had ended it."""


# --- detecting the end ---------------------------------------------------------------------------


class TcpInfo(msgspec.Struct, frozen=True):
    """Fields of struct tcp_info (include/uapi/linux/tcp.h)."""

    state: int
    """tcpi_state, a number of enum in include/net/tcp_states.h."""
    retransmits: int
    """tcpi_retransmits: consecutive timeouts of the retransmission timer."""
    probes: int
    """tcpi_probes: unanswered keepalive or window probes."""
    backoff: int
    """tcpi_backoff: how often the timeout was doubled."""
    rto_us: int
    """tcpi_rto: the retransmission timeout in microseconds."""
    unacked: int
    """tcpi_unacked: segments that were sent and not acknowledged."""


class Detected(Noticed, frozen=True):
    """An end's socket reports an error."""

    errno: str
    """The error's name: ETIMEDOUT."""
    syscall: str = ""
    """The system call that returned it."""
    poll: Poll = ()
    """The events that poll(2) had returned."""
    tcp_info: TcpInfo | None = None
    """What the kernel says of the socket afterwards."""


class Eof(Noticed, frozen=True):
    """An end has read the end of the stream."""

    poll: Poll = ()
    """The events that poll(2) had returned."""


class GivenUp(Noticed, frozen=True):
    """An end's program itself gives its peer up."""

    how: str
    """What shows it: heartbeat or garbage (built-in ends), exit, output, close or reconnect
    (commands).
    """
    found: str
    """The same in words: the line of output, the exit status."""
    reports: str | None = None
    """What a command reports: what the pattern's group matched, or its exit status."""


class Sign(OfSide, frozen=True):
    """A command shows that it has detected something, after arming. What a fault has killed gives
    no sign. Of runs with outcome "any".
    """

    how: Literal["exit", "output", "close", "reconnect"]
    """What shows it."""
    found: str
    """The same in words: the line of output, the exit status."""
    reports: str | None
    """What a command reports: what the pattern's group matched, or its exit status."""
    local: Annotated[Address, OPTIONAL] = ("", 0)
    """The command's address and port, of a connection that it closes or begins."""
    remote: Annotated[Address, OPTIONAL] = ("", 0)
    """The peer's address and port, of such a connection."""
    late_ns: Annotated[Nanoseconds, OPTIONAL] = 0
    """It may have come so much earlier."""


# --- what else an end does -----------------------------------------------------------------------


class Reconnected(OfSide, frozen=True):
    """A connection that takes the place of the lost one is established."""

    local: Annotated[Address | None, OPTIONAL] = None
    """The end's own address and port. Of commands alone."""
    remote: Address | None = None
    """The address and port of its peer."""
    server: Annotated[str | None, OPTIONAL] = None
    """The server's host. Of the heartbeat design "idle-state" alone."""


class Beatless(OfSide, frozen=True):
    """The server of the heartbeat design "separate" could not connect back for heartbeats."""

    errno: str
    """The error's name."""
    remote: Address
    """Where it was to connect to."""


class Printed(OfProgram, frozen=True):
    """A command printed a line."""

    line: str
    """The line, shortened where it is very long."""


class SignOfLife(OfSide, frozen=True):
    """A command printed a line that shows that it works."""

    line: str = ""
    """The line, shortened where it is very long."""


class Wrote(OfSide, frozen=True):
    """A built-in end wrote data, or could not."""

    written: bool
    """Whether the socket took any of it."""
    took_ns: Nanoseconds
    """The duration of the call."""
    lag_ns: Nanoseconds = 0
    """How long before the call the kernel had counted its last jiffy."""
    octets: int = 0
    """How many the socket took."""


class Shut(OfSide, frozen=True):
    """A built-in end shut its writing direction, or could not."""

    done: bool
    """Whether the FIN is queued."""
    took_ns: Nanoseconds
    """The duration of the call."""


class Echoed(OfSide, frozen=True):
    """Data came to a built-in client that is a process of its own."""

    octets: int
    """How many octets have come so far."""


class Alive(OfSide, frozen=True):
    """Data was sent through the connection at the end of the watch."""

    echo: bool
    """Whether it came back."""


class Exited(OfProgram, frozen=True):
    """A program under test has ended."""

    status: int
    """Its exit status; -N where signal N ended it."""


# --- an end's socket -----------------------------------------------------------------------------


class Settings(OfSide, frozen=True):
    """The options of the socket of a command's connection. At the end of the watch: of the watched
    connection and the three latest ones, as far as a program still has them. Of runs with outcome
    "any".
    """

    when: Literal["armed", "end"]
    """After arming, or at the end of the watch."""
    local: Address
    """The command's own address and port."""
    remote: Address
    """The peer's address and port."""
    keepalive: bool | None
    """SO_KEEPALIVE; null, as are all options, where they could not be read."""
    idle_s: int | None
    """TCP_KEEPIDLE, seconds."""
    interval_s: int | None
    """TCP_KEEPINTVL, seconds."""
    count: int | None
    """TCP_KEEPCNT."""
    user_timeout_ms: int | None
    """TCP_USER_TIMEOUT, milliseconds; 0: not set."""


class LeftSocket(msgspec.Struct, frozen=True):
    """A TCP connection on a command's host, not in the state TIME_WAIT."""

    local: Address
    """The command's own address and port."""
    remote: Address
    """The peer's address and port."""
    state: str
    """The state's name: ESTABLISHED."""
    held: bool
    """Whether a program still has the socket."""
    unsent: int
    """Octets that the peer has not acknowledged."""
    unread: int
    """Octets that no program has read."""


class Left(OfSide, frozen=True):
    """What is left of a command at the end of the watch, before anything is taken down. Of runs
    with outcome "any".
    """

    processes: tuple[str, ...]
    """The names of its processes."""
    sockets: tuple[LeftSocket, ...]
    """Its host's TCP connections."""
