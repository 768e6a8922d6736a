"""What `harness check` is given: a connection's settings, its path, and demands. Frozen data.

What a policy leaves out is None here, so that a rule can tell what was chosen from what the system
fills in.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from harness.model.firewall_presets import PRESETS, Pickup, PresetName, Then
from harness.model.topology import Side
from harness.model.values import Duration
from harness.oracle import prediction

KeepaliveSeconds = Annotated[int, msgspec.Meta(ge=1, le=32767)]
"""The kernel's limits of TCP_KEEPIDLE and TCP_KEEPINTVL."""
Probes = Annotated[int, msgspec.Meta(ge=1, le=127)]
"""The kernel's limits of TCP_KEEPCNT."""
UserTimeout = Annotated[float, msgspec.Meta(ge=0, le=2_147_483)]
"""TCP_USER_TIMEOUT in seconds, 0 for none."""
Hz = Annotated[int, msgspec.Meta(ge=12, le=10_000)]
IdleTimeout = Annotated[int, msgspec.Meta(ge=1, le=2_147_482)]
"""Of a middlebox or proxy, in whole seconds."""
EVERY_HZ: tuple[int, ...] = (100, 250, 300, 1000)
"""What a kernel may be configured with (kernel/Kconfig.hz)."""
SYSTEM = prediction.Settings(keepalive=False)
"""What Linux uses for an option that no program sets (tcp(7))."""


class Place(msgspec.Struct, frozen=True, order=True):
    """Where a value stands: a file, a line and a column, both counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A heartbeat of the application that counts what is not answered."""

    every_s: Duration
    """A heartbeat is sent when nothing was received for so long."""
    timeout_s: Duration
    """It is sent again every so many seconds while there is no answer."""
    misses: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    """After so many heartbeats without an answer the peer is given up."""
    apart: bool = False
    """Whether its timer runs while the program is sending."""
    longest_message_s: Duration | None = None
    """How long the largest message of the connection is on the line: the answer to a heartbeat
    waits behind it.
    """


