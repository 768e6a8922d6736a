"""What docker does to containers: pause, kill, restart, take off a network.

Only where hosts are containers.

They look like faults of a program or of a host, and are told apart by what the kernel says in their
place: a paused container's kernel goes on answering, a killed one's says FIN before its network
goes, one that is off its network says nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from harness.errors import FaultError
from harness.faults.base import Evidence, OfSideProgram, routes_by
from harness.faults.link import LinkDown
from harness.lab.watched import unread as unread_octets
from harness.model.topology import Layout, Side
from harness.model.values import Problem, count
from harness.oracle.effects import Effect

if TYPE_CHECKING:
    from harness.lab.docker_host import ContainerHost
    from harness.lab.host import Lab

_SIGKILLED = 137
"""A container's exit code: 128 and the signal that ended its first process."""
DOCKER_S = 1.0
"""How long docker may take to end a container: it starts a program (runc) for that.

0.3 s were seen when busy.
"""


class _OfContainer(OfSideProgram, frozen=True, kw_only=True):
    """`on`: the side whose container it is."""

    of_containers: ClassVar[bool] = True
    on_one_container: ClassVar[bool] = True
    undrawn: ClassVar[str] = "it is docker's to do, and there is none in virtual time"

    def misplaced(self, layout: Layout) -> Iterator[Problem]:
        if self.lasting and self.for_s is not None:
            yield Problem("for_s", self.for_s, "no such key: what has been ended stays so")

    def _container(self, lab: Lab) -> ContainerHost:
        """The container. Raises FaultError."""
        from harness.lab.docker_host import ContainerHost

        host = lab.host(self.on)
        if not isinstance(host, ContainerHost):
            raise FaultError(
                f"expected {self.on} to be a container, found a network namespace; use a docker lab"
            )
        return host


class ContainerPause(_OfContainer, frozen=True, kw_only=True, tag="container-pause"):
    """`docker pause`: all its processes stand still (freezer control group), unpaused when it
    heals.

    Its kernel goes on answering. Evidence: docker's word, and that the program under test is among
    the processes.
    """

    summary: ClassVar[str] = "docker pause: all processes of the container are frozen"

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        if self.on == observer:
            return ()
        return (Effect(mechanism="peer-frozen", from_s=self.at_s, until_s=self.until_s),)

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        host = self._container(lab)
        with host.paused() as is_paused:

            def evidence() -> Evidence:
                status, among = "paused" if is_paused() else host.status(), host.holds_programs()
                found = f"container {host.container.name} is {status}"
                if not among:
                    found += ", and a program under test is not in it"
                return Evidence(
                    level="bit" if status == "paused" and among else "none", found=found
                )

            yield evidence


class ContainerKill(_OfContainer, frozen=True, kw_only=True, tag="container-kill"):
    """`docker kill`: SIGKILL to its first process and so to all.

    Its connections are closed, then its network goes.

    Evidence: the exit code, and that nothing was left unread just before, which would have made it
    say RST.
    """

    summary: ClassVar[str] = "docker kill: the container ends"
    lasting: ClassVar[bool] = True
    takes_s: ClassVar[float] = DOCKER_S

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        return () if self.on == observer else (Effect(mechanism="peer-closed", from_s=self.at_s),)

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        host = self._container(lab)
        unread = unread_octets(lab, host)
        await_end = host.kill()

        def evidence() -> Evidence:
            await_end()
            status, code = host.status(), host.container.attrs["State"]["ExitCode"]
            return Evidence(
                level="bit" if status == "exited" and code == _SIGKILLED and not unread else "none",
                found=(
                    f"container {host.container.name} {status} with code {code}, "
                    f"{count(unread, 'octet')} unread"
                ),
            )

        try:
            yield evidence
        finally:
            await_end()


class ContainerRestart(_OfContainer, frozen=True, kw_only=True, tag="container-restart"):
    """`docker restart`: its first process is told to end, killed after `grace_s`, and the container
    started again.

    The old kernel state says FIN or RST as it goes; the new container knows nothing. Evidence: when
    it was started, and its network namespace.
    """

    grace_s: Annotated[int, msgspec.Meta(ge=0, le=3600)] = 0

    summary: ClassVar[str] = "docker restart: the old container sends FIN, the new one has no state"
    lasting: ClassVar[bool] = True
    takes_s: ClassVar[float] = DOCKER_S

    @property
    def starts_timer(self) -> bool:
        return self.grace_s > 0

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        if self.on == observer:
            return ()
        told = f"its program ends within {self.grace_s} s of being told" if self.grace_s else ""
        return (Effect(mechanism="peer-closed", from_s=self.at_s, unknown=told),)

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        host = self._container(lab)
        host.status()
        before, identity, unread = (
            host.container.attrs["State"]["StartedAt"],
            host.identity,
            unread_octets(lab, host),
        )
        await_end = host.restart(self.grace_s)

        def evidence() -> Evidence:
            await_end()
            status, after = host.status(), host.container.attrs["State"]["StartedAt"]
            renewed = (
                status == "running" and after != before and host.identity != identity and not unread
            )
            when = f"started at {after}, before at {before}"
            found = (
                f"container {host.container.name} is {status}, {when}, {count(unread, 'octet')} "
                "unread"
            )
            return Evidence(level="bit" if renewed else "none", found=found)

        try:
            yield evidence
        finally:
            await_end()


class NetworkDisconnect(_OfContainer, frozen=True, kw_only=True, tag="network-disconnect"):
    """`docker network disconnect`, and `connect` when it heals: the container's interface is gone,
    and so is the cable.

    `network`: by name, the only one or a lab's by default. Evidence: docker's word, and the
    interfaces left.
    """

    network: str = ""

    summary: ClassVar[str] = "docker network disconnect: the container's interface is removed"

    def processes(self) -> frozenset[Side]:
        return frozenset()

    def touches(self, layout: Layout) -> frozenset[tuple[str, str]]:
        """The interfaces at both ends of the cable: a new pair takes their place."""
        own = layout.host(self.on)
        neighbour = layout.host(own.interfaces[0].toward)
        far = neighbour.interface_toward(self.on)
        assert far is not None
        ends = ((own, own.interfaces[0]), (neighbour, far))
        things = [
            thing for host, end in ends for thing in ((host.name, end.name), routes_by(host, end))
        ]
        return frozenset([*things, *((host.name, f"arrivals on {end.name}") for host, end in ends)])

    def hosts(self, layout: Layout) -> frozenset[str]:
        return frozenset({self.on, layout.host(self.on).interfaces[0].toward})

    def effects(self, layout: Layout, observer: Side) -> tuple[Effect, ...]:
        neighbour = layout.host(self.on).interfaces[0].toward
        if observer in (self.on, neighbour):
            down = LinkDown(on=observer, at_s=self.at_s, for_s=self.for_s)
        else:
            down = LinkDown(on=neighbour, toward=self.on, at_s=self.at_s, for_s=self.for_s)
        return down.effects(layout, observer)

    @contextmanager
    def inject(self, lab: Lab) -> Iterator[Callable[[], Evidence]]:
        host = self._container(lab)
        with host.disconnected(self.network) as is_off:

            def evidence() -> Evidence:
                left = ", ".join(sorted(host.interfaces())) or "none"
                found = f"container {host.container.name} has these interfaces left: {left}"
                return Evidence(level="bit" if is_off() else "none", found=found)

            yield evidence
