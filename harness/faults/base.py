"""What every fault is: a frozen value that can check its place, name its effects, bite, prove it
and heal.

To add a fault see README.md ("Adding a fault"): it is one file beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import msgspec

from harness.errors import MISSING
from harness.model.topology import SIDES, HostSpec, Interface, Layout, ProgramHost, Side
from harness.model.values import LATEST_S, Duration, Problem, Seconds, count
from harness.oracle.effects import Effect
from harness.system.spelling import did_you_mean

if TYPE_CHECKING:
    from harness.lab.host import Lab


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a fault left behind: `none` (no trace), `in-place` (installed, met nothing yet) or
    `bit`.

    `others`: how many packets have met it that are not of the watched connection. They prove
    nothing.
    """

    level: Literal["none", "in-place", "bit"]
    found: str
    others: int = 0


def besides(found: str, others: int) -> str:
    """What was found, and what else met the fault."""
    return f"{found}; besides {count(others, 'packet')} of other traffic" if others else found


class Fault(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"
):
    """A timed fault.

    One that comes again and again, as a link that flaps, has `every_s` and `times`. Each of its
    outages is a fault of its own in plan and timeline.
    """

    at_s: Seconds = 0.0
    """When it begins, in seconds after arming."""
    for_s: Duration | None = None
    """It heals after so many seconds, or never in the run."""
    every_s: Duration | None = None
    """It comes again so many seconds after its last onset, each time for `for_s`."""
    times: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    """How often it comes in all."""

    summary: ClassVar[str]
    """What happens, in one line, for `harness list --faults`."""
    also_called: ClassVar[tuple[str, ...]] = ()
    """Other names that people try for it. An error message then names this kind."""
    lasting: ClassVar[bool] = False
    """Done in a moment and never undone, such as a reboot; `for_s` does not apply."""
    takes_s: ClassVar[float] = 0.0
    """How long it may take to carry out, where that is more than the machine's allowance for any
    fault.
    """
    shown_by_trial: ClassVar[bool] = False
    """A trial of its own shows that it is in place.

    That is enough where the oracle predicts the same without it.
    """
    of_containers: ClassVar[bool] = False
    """Something that docker does, to hosts that are containers."""

    of_guests: ClassVar[bool] = False
    """Something that is of a whole kernel, and done to that of a guest alone: in virtual time."""

    on_one_container: ClassVar[bool] = False
    """It works on a running container alone, without a hand in what that talks to: `harness inject`
    offers it.
    """
    undrawn: ClassVar[str] = ""
    """Why differential testing draws none of these, as `makes` in harness/fuzz/fault_strategies.py
    would.
    """

    @classmethod
    def kind_name(cls) -> str:
        """The name used in scenario files."""
        return str(cls.__struct_config__.tag)

    @property
    def kind(self) -> str:
        """The name used in scenario files."""
        return self.kind_name()

    @property
    def standing(self) -> bool:
        """In place before the connection is made, such as a firewall.

        `at_s` and `for_s` do not apply.
        """
        return False

    @property
    def starts_timer(self) -> bool:
        """Whether it counts time from its onset: where that is late, what it does when the time is
        up is late, too.
        """
        return False

    @property
    def is_final(self) -> bool:
        """Whether it is never undone: it is `lasting`, or a program that is killed and not started
        again.
        """
        return self.lasting

    @property
    def restored_s(self) -> float | None:
        """When what it took away is there again, in seconds after arming, or None where it stays
        away.
        """
        return self.until_s

    @property
    def starts(self) -> ProgramHost | None:
        """The host on which it starts a program again that it has ended, or None."""
        return None

    @property
    def until_s(self) -> float | None:
        """When it heals, in seconds after arming, or None."""
        return None if self.for_s is None else self.at_s + self.for_s

    def outages(self) -> tuple[Self, ...]:
        """The same fault once for each time that it comes, none of them repeated."""
        period_s = self.every_s or 0.0
        return tuple(
            msgspec.structs.replace(self, at_s=self.at_s + number * period_s, every_s=None, times=1)
            for number in range(self.times)
        )

    def mistimed(self) -> Iterator[Problem]:
        """What is wrong with its repetitions."""
        if self.every_s is None:
            if self.times > 1:
                yield Problem(
                    "every_s",
                    MISSING,
                    f"the seconds from one onset to the next, for {self.times} times",
                )
        elif self.standing or self.lasting:
            yield Problem(
                "every_s",
                self.every_s,
                "no such key: the fault does not heal, so it cannot come again",
            )
        elif self.for_s is None:
            yield Problem(
                "for_s",
                MISSING,
                f"less than every_s ({self.every_s:g} s): it must heal to come again",
            )
        elif self.for_s >= self.every_s:
            yield Problem(
                "for_s",
                self.for_s,
                f"less than every_s ({self.every_s:g} s): it must heal to come again",
            )
        elif self.times == 1:
            yield Problem("times", self.times, "2 or more: how often it comes in all")
        elif self.at_s + (self.times - 1) * self.every_s > LATEST_S:
            yield Problem(
                "times", self.times, f"fewer: the last onset is {LATEST_S:g} s after arming at most"
            )

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        """Everything wrong with the fault's place in this topology; nothing when it fits."""
        return iter(())

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        """What it means for the connection as `observer` sees it (pure; for the oracle)."""
        raise NotImplementedError

    def hosts(self, layout: Layout) -> frozenset[str]:
        """The hosts whose network namespace or program it acts on."""
        raise NotImplementedError

    def touches(self, layout: Layout) -> frozenset[tuple[str, str]]:
        """What it changes and puts back, as host and thing: two faults that touch one thing cannot
        be on at once.
        """
        return frozenset((host, self.kind) for host in self.hosts(layout))

    def picks_up(self) -> bool | None:
        """Whether it has its host take up flows in mid-stream (nf_conntrack_tcp_loose), or None: it
        does not care.
        """
        return None

    def processes(self) -> frozenset[Side]:
        """The sides whose program must be a process of its own, because the fault acts on it."""
        return frozenset()

    def proxy_must(self, layout: Layout) -> Literal["exist", "answer"] | None:
        """Whether it acts on the program of the topology's proxy, which must be there, or even take
        orders.
        """
        return None

    def inject(self, lab: Lab) -> AbstractContextManager[Callable[[], Evidence]]:
        """Bite on entry, heal on exit; yields a function that gathers the evidence so far.

        Raises FaultError when it cannot be injected or healed.
        """
        raise NotImplementedError

    def _check_standing(self) -> Iterator[Problem]:
        if self.at_s:
            yield Problem(
                "at_s",
                self.at_s,
                "no such key: the fault is in place before the connection is made",
            )
        if self.for_s is not None:
            yield Problem("for_s", self.for_s, "no such key: the fault stays for the whole run")


