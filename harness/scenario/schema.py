"""A scenario: the claim that a peer's death is detected in a window, with an errno.

Frozen data, no I/O.

The same values are written as TOML (see `harness.scenario.loader`) or in Python:

    Scenario(
        name="peer-down",
        client=Endpoint(keepalive=Keepalive(idle_s=2, interval_s=1, count=3)),
        faults=(Blackhole(at_s=0.5),),
        expect=Expect(outcome="detected", errno="ETIMEDOUT"),
    )
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from harness.faults import AnyFault
from harness.model.programs import AnyHeartbeat, Command, OwnProxy, Standby
from harness.model.topology import SIDES, Side, Topology
from harness.model.values import Duration, Seconds

KernelSeconds = Annotated[int, msgspec.Meta(ge=1, le=32767)]
"""MAX_TCP_KEEPIDLE and MAX_TCP_KEEPINTVL (include/net/tcp.h)."""
KernelCount = Annotated[int, msgspec.Meta(ge=1, le=127)]
"""MAX_TCP_KEEPCNT."""

RETRIES = 15
"""net.ipv4.tcp_retries2 unless it is set (ip-sysctl.rst)."""

WriteOctets = Annotated[int, msgspec.Meta(ge=1, le=1 << 26)]
Buffer = Annotated[int, msgspec.Meta(ge=0, le=1 << 30)]

State = Literal["established", "connecting"]
OutcomeName = Literal["as-predicted", "detected", "noticed", "eof", "survives", "never", "any"]
Origin = Literal["armed", "fault", "healed", "last-received"]


SOMETIME: tuple[OutcomeName, ...] = ("detected", "eof")
"""Outcomes without a bound: they come, and the run ends with them."""


class Keepalive(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """SO_KEEPALIVE with its three options, as in tcp(7); what is left out has Linux's default."""

    idle_s: KernelSeconds = 7200
    """TCP_KEEPIDLE: the first probe is sent after so long without a segment from the peer."""
    interval_s: KernelSeconds = 75
    """TCP_KEEPINTVL: the time between two probes."""
    count: KernelCount = 9
    """TCP_KEEPCNT: so many probes without an answer end the connection."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One side of the connection: its program and the options of its socket."""

    keepalive: Keepalive | bool = False
    """A table of settings, `true` for Linux's defaults, `false` for off."""
    user_timeout_s: Annotated[float, msgspec.Meta(ge=0, le=2_147_483)] = 0.0
    """TCP_USER_TIMEOUT, to the millisecond; 0 for none."""
    settings_via: Literal["socket", "sysctl"] = "socket"
    """Whether idle, interval and count are set on the socket or as the namespace's sysctls
    net.ipv4.tcp_keepalive_*; SO_KEEPALIVE is the socket's either way.
    """
    retries2: Annotated[int, msgspec.Meta(ge=1, le=255)] = RETRIES
    """The host's net.ipv4.tcp_retries2: how long data in flight is repeated without a user
    timeout.
    """
    writes_at_s: tuple[Seconds, ...] = ()
    """When, in seconds after arming, the program writes `write_bytes` octets, each time without
    waiting: what the socket does not take is left.
    """
    write_bytes: WriteOctets = 12
    """How many octets it writes each time."""
    receive_buffer_bytes: Buffer = 0
    """SO_RCVBUF, set before the connection is made, which the kernel doubles; 0 leaves it to the
    system.
    """
    send_buffer_bytes: Buffer = 0
    """SO_SNDBUF, set before the connection is made, which the kernel doubles; 0 leaves it to the
    system.
    """
    reads: bool = True
    """Where it is false the program never reads, and so sees only errors; its kernel's window
    closes. A server that does not read does not echo either.
    """
    shuts_at_s: Seconds | None = None
    """When, in seconds after arming, it shuts its writing direction (shutdown(2), SHUT_WR), which
    sends FIN.
    """
    heartbeat: AnyHeartbeat | None = None
    """The built-in program is one with a heartbeat of this design."""
    command: Command | None = None
    """The program, in place of the built-in one. What its socket is set to is then its own
    business, but for sysctls.
    """
    image: str = ""
    """Of the container that is its host, with --lab docker; by default an empty one that sees this
    machine's programs.
    """

    @property
    def keepalive_settings(self) -> Keepalive | None:
        """The settings in force, or None where keepalive is off."""
        if isinstance(self.keepalive, Keepalive):
            return self.keepalive
        return Keepalive() if self.keepalive else None


