"""When each design sends a heartbeat, and when it gives its peer up.

Pure: told the time, they say what is due next.

Moments are nanoseconds of the monotonic clock. What has come counts before a timer that ran out
meanwhile, as in a program that asks select(2): a program that stood still first reads. A timer that
is served a little late does not make the next one late; one that is served so late that the next
one is over, too, does, so that no two are served at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

Role = Literal["client", "server"]
Action = Literal["wait", "beat", "give-up"]
NS = 1_000_000_000


class Detector(Protocol):
    """One end's view of its peer.

    `due_ns`: when to call `tick`; it changes with every call of the others.
    """

    due_ns: int

    def begin(self, now_ns: int) -> None:
        """Its timers start."""

    def received(self, now_ns: int, *, urgent: bool = False) -> None:
        """Something came; `urgent`: as urgent data."""

    def wrote(self, now_ns: int) -> None:
        """The socket took something other than a heartbeat."""

    def waited(self, took_ns: int) -> None:
        """Sending a heartbeat took so long."""

    def tick(self, now_ns: int) -> Action:
        """It is due: what to do."""

    def found(self, now_ns: int) -> str:
        """Why it gives up, in words."""


def _later(due_ns: int, wait_ns: int, now_ns: int) -> int:
    """So long after the last time, or after now where that is over."""
    return due_ns + wait_ns if due_ns + wait_ns > now_ns else now_ns + wait_ns


class _Timed:
    """What they have in common: when something last came."""

    def __init__(self) -> None:
        self.due_ns = 0
        self.last_ns = 0

    def begin(self, now_ns: int) -> None:
        self.last_ns = now_ns

    def wrote(self, now_ns: int) -> None:
        """A successful send says only that the octets are in the local buffer."""

    def waited(self, took_ns: int) -> None:
        """The timer is set once that is over."""
        self.due_ns += took_ns

    def _again(self, now_ns: int, wait_ns: int) -> None:
        """It is due again so long after it was due."""
        self.due_ns = _later(self.due_ns, wait_ns, now_ns)

    def _silence(self, now_ns: int) -> str:
        return f"nothing received for {(now_ns - self.last_ns) / NS:.3f} s"


class Counting(_Timed):
    """`simple` and `separate`: misses one after the other, until something comes."""

    def __init__(self, first_ns: int, next_ns: int, misses: int, *, beats: bool) -> None:
        super().__init__()
        self.first_ns, self.next_ns, self.misses, self.beats = first_ns, next_ns, misses, beats
        self.missed = 0

    def begin(self, now_ns: int) -> None:
        self.received(now_ns)

    def received(self, now_ns: int, *, urgent: bool = False) -> None:
        self.last_ns, self.missed, self.due_ns = now_ns, 0, now_ns + self.first_ns

    def tick(self, now_ns: int) -> Action:
        self.missed += 1
        if self.missed > self.misses:
            return "give-up"
        self._again(now_ns, self.next_ns)
        return "beat" if self.beats else "wait"

    def found(self, now_ns: int) -> str:
        what = f"{self.misses} heartbeats unanswered" if self.beats else f"{self.missed} misses"
        return f"{what}, {self._silence(now_ns)}"


class Urgent(_Timed):
    """Counts intervals without an urgent octet.

    Nothing but one sets the count back, and nothing the timer.

    An octet that comes after the end of an interval does not count for that one, even where both
    are served at once.
    """

    def __init__(self, interval_ns: int, misses: int, *, beats: bool) -> None:
        super().__init__()
        self.interval_ns, self.misses, self.beats = interval_ns, misses, beats
        self.missed = 0

    def begin(self, now_ns: int) -> None:
        super().begin(now_ns)
        self.due_ns = now_ns + self.interval_ns

    def received(self, now_ns: int, *, urgent: bool = False) -> None:
        if urgent:
            self.last_ns, self.missed = now_ns, 0

    def tick(self, now_ns: int) -> Action:
        self.missed = 0 if self.last_ns > self.due_ns else self.missed + 1
        if self.missed > self.misses:
            return "give-up"
        self._again(now_ns, self.interval_ns)
        return "beat" if self.beats else "wait"

    def found(self, now_ns: int) -> str:
        what = f"{self.misses} heartbeats unanswered" if self.beats else f"{self.missed} misses"
        return f"{what}, no urgent octet for {(now_ns - self.last_ns) / NS:.3f} s"


class IdleTimer(_Timed):
    """Asks when the connection has been idle both ways, and again until something is answered."""

    def __init__(self, idle_ns: int, retry_ns: int, tries: int) -> None:
        super().__init__()
        self.idle_ns, self.retry_ns, self.tries = idle_ns, retry_ns, tries
        self.tried = 0

    def begin(self, now_ns: int) -> None:
        self.received(now_ns)

    def received(self, now_ns: int, *, urgent: bool = False) -> None:
        self.last_ns = now_ns
        self._active(now_ns)

    def wrote(self, now_ns: int) -> None:
        self._active(now_ns)

    def _active(self, now_ns: int) -> None:
        self.tried, self.due_ns = 0, now_ns + self.idle_ns

    def tick(self, now_ns: int) -> Action:
        if self.tried == self.tries:
            return "give-up"
        self.tried += 1
        self._again(now_ns, self.retry_ns)
        return "beat"

    def found(self, now_ns: int) -> str:
        return f"{self.tries} heartbeats unanswered, {self._silence(now_ns)}"


class IdleState(_Timed):
    """Two timers: one asks when nothing was written, the other counts how often in a row nothing
    was read.
    """

    def __init__(self, write_idle_ns: int, read_idle_ns: int, misses: int) -> None:
        super().__init__()
        self.write_idle_ns, self.read_idle_ns, self.misses = write_idle_ns, read_idle_ns, misses
        self.missed = 0
        self._read_due_ns = self._write_due_ns = 0

    def begin(self, now_ns: int) -> None:
        self.received(now_ns)
        self.wrote(now_ns)

    def received(self, now_ns: int, *, urgent: bool = False) -> None:
        self.last_ns, self.missed, self._read_due_ns = now_ns, 0, now_ns + self.read_idle_ns
        self._set()

    def wrote(self, now_ns: int) -> None:
        self._write_due_ns = now_ns + self.write_idle_ns
        self._set()

    def tick(self, now_ns: int) -> Action:
        if now_ns >= self._read_due_ns:
            self.missed += 1
            if self.missed == self.misses:
                return "give-up"
            self._read_due_ns = _later(self._read_due_ns, self.read_idle_ns, now_ns)
        asks = now_ns >= self._write_due_ns
        if asks:
            self._write_due_ns = _later(self._write_due_ns, self.write_idle_ns, now_ns)
        self._set()
        return "beat" if asks else "wait"

    def found(self, now_ns: int) -> str:
        return f"{self.missed} times idle, {self._silence(now_ns)}"

    def _set(self) -> None:
        self.due_ns = min(self._read_due_ns, self._write_due_ns)


class Watchdog:
    """Which server to try next, and when: later each time, until one is there.

    Apart from any connection.

    It begins with the one after the lost one. An attempt may take as long as the wait before it.
    """

    def __init__(self, servers: tuple[str, ...], retry_ns: int, most_retry_ns: int) -> None:
        self.servers, self.retry_ns, self.most_retry_ns = servers, retry_ns, most_retry_ns
        self.wait_ns = min(retry_ns, most_retry_ns)
        self.server = ""

    def lost(self, server: str) -> int:
        """The connection to a server has ended: how long to wait before the first attempt."""
        self.server, self.wait_ns = server, min(self.retry_ns, self.most_retry_ns)
        return self.wait_ns

    def following(self) -> str:
        """The server to try now."""
        place = self.servers.index(self.server) + 1 if self.server in self.servers else 0
        self.server = self.servers[place % len(self.servers)]
        return self.server

    def failed(self) -> int:
        """An attempt has come to nothing: how long to wait before the next one."""
        self.wait_ns = min(2 * self.wait_ns, self.most_retry_ns)
        return self.wait_ns


def make(values: Mapping[str, Any], role: Role) -> Detector | None:
    """The detector of a design, by the keys of `harness.model.programs`.

    None for the reaper, which has one for all.
    """

    def ns(key: str) -> int:
        return round(float(values[key]) * NS)

    is_client = role == "client"
    match values["design"]:
        case "simple" | "separate":
            first_ns = ns("idle_s") if is_client else ns("idle_s") + ns("wait_s")
            return Counting(first_ns, ns("wait_s"), values["misses"], beats=is_client)
        case "urgent":
            return Urgent(ns("interval_s"), values["misses"], beats=is_client)
        case "idle-timer":
            return IdleTimer(ns("idle_s"), ns("retry_s"), values["tries"])
        case "idle-state":
            return IdleState(ns("write_idle_s"), ns("read_idle_s"), values["misses"])
        case _:
            return None
