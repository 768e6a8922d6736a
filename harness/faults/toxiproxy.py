"""Toxics: what a toxiproxy-server between client and server does to the data that it passes on.

A toxic meets data and the end of the stream, never TCP itself: the kernel of the proxy's host goes
on answering probes and acknowledging what is sent. What its source does (toxiproxy 2.12) is said
with each. Where it is random it cannot be seeded: the server takes a seed and does not use it
(cmd/server/server.go), so toxicity is always 1, and jitter and variation are left at 0 unless asked
for.

Evidence: the toxic as the server describes it, and counters on the proxy's host of the segments
with data (PSH) that came to it, of the ends (FIN, RST) that came, and of those that left on the
other side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import msgspec

from harness.faults.base import Evidence
from harness.faults.of_toxiproxy import OfToxiproxy, Seen, counted, proxy_host
from harness.model.topology import Layout, Side
from harness.model.values import Problem, count
from harness.oracle.effects import Effect

if TYPE_CHECKING:
    from harness.lab.host import Host, Lab

Stream = Literal["downstream", "upstream"]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Octets = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]


class Toxic(OfToxiproxy, frozen=True, kw_only=True):
    """`stream`: what it acts on: what goes to the client (downstream) or to the server (upstream).

    `from_start`: it is in place before the connection is made; `at_s` and `for_s` do not apply
    then.
    """

    stream: Stream = "downstream"
    from_start: bool = False

    toxic: ClassVar[str]
    """Its type, to toxiproxy."""

    @property
    def standing(self) -> bool:
        return self.from_start

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        yield from super().misplaced(layout)
        if self.from_start:
            yield from self._check_standing()

    def touches(self, layout: Layout) -> frozenset[tuple[str, str]]:
        return frozenset((host, f"toxic {self._name}") for host in self.hosts(layout))

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        unknown = "no model covers what a toxic does to data"
        return (
            Effect(mechanism="impaired", from_s=self.at_s, until_s=self.until_s, unknown=unknown),
        )

    @property
    def _name(self) -> str:
        return f"{self.toxic}_{self.stream}"

    def attributes(self) -> dict[str, int]:
        """The toxic's attributes as toxiproxy names them."""
        raise NotImplementedError

    def bites(self, seen: Seen) -> bool:
        """Whether it has done something to the connection."""
        return seen.data > 0

    def random(self) -> bool:
        """Whether chance decides what it does."""
        return False

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        from harness.lab import toxiproxy_server

        host = proxy_host(lab)
        toxiproxy_server.start(lab)
        sink: Side = "client" if self.stream == "downstream" else "server"
        with ExitStack() as stack:
            count_up = counted(lab, sink, stack)
            with toxiproxy_server.calls(host) as library:
                toxiproxy_server.proxy(library).add_toxic(
                    type=self.toxic,
                    name=self._name,
                    stream=self.stream,
                    toxicity=1.0,
                    attributes=self.attributes(),
                )
            try:
                yield lambda: self._evidence(host, count_up())
            finally:
                with toxiproxy_server.calls(host) as library:
                    toxiproxy_server.proxy(library).destroy_toxic(self._name)

    def _evidence(self, host: Host, seen: Seen) -> Evidence:
        from harness.lab import toxiproxy_server

        with toxiproxy_server.calls(host) as library:
            found = toxiproxy_server.proxy(library).get_toxic(self._name)
        wanted = (self.toxic, self.stream, 1.0, self.attributes())
        if found is None or (found.type, found.stream, found.toxicity, found.attributes) != wanted:
            return Evidence(
                level="none",
                found=f"the server knows no toxic {self._name} with {self.attributes()}",
            )
        settings = ", ".join(f"{key} {value}" for key, value in found.attributes.items())
        met = (
            f"met {count(seen.data, 'segment')} with data and {count(seen.ends, 'end')} of the "
            "stream"
        )
        chance = "; without a seed, which the server does not use" if self.random() else ""
        return Evidence(
            level="bit" if self.bites(seen) else "in-place",
            found=(
                f"toxic {self._name} ({settings}) {met}; {seen.passed} and {seen.closed} left "
                f"the proxy{chance}"
            ),
        )


class ToxicLatency(Toxic, frozen=True, kw_only=True, tag="toxic-latency"):
    """Data waits `latency_ms`, more or less by `jitter_ms` at most.

    The end of the stream does not wait.
    """

    latency_ms: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
    jitter_ms: Milliseconds = 0

    summary: ClassVar[str] = "the proxy delays data"
    toxic: ClassVar[str] = "latency"

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        yield from super().misplaced(layout)
        if self.jitter_ms > self.latency_ms:
            yield Problem(
                "jitter_ms",
                self.jitter_ms,
                f"latency_ms ({self.latency_ms}) at most: no data is early",
            )

    def attributes(self) -> dict[str, int]:
        return {"latency": self.latency_ms, "jitter": self.jitter_ms}

    def random(self) -> bool:
        return self.jitter_ms > 0