class EndExpect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one end must see. What is left out is taken from the oracle's prediction."""

    outcome: OutcomeName = "as-predicted"
    """`detected` (an error on the socket), `noticed` (the program gives its peer up by itself: its
    heartbeat is not answered, or its command shows it), `eof` (the peer's FIN), `survives` (nothing
    is detected and data still passes at the end), `never` (nothing is detected until `bound_s`),
    `as-predicted` (whichever the oracle says). In [expect] alone, `any`: nothing is claimed, and
    both ends are watched until `bound_s`, or until both programs have ended.
    """
    errno: str | None = None
    """The name of the error, such as "ETIMEDOUT"."""
    reports: str | None = None
    """What a command must report, the first group of its `detects.prints`."""
    window_s: tuple[Seconds, Seconds] | None = None
    """[earliest, latest] in seconds from `origin`."""
    origin: Origin = "armed"
    """`armed` (keepalive switched on or, where it is off, the connection made), `fault` (the first
    fault's injection), `healed` (the moment when the last fault that ends was undone: where it
    ended a program, the moment when that was started again, so that its start-up is in the window)
    or `last-received` (the last segment from the peer).
    """
    bound_s: Duration | None = None
    """How long after arming to watch for `survives`, `never` and `any`, and at least for `noticed`.
    In [expect] it holds for each end that takes one and whose table has none.
    """
    reconnects_s: tuple[Seconds, Seconds] | None = None
    """[earliest, latest] in seconds from being detected to the connection that takes the place of
    the lost one; with origin "healed" from the healing to the first connection after it.
    """
    recovers_s: tuple[Seconds, Seconds] | None = None
    """[earliest, latest] in seconds from the removal of the last fault that ends, whatever `origin`
    is: when data passes again, on the same connection or on a new one. Payload of the peer must
    arrive; of a peer that had sent none before the first fault, an acknowledgement is enough. With
    `as-predicted`, of an end of which nothing is predicted, it may be the whole claim.
    """


