"""A path of poor quality: TCP segments are lost, delayed, doubled, sent out of order, or pass at a
low rate.

netem does it, at the device of the middle's first host toward the receiver, so that no sender's own
queue takes part; ARP, neighbour discovery and ICMP pass as ever. What is random is seeded: netem
takes the seed from Linux 6.6 on, and with it virtual time does the same thing every time, while in
real time the order of segments may still differ. Where the kernel has no netem, loss alone is left
to nftables, without a seed; so is the loss of all, which sets in on both ways at once then.
Evidence: the counters of queue or rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

import msgspec

from harness.errors import CapabilityError
from harness.faults.base import Evidence, Fault, besides
from harness.faults.blackhole import Blackhole, Direction, on_arrival
from harness.lab.watched import OTHERS
from harness.model.topology import SIDES, Layout, Side
from harness.model.values import Problem, count
from harness.oracle.effects import Effect

if TYPE_CHECKING:
    from harness.lab.host import Lab
    from harness.lab.netem import Counters, Impairment

Percent = Annotated[float, msgspec.Meta(gt=0, le=100)]
Milliseconds = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]
Seed = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 2)]
_IS_TCP: dict[str, Any] = {
    "match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}
}
_PARTS = 100_000
"""How finely nftables divides its random numbers."""


class Arrived(NamedTuple):
    """How many TCP segments have come to a queue, and how many of them are not of the watched
    connection.
    """

    all: int
    others: int


def _arrived(counts: dict[str, int]) -> Arrived:
    return Arrived(counts["seen"] + counts[OTHERS], counts[OTHERS])


class _Quality(Fault, frozen=True, kw_only=True):
    """Something that netem does to TCP segments. `direction`: to those that go which way."""

    direction: Direction = "both"

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        if not layout.middle or not layout.is_whole:
            yield Problem(
                "kind", self.kind, "a topology with a host in the middle that passes segments on"
            )

    def places(self, layout: Layout) -> tuple[tuple[str, str], ...]:
        """(host, device) pairs whose egress is impaired."""
        sides = [side for side in SIDES if self.direction in ("both", f"to-{side}")]
        return tuple(
            (layout.middle[0], layout.host(layout.middle[0]).facing(side).name) for side in sides
        )

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset(host for host, _ in self.places(layout))

    def touches(self, layout: Layout) -> frozenset[tuple[str, str]]:
        return frozenset((host, f"queue of {device}") for host, device in self.places(layout))

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        return (
            Effect(
                mechanism="impaired",
                from_s=self.at_s,
                until_s=self.until_s,
                unknown=self._unknown(),
            ),
        )

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        impairment = self._impairment()
        with ExitStack() as stack:
            # Counted before it can be doubled, so that none seems to be that is not.
            arrived = self._arrivals(lab, stack)
            # Two directions with one seed would be alike, segment for segment.
            readers = [
                stack.enter_context(
                    lab.host(host).impaired(
                        device, msgspec.structs.replace(impairment, seed=impairment.seed + number)
                    )
                )
                for number, (host, device) in enumerate(self.places(lab.layout))
            ]
            yield lambda: self._evidence([reader() for reader in readers], arrived())

    def _arrivals(self, lab: Lab, stack: ExitStack) -> Callable[[], Arrived]:
        """A reader of how many TCP segments have come to the queues, counted where they arrive."""
        rules = {"seen": [[_IS_TCP, {"counter": None}, {"accept": None}]]}
        counted = stack.enter_context(
            on_arrival(lab, Blackhole(direction=self.direction).places(lab.layout), rules)
        )
        return lambda: _arrived(counted())

    def _evidence(self, counted: list[Counters], arrived: Arrived) -> Evidence:
        """The queue does not tell connections apart: it has met the watched one if it treated more
        than the others.
        """
        number = self._bitten(counted, arrived.all)
        found = besides(self._found(number, arrived.all), arrived.others)
        level: Literal["bit", "in-place"] = "bit" if number > arrived.others else "in-place"
        return Evidence(level=level, found=found, others=arrived.others)

    def _impairment(self) -> Impairment:
        """What netem is told, the same for both ways."""
        raise NotImplementedError

    def _bitten(self, counted: list[Counters], arrived: int) -> int:
        """How many segments were treated so."""
        raise NotImplementedError

    def _found(self, number: int, arrived: int) -> str:
        """The evidence in words."""
        raise NotImplementedError

    def _unknown(self) -> str:
        """What the oracle cannot tell."""
        raise NotImplementedError


class _Random(_Quality, frozen=True, kw_only=True):
    """What strikes at random.

    `seed`: of the random numbers; the way to the client has the next one.
    """

    seed: Seed = 1

    def _evidence(self, counted: list[Counters], arrived: Arrived) -> Evidence:
        evidence = super()._evidence(counted, arrived)
        taken = all(counters.seeded for counters in counted)
        seeded = (
            f"seed {self.seed}"
            if taken
            else "without a seed, which this kernel's netem does not take"
        )
        return msgspec.structs.replace(evidence, found=f"{evidence.found}; {seeded}")


class Loss(_Random, frozen=True, kw_only=True, tag="loss"):
    """`percent` of the segments are lost, each for itself."""

    percent: Percent

    summary: ClassVar[str] = "segments are lost at random"

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        if self.percent < 100:
            return super().effects(layout, observer)
        return Blackhole(direction=self.direction, at_s=self.at_s, for_s=self.for_s).effects(
            layout, observer
        )

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        with ExitStack() as stack:
            if self.percent == 100:
                evidence = stack.enter_context(self._filtered(lab))
            else:
                try:
                    evidence = stack.enter_context(super().inject(lab))
                except CapabilityError:
                    evidence = stack.enter_context(self._filtered(lab))
            yield evidence

    @contextmanager
    def _filtered(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        """By a packet filter, where the segments arrive."""
        words = (
            "without a seed, as this kernel has no netem"
            if self.percent < 100
            else "nothing is left to chance"
        )
        chance = {"numgen": {"mode": "random", "mod": _PARTS, "offset": 0}}
        struck = {
            "match": {
                "op": "<",
                "left": chance,
                "right": max(1, round(self.percent / 100 * _PARTS)),
            }
        }
        drop = [
            _IS_TCP,
            *([struck] if self.percent < 100 else []),
            {"counter": None},
            {"drop": None},
        ]
        rules = {"drop": [drop], "passed": [[_IS_TCP, {"counter": None}, {"accept": None}]]}
        with on_arrival(
            lab, Blackhole(direction=self.direction).places(lab.layout), rules
        ) as counted:

            def evidence() -> Evidence:
                counts = counted()
                number, others = counts["drop"], counts[OTHERS]
                found = besides(self._found(number, number + counts["passed"]), others)
                level: Literal["bit", "in-place"] = "bit" if number else "in-place"
                return Evidence(level=level, found=f"{found}; by nftables, {words}", others=others)

            yield evidence

    def _impairment(self) -> Impairment:
        from harness.lab.netem import Impairment

        return Impairment(seed=self.seed, loss=self.percent / 100)

    def _bitten(self, counted: list[Counters], arrived: int) -> int:
        return sum(counters.dropped for counters in counted)

    def _found(self, number: int, arrived: int) -> str:
        return f"{number} of {count(arrived, 'segment')} lost"

    def _unknown(self) -> str:
        return f"{self.percent:g} % of the segments are lost at random"


class Delay(_Random, frozen=True, kw_only=True, tag="delay"):
    """Segments wait for `delay_ms`, give or take up to `jitter_ms`, evenly.

    With jitter some overtake others.
    """

    delay_ms: Milliseconds
    jitter_ms: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] = 0.0

    summary: ClassVar[str] = "segments are delayed, and reordered where there is jitter"
    undrawn: ClassVar[str] = "the oracle has no model of longer round trips"

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        yield from super().misplaced(layout)
        if self.jitter_ms > self.delay_ms:
            yield Problem("jitter_ms", self.jitter_ms, f"at most delay_ms ({self.delay_ms:g})")

    def _impairment(self) -> Impairment:
        from harness.lab.netem import Impairment

        delay_ns, jitter_ns = round(self.delay_ms * 1e6), round(self.jitter_ms * 1e6)
        return Impairment(seed=self.seed, delay_ns=delay_ns, jitter_ns=jitter_ns)

    def _bitten(self, counted: list[Counters], arrived: int) -> int:
        return sum(counters.passed + counters.waiting for counters in counted)

    def _found(self, number: int, arrived: int) -> str:
        return f"{count(number, 'segment')} delayed"

    def _unknown(self) -> str:
        return f"segments are delayed by {self.delay_ms:g} ms or so"


class Duplicate(_Random, frozen=True, kw_only=True, tag="duplicate"):
    """`percent` of the segments arrive twice, at once."""

    percent: Percent

    summary: ClassVar[str] = "segments are duplicated at random"
    undrawn: ClassVar[str] = "it strikes at random, of which the oracle has no model"

    def _impairment(self) -> Impairment:
        from harness.lab.netem import Impairment

        return Impairment(seed=self.seed, duplicate=self.percent / 100)

    def _bitten(self, counted: list[Counters], arrived: int) -> int:
        return max(0, sum(counters.passed + counters.waiting for counters in counted) - arrived)

    def _found(self, number: int, arrived: int) -> str:
        return f"{number} of {count(arrived, 'segment')} doubled"

    def _unknown(self) -> str:
        return f"{self.percent:g} % of the segments arrive twice"


class Reorder(_Random, frozen=True, kw_only=True, tag="reorder"):
    """`percent` of the segments go at once, the others wait for `delay_ms` and are so overtaken."""

    percent: Percent
    delay_ms: Milliseconds

    summary: ClassVar[str] = "some segments overtake all others"
    undrawn: ClassVar[str] = "it strikes at random, of which the oracle has no model"

    def _impairment(self) -> Impairment:
        from harness.lab.netem import Impairment

        return Impairment(
            seed=self.seed, delay_ns=round(self.delay_ms * 1e6), ahead=self.percent / 100
        )

    def _bitten(self, counted: list[Counters], arrived: int) -> int:
        return sum(counters.ahead for counters in counted)

    def _found(self, number: int, arrived: int) -> str:
        return f"{number} of {count(arrived, 'segment')} sent ahead"

    def _unknown(self) -> str:
        return (
            f"{self.percent:g} % of the segments overtake those that are delayed by "
            f"{self.delay_ms:g} ms"
        )


class Rate(_Quality, frozen=True, kw_only=True, tag="rate"):
    """A line of `kbit_s` kilobits (1000 bits) a second, which counts whole Ethernet frames without
    their checksum.
    """

    kbit_s: Annotated[float, msgspec.Meta(ge=0.1, le=10_000_000)]

    summary: ClassVar[str] = "the bandwidth of the link is limited"
    undrawn: ClassVar[str] = "the oracle has no model of longer round trips"

    def _impairment(self) -> Impairment:
        from harness.lab.netem import Impairment

        return Impairment(seed=0, octets_s=max(1, round(self.kbit_s * 125)))

    def _bitten(self, counted: list[Counters], arrived: int) -> int:
        return sum(counters.passed + counters.waiting for counters in counted)

    def _found(self, number: int, arrived: int) -> str:
        return f"{count(number, 'segment')} sent at {self.kbit_s:g} kbit/s"

    def _unknown(self) -> str:
        return f"the line is as slow as {self.kbit_s:g} kbit/s"