class OfSideProgram(Fault, frozen=True, kw_only=True):
    """What faults share that act on the program of one side. `on`: which side."""

    on: Side = "server"

    def processes(self) -> frozenset[Side]:
        return frozenset({self.on})

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset({self.on})

    def touches(self, layout: Layout) -> frozenset[tuple[str, str]]:
        return frozenset({(self.on, PROGRAM)})


class OfInterface(Fault, frozen=True, kw_only=True):
    """What faults share that act on a network interface.

    `on`: its host; `toward`: which one, where it has several.
    """

    on: str
    toward: str | None = None

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        yield from unknown_interface(self.on, self.toward, layout)

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset({self.on})


def unknown_host(key: str, name: str, layout: Layout) -> Problem:
    """The complaint about a host that the topology does not have."""
    hosts = f"a host of this topology ({', '.join(layout.host_names)})"
    return Problem(key, name, hosts + did_you_mean(name, layout.host_names))


def unproxied(on: str, layout: Layout) -> Iterator[Problem]:
    """What is wrong with naming the proxy's host where there is none."""
    if on not in layout.host_names:
        yield Problem("on", on, f'{" or ".join(SIDES)}: only topology "proxied" has a proxy')


def unknown_interface(on: str, toward: str | None, layout: Layout) -> Iterator[Problem]:
    """What is wrong with naming an interface by its host and the neighbour on its link."""
    if on not in layout.host_names:
        yield unknown_host("on", on, layout)
        return
    names = [interface.toward for interface in layout.host(on).interfaces]
    if toward is None and len(names) > 1:
        yield Problem("toward", MISSING, f"the neighbour whose link is meant ({', '.join(names)})")
    elif toward is not None and toward not in names:
        yield Problem("toward", toward, f"a neighbour of {on} ({', '.join(names)})")


LOOK_S = 0.0001
"""How often what is about to happen is looked for.

Not sched_yield(2), which gives way to equals alone.
"""
PROGRAM = "program"
"""An endpoint's, as a thing that faults touch."""


def routes_by(host: HostSpec, interface: Interface) -> tuple[str, str]:
    """A host's routes through an interface, as a thing that faults touch."""
    return host.name, f"routes by {interface.name}"


def interface_of(host: HostSpec, toward: str | None) -> Interface:
    """The interface toward a neighbour, or the only one of a host at an end."""
    if toward is None:
        return host.interfaces[0]
    interface = host.interface_toward(toward)
    assert interface is not None
    return interface
