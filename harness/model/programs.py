"""What may run at an end of the connection beside the built-in TCP program: heartbeat designs and
commands, as values.

Frozen data, no I/O; `harness.subjects` makes programs of them. The designs and their numbers are
those of the classic texts: Stevens' UNIX Network Programming (volume 1, section 24.5, urgent data),
and Netty's IdleStateHandler.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import msgspec

from harness.model.values import Duration, Problem

Misses = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Load = Literal["idle", "trickle", "full"]
"""What a program sends while the fault sets in: nothing, a little now and then, or more than its
send buffer holds.
"""
QUIET_S = 1.0
"""For how long the connection must have carried no data before a client counts as ready, where
nothing is said.
"""
BUSY_S = 10.0
"""How long a connection may go on carrying data before a command that awaits a pause is ready."""
MOST_INPUT_OCTETS = 4096
"""Of a command's input at a time: as many fit into a pipe at once (pipe(7), PIPE_BUF)."""
PLACEHOLDERS = ("port", "load", "python", "scratch", "libraries", "scenario")
"""What stands for itself in the words of a command, beside the names of hosts."""
UNFLUSHED = (
    "if it should have, its output may be buffered: flush each line, or run it under `stdbuf -oL`"
)
"""For messages about a command that has printed nothing although a line of it is awaited."""


def spelled(argv: Sequence[str]) -> str:
    """A command line as a user types it: words with placeholders such as {port} need no quotes."""
    return " ".join(
        word if re.fullmatch(r"[\w@%+=:,./{}-]+", word, re.ASCII) else shlex.quote(word)
        for word in argv
    )


class Heartbeat(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="design"
):
    """An application heartbeat.

    Its messages are framed; all its times are of the monotonic clock.
    """

    @property
    def design(self) -> str:
        """The name used in scenario files."""
        return str(self.__struct_config__.tag)


class Simple(Heartbeat, frozen=True, kw_only=True, tag="simple"):
    """A heartbeat message on the connection itself, when nothing has come for a while.

    The client waits `idle_s` for input; when that is over it counts a miss, sends a heartbeat and
    waits `wait_s`, and so on; the miss after `misses` is the end. Any input sets count and timer
    back. The server waits `idle_s` + `wait_s`, then counts a miss every `wait_s`; it answers each
    heartbeat and sends none by itself. Detected so long after the last input: idle_s + misses *
    wait_s by the client, wait_s more by the server. `blocking`: the heartbeat is sent by a send(2)
    that waits for room in the send buffer.
    """

    idle_s: Duration = 60.0
    wait_s: Duration = 10.0
    misses: Misses = 3
    blocking: bool = False


class Separate(Heartbeat, frozen=True, kw_only=True, tag="separate"):
    """As `simple`, with the heartbeats on a connection of their own, one octet each.

    The client listens at a port that is free and announces it as the first octets on the data
    connection; the server connects back. Input on either connection sets count and timer back.
    """

    idle_s: Duration = 60.0
    wait_s: Duration = 10.0
    misses: Misses = 3


class Urgent(Heartbeat, frozen=True, kw_only=True, tag="urgent"):
    """A heartbeat in out-of-band data: one TCP urgent octet every `interval_s`.

    The client counts the intervals in which no urgent octet came back and gives up when there would
    be more than `misses` of them. The server counts by a timer of its own, sends each urgent octet
    back and none by itself. Detected between `misses` and `misses` + 1 intervals after the fault by
    the client, from one interval earlier on by the server.
    """

    interval_s: Duration = 1.0
    misses: Misses = 5


class IdleTimer(Heartbeat, frozen=True, kw_only=True, tag="idle-timer"):
    """A client with a timer apart: after `idle_s` without traffic it sends a heartbeat, again every
    `retry_s`.

    It gives up `retry_s` after the last of `tries` that nothing answered: idle_s + tries * retry_s
    after the last input or output of its own other than heartbeats. Its server is a `reaper`.
    """

    idle_s: Duration = 25.0
    retry_s: Duration = 5.0
    tries: Misses = 5


class Reaper(Heartbeat, frozen=True, kw_only=True, tag="reaper"):
    """A server that drops who has been silent for `silence_s`, looking every `poll_s` at who has
    been so the longest.

    It answers each heartbeat and sends none by itself. Detected silence_s to silence_s + poll_s
    after the last input.
    """

    silence_s: Duration = 60.0
    poll_s: Duration = 1.0


class IdleState(Heartbeat, frozen=True, kw_only=True, tag="idle-state"):
    """A client that pings when it has written nothing for `write_idle_s`, and gives up when it has
    read nothing.

    That is so when `misses` times in a row nothing was read for `read_idle_s`. A watchdog apart
    from the connection, whose timers die with it, then connects to the next of `servers` (hosts of
    the topology), `retry_s` after the end and after each failed attempt, each time twice as long,
    to `most_retry_s`; none where `servers` is empty. Its server is a `reaper`.
    """

    write_idle_s: Duration = 30.0
    read_idle_s: Duration = 60.0
    misses: Misses = 1
    servers: tuple[str, ...] = ()
    retry_s: Duration = 1.0
    most_retry_s: Duration = 30.0


AnyHeartbeat = Simple | Separate | Urgent | IdleTimer | Reaper | IdleState
PARTNERS: dict[str, str] = {
    "simple": "simple",
    "separate": "separate",
    "urgent": "urgent",
    "idle-timer": "reaper",
    "idle-state": "reaper",
}
"""The design of the server that goes with each design of a client."""