class Expect(EndExpect, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one side must see or, in the tables `client` and `server`, what each end must see. What
    is left out is taken from the oracle's prediction.
    """

    side: Side = "client"
    """The side that is observed."""
    client: EndExpect | None = None
    """What the client must see. Beside a table of an end, [expect] has only what concerns the whole
    run: `bound_s`, `window`, `phase_ns` and `source`.
    """
    server: EndExpect | None = None
    """What the server must see. With both tables, both ends are judged in one run."""
    window: Literal["every-phase", "exact"] = "every-phase"
    """"exact": in virtual time the connection is armed `phase_ns` after a multiple of the timer
    wheel's period, and what is predicted for it is exact to the jiffy; else the prediction holds
    whatever the phase.
    """
    phase_ns: Annotated[int, msgspec.Meta(ge=0, le=1 << 50)] = 0
    """With an exact window: when the connection is armed, within the timer wheel's period."""
    source: str = ""
    """Where the claim comes from, as a reader would look it up."""

    @property
    def of_ends(self) -> dict[Side, EndExpect]:
        """The tables of the ends that have one."""
        tables: dict[Side, EndExpect | None] = {"client": self.client, "server": self.server}
        return {side: table for side, table in tables.items() if table is not None}

    def of(self, side: Side) -> Expect:
        """The claim about one end alone, without tables of ends."""
        told = self.of_ends.get(side)
        if told is None:
            return msgspec.structs.replace(self, side=side, client=None, server=None)
        claim = {name: getattr(told, name) for name in told.__struct_fields__}
        if told.bound_s is None and told.outcome not in SOMETIME:
            claim["bound_s"] = self.bound_s
        return Expect(
            side=side, window=self.window, phase_ns=self.phase_ns, source=self.source, **claim
        )


OF_RUN = ("bound_s", "window", "phase_ns", "source")
"""The keys of [expect] that concern the whole run, whichever ends are judged."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One claim: with these settings, this network and these faults the peer's death is detected
    in a window, with an errno.
    """

    name: str = ""
    """Comes from the file's place in the catalogue unless it is given."""
    summary: str = ""
    """What is claimed, in one sentence."""
    topology: Topology = Topology()
    """The network."""
    state: State = "established"
    """What is observed. "established": a connection that stands, idle or with what the endpoints
    write. In "connecting" it is the client's connect(2): arming is its call, without waiting and
    with all options set before; faults with `at_s` = 0 are in place by then. It ends with connect's
    error or, once connected, as ever. Of a command arming is the first SYN captured on its host, or
    its start where it ends, or gives up, without one.
    """
    client: Endpoint = Endpoint()
    """The side that connects."""
    server: Endpoint = Endpoint()
    """The side that listens."""
    proxy: OwnProxy = OwnProxy()
    """The command that is the proxy of the topology "proxied"."""
    standby: Standby | None = None
    """A second server between the two ends."""
    faults: tuple[AnyFault, ...] = ()
    """What goes wrong, and when."""
    expect: Expect = Expect()
    """What is claimed."""
    known_failure: str = ""
    """What was measured instead, where the claim is known not to hold: refuted it passes, and
    confirmed it fails, so that a fixed program shows.
    """

    def endpoint(self, side: Side) -> Endpoint:
        """The endpoint of a side."""
        return self.client if side == "client" else self.server

    @property
    def judged(self) -> tuple[Side, ...]:
        """The sides that are judged: both where each has a table in [expect], or where nothing is
        claimed of an established connection.
        """
        if self.expect.of_ends:
            return tuple(self.expect.of_ends)
        if self.expect.outcome == "any" and self.state == "established":
            return SIDES
        return (self.expect.side,)

    def seen_by(self, side: Side) -> Scenario:
        """The same run with the claim about one end alone, in the keys of [expect]."""
        return msgspec.structs.replace(self, expect=self.expect.of(side))

    def command_on(self, host: str) -> Command | None:
        """The command that is the program of a host, or None where that is a built-in one, or there
        is none.
        """
        return next((command for _, on, command in self.commands if on == host), None)

    @property
    def commands(self) -> tuple[tuple[str, str, Command], ...]:
        """Each command, with the key of its table and the host on which it runs."""
        tables = (
            ("client", self.client.command),
            ("server", self.server.command),
            ("proxy", self.proxy.command),
        )
        placed = [(key, key, command) for key, command in tables if command is not None]
        if self.standby is not None:
            placed.append(("standby", self.standby.on, self.standby.command))
        return tuple(placed)

    @property
    def programs(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The commands and images that a scenario brings along: key and value of each."""
        found = [(f"{key}.command.argv", command.argv) for key, _, command in self.commands]
        images = (("client.image", self.client.image), ("server.image", self.server.image))
        return (*found, *((key, (image,)) for key, image in images if image))

    @property
    def can_echo(self) -> bool:
        """Whether data that the client sends at the end can come back at all."""
        ends = (self.client, self.server)
        return all(end.reads and end.shuts_at_s is None and end.command is None for end in ends)

    @property
    def of_containers(self) -> bool:
        """Whether it needs hosts that are containers."""
        return any(fault.of_containers for fault in self.faults) or bool(
            self.client.image or self.server.image
        )

    @property
    def of_guests(self) -> bool:
        """Whether it runs in virtual time alone, because a fault is of a guest's kernel."""
        return any(fault.of_guests for fault in self.faults)

    @property
    def has_command(self) -> bool:
        """Whether the scenario runs a command."""
        return self.client.command is not None or self.server.command is not None
