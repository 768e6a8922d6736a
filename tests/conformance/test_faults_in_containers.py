"""Faults work on hosts whatever those are: each kind once on containers, and what docker itself
does to them.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext

import pytest

from harness.api import lab_session
from harness.api.lab_session import Workbench
from harness.errors import CapabilityError
from harness.faults import (
    FAULTS,
    AnyFault,
    ContainerKill,
    ContainerPause,
    ContainerRestart,
    FirewallIdle,
    NetworkDisconnect,
)
from harness.lab.docker_host import ContainerHost
from harness.lab.factory import built
from harness.lab.host import Lab
from harness.model.topology import SIDES, Topology, layout
from tests.conformance.test_faults import CASES, LOST_S, Case, bystander, leaves_evidence_and_heals
from tests.conformance.traces import nothing_held

pytestmark = [pytest.mark.conformance, pytest.mark.needs("docker"), pytest.mark.containers]
WIRED = (
    Topology(kind="direct", family="ipv4"),
    Topology(kind="switched", family="ipv6"),
    Topology(kind="routed", family="ipv4"),
)
"""Each way in which an endpoint's link can be laid."""


def _one_of_each() -> Iterator[Case]:
    """The first case of each kind whose effects are not a proxy's."""
    seen = set()
    for case in sorted(CASES, key=lambda case: case.topology.kind != "routed"):
        if layout(case.topology).is_whole and type(case.fault) not in seen:
            seen.add(type(case.fault))
            yield case


def _of_docker() -> Iterator[Case]:
    """The cable matters to what is done to it.

    To a container's processes, whether it is its own.
    """
    for topology in WIRED:
        yield from (Case(NetworkDisconnect(on=side), topology) for side in SIDES)
    for topology, side in itertools.product(WIRED[:1], SIDES):
        yield from (
            Case(kind(on=side), topology)
            for kind in (ContainerKill, ContainerPause, ContainerRestart)
        )


def of(*kinds: type[AnyFault]) -> pytest.MarkDecorator:
    """Parametrise with docker's faults of some kinds."""
    return pytest.mark.parametrize(
        "case", [c for c in _of_docker() if isinstance(c.fault, kinds)], ids=str
    )


@pytest.fixture(scope="module")
def labs() -> Iterator[Callable[[Topology], Lab]]:
    """Labs of containers by topology, each for all tests that leave it as it was."""
    with ExitStack() as stack:

        @functools.cache
        def lab(topology: Topology) -> Lab:
            return stack.enter_context(built(topology, "docker"))

        yield lab


@pytest.fixture
def bench(
    case: Case, labs: Callable[[Topology], Lab], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workbench]:
    """A workbench of containers, which leaves nothing behind.

    In a lab that was used before where hosts stay the same.

    They do not where the fault lasts, where programs are started on them, and where a firewall has
    seen flows.
    """
    fault = case.fault
    if not (
        fault.lasting or fault.processes() or fault.of_containers or isinstance(fault, FirewallIdle)
    ):
        lab = labs(case.topology)
        monkeypatch.setattr(lab_session, "built", lambda *_: nullcontext(lab))
    with nothing_held(), Workbench(case.topology.kind, case.topology.family, lab="docker") as made:
        yield made


def test_no_fault_of_docker_is_missing() -> None:
    """Each has its cases."""
    tested = {type(case.fault) for case in _of_docker()}
    assert tested == {fault for fault in FAULTS.values() if fault.of_containers}


@pytest.mark.parametrize("case", list(_one_of_each()), ids=str)
def test_it_leaves_evidence_and_heals(bench: Workbench, case: Case) -> None:
    """On containers as on namespaces: it stands, and what does not last leaves the hosts' networks
    as they were.
    """
    try:
        leaves_evidence_and_heals(bench, case.fault)
    except CapabilityError as missing:
        if "netem" in str(missing):
            pytest.skip(str(missing))
        raise


@of(ContainerPause)
def test_a_paused_container_answers_nothing_but_acknowledges(bench: Workbench, case: Case) -> None:
    """Its program stands still; unpaused, it does all that it missed."""
    link = bench.connect(processes=case.fault.processes(), observe=bystander(case.fault))
    with case.fault.inject(bench.lab) as evidence:
        assert evidence().level == "bit"
        assert not link.echo(LOST_S)
    if bystander(case.fault) == "client":
        assert link.echo()


@of(ContainerKill, ContainerRestart)
def test_an_ended_container_says_fin(bench: Workbench, case: Case) -> None:
    """The other end reads the end of the stream; a new container has another network namespace."""
    observer = bystander(case.fault)
    link = bench.connect(processes=case.fault.processes(), observe=observer)
    assert isinstance(case.fault, ContainerKill | ContainerRestart)
    host = bench.host(case.fault.on)
    assert isinstance(host, ContainerHost)
    identity = host.identity
    with case.fault.inject(bench.lab) as evidence:
        assert link.wait(5.0).kind == "eof"
        assert evidence().level == "bit", evidence().found
    if isinstance(case.fault, ContainerRestart):
        assert host.identity != identity
        assert bench.connect().echo()


@of(NetworkDisconnect)
def test_a_disconnected_container_comes_back(bench: Workbench, case: Case) -> None:
    """No interface, no cable, and nothing passes.

    Connected again it has all that it had, twice over.
    """
    link = bench.connect()
    assert link.echo()
    for _ in range(2):
        with case.fault.inject(bench.lab) as evidence:
            assert evidence().level == "bit"
            assert not link.echo(LOST_S)
        assert link.echo()