class Ready(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a command counts as ready: when all that is said here was so once, in the first
    `within_s` seconds.

    A client must also have made the connection that is watched. A server may stop listening after
    that.
    """

    listens: bool = False
    """Its host listens at the port."""
    prints: str = ""
    """A line of its output matches this regular expression. Such a line may come again after a
    reconnect: it then shows a detection only where `detects.prints` matches it.
    """
    quiet_s: Duration | None = None
    """The connection stands, and no connection at the port has carried data for so many seconds. If
    data goes on for ten seconds without such a pause, the command is ready all the same.
    """
    within_s: Duration = 60.0
    """How long it may take. In the state "connecting" a client's first SYN is awaited so long."""


class Detects(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a command shows a detection; of several the first counts."""

    prints: str = ""
    """A line of its output matches this regular expression, whose first group is what it
    reports.
    """
    exits: bool = False
    """It ends, with `status` where that is given; any other end leaves the run inconclusive."""
    status: Annotated[int, msgspec.Meta(ge=0, le=255)] | None = None
    """The exit status with which it ends."""
    closes: bool = False
    """It closes the watched connection, or its own kernel ends that."""
    reconnects: bool = False
    """It connects anew, to the same or another server."""


class Alive(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a command shows that it still works: a line of its output matches the regular expression
    `prints`.

    Where nothing is detected, the last such line must have come in the last `within_s` seconds of
    the watch, and after the last change: a fault's injection or its removal. The watch goes on for
    `within_s` or longer after that.
    """

    prints: Annotated[str, msgspec.Meta(min_length=1)]
    within_s: Duration = 60.0


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Any program, in any language, started on its host.

    In `argv`, in the values of `env` and in `folder` stand for themselves: {server} the server's
    address as the client reaches it, which is the proxy's where there is one, and in any other
    command the server's own; {client}, {proxy}, {router} and so on the address of each host of the
    topology as the command's host reaches it; {port} the port, {load} the load, {python} the
    harness's own interpreter, {scratch} an empty folder of the run's own that goes with it,
    {libraries} the folder of what `ci/libraries` installed, {scenario} the folder of the scenario's
    file. The environment also has them, as HARNESS_SERVER and so on, but for the last one, and
    PYTHONUNBUFFERED=1 unless that is set already.

    The scenario's times count from when both ends are ready. A command on the observed side that
    ends before it has shown a detection, and not as `detects.exits` says, leaves the run
    inconclusive. So does one on the other side that ends with another status than 0 before a fault
    was injected; after that it may end. A fault that stands from the beginning counts once it has
    acted.
    """

    argv: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """The program and its arguments, with placeholders such as {server} and {port}."""
    env: dict[str, str] = {}
    """Variables of its environment."""
    folder: str = "{scratch}"
    """The working directory."""
    ready: Ready = Ready()
    """When it counts as ready."""
    detects: Detects = Detects()
    """How it shows a detection."""
    alive: Alive | None = None
    """How the observed command shows that it still works, which "survives" needs and "never" may
    have.
    """
    connection: Annotated[int, msgspec.Meta(ge=-1, le=1000)] = 1
    """Which of its connections to the other end's port is watched, counted from 1 in the order in
    which they were begun, -1 the last one.
    """
    load: Load = "idle"
    """What the program is told to keep up: it is the program that does, and the captures that show
    it.
    """
    input: str = ""
    """What is written to its standard input when it is started. That stays open until the run
    ends.
    """
    input_every_s: Duration | None = None
    """How often the input is written again, in seconds from arming on."""

    def problems(self) -> Iterator[Problem]:
        """What is wrong with it that its types cannot rule out."""
        patterns = [("ready.prints", self.ready.prints), ("detects.prints", self.detects.prints)]
        patterns += [] if self.alive is None else [("alive.prints", self.alive.prints)]
        for key, pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                yield Problem(key, pattern, f"a regular expression ({error})")
        if self.detects.status is not None and not self.detects.exits:
            yield Problem("detects.status", self.detects.status, "exits = true with it")
        if len(self.input.encode(errors="surrogatepass")) > MOST_INPUT_OCTETS:
            yield Problem("input", self.input, f"{MOST_INPUT_OCTETS} octets at most")
        if self.input_every_s is not None and not self.input:
            yield Problem("input_every_s", self.input_every_s, "input with it: what is written")
        if self.connection == 0:
            yield Problem("connection", 0, "1 for the first connection, or -1 for the last one")

    def problems_in_the_middle(self) -> Iterator[Problem]:
        """What is wrong with it where it is neither end of the connection, so that nothing of it is
        judged.
        """
        yield from self.problems()
        if self.detects != Detects():
            yield Problem(
                "detects", self.detects, "no such key: only an end of the connection is judged"
            )
        if self.alive is not None:
            yield Problem(
                "alive", self.alive.prints, "no such key: only an end of the connection is judged"
            )
        if self.connection != 1:
            yield Problem(
                "connection",
                self.connection,
                "no such key: only an end of the connection is watched",
            )
        if self.ready.quiet_s is not None:
            expected = "no such key: only an end of the connection is watched"
            yield Problem("ready.quiet_s", self.ready.quiet_s, expected)
        if self.input_every_s is not None:
            expected = "no such key: only an end of the connection writes again and again"
            yield Problem("input_every_s", self.input_every_s, expected)

    @property
    def is_heard(self) -> bool:
        """Whether lines of its output mean anything."""
        return bool(self.ready.prints or self.detects.prints or self.alive)

    @property
    def shows(self) -> bool:
        """Whether anything is said about how it shows a detection."""
        return self.detects != Detects()


class OwnProxy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command as the proxy of the topology "proxied": it listens at {proxy} and {port}, and
    connects to {server}.
    """

    command: Command | None = None


class Standby(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A second server, `on` a host between client and server, for clients that turn to another."""

    on: str
    command: Command