class Hop(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A device on the path. Keys that are given come before those of the preset."""

    name: str = ""
    """What findings call the device."""
    preset: PresetName | None = None
    """A middlebox that is known by name."""
    idle_timeout_s: IdleTimeout | None = None
    """The device drops the state of a connection after so long without a packet."""
    then: Then | None = None
    """What a packet after the idle timeout meets: it is dropped, its sender gets RST, or both ends
    have got RST at the timeout.
    """
    pickup: Pickup | None = None
    """Whose packet makes a connection known again after that: nobody's (strict), either end's
    (loose), the client's (outbound).
    """
    proxy: bool = False
    """Whether the device ends TCP itself, and opens another connection to the next one."""

    @property
    def limit_s(self) -> int | None:
        """The idle timeout in force; None: it has none."""
        return self.idle_timeout_s or (PRESETS[self.preset].timeout_s if self.preset else None)

    @property
    def late(self) -> Then | None:
        """What a packet after the idle timeout meets; None: not documented."""
        return self.then or (PRESETS[self.preset].then if self.preset else None)

    @property
    def pickup_in_force(self) -> Pickup:
        """Whose packet makes a flow known again whose state was dropped."""
        return self.pickup or (PRESETS[self.preset].pickup if self.preset else "strict")

    @property
    def title(self) -> str:
        """What messages call it."""
        return self.name or self.preset or ("a proxy" if self.proxy else "a middlebox")

    def forgets(self, side: Side) -> bool:
        """Whether a connection whose keepalive is on that side is lost once the flow has
        expired.
        """
        pickup = self.pickup_in_force
        lost = pickup == "strict" or (pickup == "outbound" and side == "server")
        return lost and self.limit_s is not None and not self.proxy


class Match(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The live sockets that a connection of a policy describes, for `harness audit`."""

    program: str | None = None
    """The name of the command, as `ps -o comm` shows it; the kernel keeps 15 octets of it."""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    """The remote port, or the one at which the connection was accepted."""


class DemandTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Demands on connections, their path, and rules that do not apply to them."""

    detect_within_s: Duration | None = None
    """Demand: a dead peer is detected so long after its last sign of life, at the latest, idle and
    with data in flight.
    """
    detect_idle_within_s: Duration | None = None
    """The same demand for an idle connection alone."""
    detect_in_flight_within_s: Duration | None = None
    """The same demand with data in flight alone."""
    survive_s: Duration | None = None
    """Demand: an outage of that length does not end the connection."""
    path: tuple[PresetName | Hop, ...] = ()
    """The devices from here to the peer, in order: presets by name, or a table for each."""
    hz: Annotated[tuple[Hz, ...], msgspec.Meta(min_length=1)] = EVERY_HZ
    """HZ of the kernels in the fleet. The worst counts."""
    ignore: dict[str, str] = {}
    """Rules that are not reported, each with the reason."""
    match: Match | None = None
    """The live sockets that are meant, for `harness audit`."""


class FileTerms(DemandTerms, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Demands on the connections in a file of other software, which states their settings."""

    format: str | None = None
    """Its format, where neither its name nor its content tells it."""
    connections: dict[str, DemandTerms] = {}
    """Demands on one of its connections, by the name that findings have."""


class Terms(DemandTerms, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of a connection, and of the defaults that all connections of a file inherit."""

    keepalive: bool | None = None
    """SO_KEEPALIVE; on where `idle_s`, `interval_s` or `count` is set, unless it is false."""
    idle_s: KeepaliveSeconds | None = None
    """TCP_KEEPIDLE; the system's 7200 where it is not set."""
    interval_s: KeepaliveSeconds | None = None
    """TCP_KEEPINTVL; the system's 75 where it is not set."""
    count: Probes | None = None
    """TCP_KEEPCNT; the system's 9 where it is not set."""
    user_timeout_s: UserTimeout | None = None
    """TCP_USER_TIMEOUT; off where it is not set, or 0."""
    retries2: Annotated[int, msgspec.Meta(ge=1, le=255)] | None = None
    """net.ipv4.tcp_retries2, which bounds data in flight without a user timeout; 15 where it is not
    set.
    """
    heartbeat: Heartbeat | None = None
    """A heartbeat of the application."""
    side: Side = "client"
    """The end with these settings."""
    set_on: Literal["socket", "listener"] = "socket"
    """The socket whose options are set: of the connection, or the one that listens."""
    idle_close_s: Duration | None = None
    """After so long without a request the program closes the connection."""
    inactivity_close_s: Duration | None = None
    """The same after so long without data in either direction. It bounds no detection with data in
    flight: the program begins to count anew whenever it sends.
    """


class Notice(msgspec.Struct, frozen=True):
    """What the user should know about a file, though it makes no finding: "has no effect without
    option clitcpka". `directive`: of the software, at that place. `keys`: of `Terms`; a finding
    about one of them says it, too.
    """

    place: Place
    directive: str
    text: str
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.place}: {self.directive} {self.text}"


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One connection of a policy, with what it inherits.

    `place`: of its name; `places`: of each value that a file states, by key, such as "idle_s",
    "heartbeat.every_s" and "ignore.KA004". `inherited`: the keys whose values come from the
    defaults, `ignore.KA004` among them. `defaults`: by key, where a value comes from that the file
    does not state, such as "redis-server's default (redis.conf, tcp-keepalive)"; what the system
    fills in needs no entry. `directives`: what the file's software calls a key. `format`: of a file
    of other software. `notices`: such as keys that the software ignores.
    """

    name: str
    terms: Terms
    place: Place | None = None
    places: dict[str, Place] = {}
    inherited: frozenset[str] = frozenset()
    defaults: dict[str, str] = {}
    directives: dict[str, str] = {}
    format: str = ""
    notices: tuple[Notice, ...] = ()

    @property
    def keepalive(self) -> bool:
        """Whether SO_KEEPALIVE is on."""
        terms = self.terms
        chosen = any(each is not None for each in (terms.idle_s, terms.interval_s, terms.count))
        return chosen if terms.keepalive is None else terms.keepalive

    @property
    def settings(self) -> prediction.Settings:
        """As the kernel holds them, with the system's values in place of those that are not
        given.
        """
        terms = self.terms
        return prediction.Settings(
            keepalive=self.keepalive,
            idle_s=SYSTEM.idle_s if terms.idle_s is None else terms.idle_s,
            interval_s=SYSTEM.interval_s if terms.interval_s is None else terms.interval_s,
            count=SYSTEM.count if terms.count is None else terms.count,
            user_timeout_ms=round((terms.user_timeout_s or 0) * 1000),
            retries2=SYSTEM.retries2 if terms.retries2 is None else terms.retries2,
        )

    @property
    def path(self) -> tuple[Hop, ...]:
        """From here to the peer."""
        return tuple(
            Hop(preset=each) if isinstance(each, str) else each for each in self.terms.path
        )

    @property
    def idle_demand_s(self) -> float | None:
        """Within so long a dead peer must be detected while the connection is idle."""
        return self.terms.detect_idle_within_s or self.terms.detect_within_s

    @property
    def in_flight_demand_s(self) -> float | None:
        """The same while data waits to be acknowledged."""
        return self.terms.detect_in_flight_within_s or self.terms.detect_within_s