class ToxicBandwidth(Toxic, frozen=True, kw_only=True, tag="toxic-bandwidth"):
    """Data passes at `rate_kb_s` kilobytes a second: octets a millisecond, a write of n octets
    after n of these.
    """

    rate_kb_s: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]

    summary: ClassVar[str] = "data passes the proxy at a limited rate"
    toxic: ClassVar[str] = "bandwidth"

    def attributes(self) -> dict[str, int]:
        return {"rate": self.rate_kb_s}


class ToxicSlowClose(Toxic, frozen=True, kw_only=True, tag="toxic-slow-close"):
    """The end of the stream is passed on `delay_ms` late. Data is not concerned."""

    delay_ms: Milliseconds

    summary: ClassVar[str] = "the proxy delays the end of the stream"
    toxic: ClassVar[str] = "slow_close"

    def attributes(self) -> dict[str, int]:
        return {"delay": self.delay_ms}

    def bites(self, seen: Seen) -> bool:
        return seen.ends > 0


class ToxicTimeout(Toxic, frozen=True, kw_only=True, tag="toxic-timeout"):
    """Data is thrown away, and both connections are closed `timeout_ms` after the last that was.

    With 0 they stay.

    Without any data `timeout_ms` counts from when the toxic was put in, or the connection made.
    Where it is healed the connections are closed, too: the server does not resume what it has
    thrown away from.
    """

    timeout_ms: Milliseconds

    summary: ClassVar[str] = "the proxy discards data, and closes both connections after a time"
    toxic: ClassVar[str] = "timeout"

    @property
    def starts_timer(self) -> bool:
        return self.timeout_ms > 0

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        if self.from_start:
            return super().effects(layout, observer)
        frozen = Effect(mechanism="peer-frozen", from_s=self.at_s)
        ends_s = [self.at_s + self.timeout_ms / 1000] if self.timeout_ms else []
        ends_s += [] if self.until_s is None else [self.until_s]
        return (Effect(mechanism="peer-closed", from_s=min(ends_s)),) if ends_s else (frozen,)

    def attributes(self) -> dict[str, int]:
        return {"timeout": self.timeout_ms}

    def bites(self, seen: Seen) -> bool:
        return seen.data > 0 or (seen.closed > 0 and not seen.ends)


class ToxicResetPeer(Toxic, frozen=True, kw_only=True, tag="toxic-reset-peer"):
    """The first data, or the end of the stream, makes the proxy close both connections `timeout_ms`
    later.

    With RST only where the toxic was there before the connection (`from_start`): the server sets
    SO_LINGER as it makes a connection, and no more (link.go). One that stood already is closed with
    FIN. Without data nothing happens.
    """

    timeout_ms: Milliseconds

    summary: ClassVar[str] = (
        "the proxy closes both connections after a time, with RST if from the start"
    )
    toxic: ClassVar[str] = "reset_peer"

    def attributes(self) -> dict[str, int]:
        return {"timeout": self.timeout_ms}

    def bites(self, seen: Seen) -> bool:
        return seen.data > 0 or seen.ends > 0


class ToxicSlicer(Toxic, frozen=True, kw_only=True, tag="toxic-slicer"):
    """Data is cut into pieces of about `average_bytes`, `delay_us` apart.

    The size varies by `size_variation_bytes`.

    It halves until a piece is no bigger than both together: what is cut into is of half the average
    at least.
    """

    average_bytes: Annotated[int, msgspec.Meta(ge=1, le=1 << 30)]
    size_variation_bytes: Annotated[int, msgspec.Meta(ge=0, le=1 << 30)] = 0
    delay_us: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] = 0

    summary: ClassVar[str] = "the proxy sends data in pieces"
    toxic: ClassVar[str] = "slicer"

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        yield from super().misplaced(layout)
        if self.size_variation_bytes >= self.average_bytes:
            expected = f"less than average_bytes ({self.average_bytes})"
            yield Problem("size_variation_bytes", self.size_variation_bytes, expected)

    def attributes(self) -> dict[str, int]:
        return {
            "average_size": self.average_bytes,
            "size_variation": self.size_variation_bytes,
            "delay": self.delay_us,
        }

    def bites(self, seen: Seen) -> bool:
        return seen.passed > seen.data > 0

    def random(self) -> bool:
        return self.size_variation_bytes > 0


class ToxicLimitData(Toxic, frozen=True, kw_only=True, tag="toxic-limit-data"):
    """Both connections are closed when `bytes` octets have passed, of what came after the toxic.

    The rest is lost.
    """

    bytes: Octets

    summary: ClassVar[str] = "the proxy closes both connections after a number of octets"
    toxic: ClassVar[str] = "limit_data"

    def attributes(self) -> dict[str, int]:
        return {"bytes": self.bytes}

    def bites(self, seen: Seen) -> bool:
        return seen.data > 0 and seen.closed > 0 and not seen.ends
