from __future__ import annotations

import itertools
import resource
import select
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec
import pytest
from pyroute2 import IPRoute

from harness.errors import FaultError, LabError
from harness.lab import base_lab, docker_client, docker_lab, nat_rules, netns_lab, rtnetlink
from harness.lab.docker_lab import DockerLab
from harness.lab.host import Host, Lab
from harness.lab.netns_lab import NetnsLab
from harness.lab.process import Program
from harness.lab.rtnetlink_socket import RtnetlinkSocket
from harness.model.topology import FAMILIES, SIDES, Family, Kind, Side, Topology, layout
from harness.probes.capture import Capture
from harness.probes.packets import Segment, parse
from harness.system.user_dirs import state_folder
from tests.conformance.calls import AT_ONCE, PATIENCE_S, call, far, reaches
from tests.conformance.traces import network, network_untouched, nothing_held, process

pytestmark = pytest.mark.conformance

KINDS: tuple[Kind, ...] = get_args(Kind)
_RTN_LOCAL, _IFA_F_TENTATIVE = 2, 0x40


class Implementation(NamedTuple):
    """A lab, and the functions it is built with, any of which may be the one that fails."""

    make: Callable[[Topology], AbstractContextManager[Lab]]
    steps: tuple[tuple[object, str], ...]


_SHARED = ((base_lab, "quieten"), (rtnetlink, "configure"), (nat_rules, "set_up"))
NETNS = Implementation(NetnsLab, ((netns_lab, "Namespace"), (rtnetlink, "connect"), *_SHARED))
DOCKER = Implementation(
    DockerLab, ((docker_lab, "make_network"), (docker_client, "start"), *_SHARED)
)
IMPLEMENTATIONS = {"netns": NETNS, "docker": DOCKER}
FAMILIES_OF_LABS: tuple[Family, ...] = get_args(Family)
PLACES = {
    "netns": [Topology(kind=kind, family=family) for kind in KINDS for family in FAMILIES_OF_LABS],
    # Containers take their time: one cable for both ends, and three, one of them the lab's own.
    "docker": [
        Topology(kind="direct", family="ipv6"),
        Topology(kind="firewalls", family="ipv4"),
    ],
}
"""The topologies in which each lab is put to the test."""
ONE_IS_ENOUGH = frozenset({"test_failing_step_leaves_nothing"})
"""Tests that build a lab many times over: in containers, of one topology."""
LOOK_AROUND = frozenset(
    {
        "test_nothing_is_left_behind",
        "test_failing_step_leaves_nothing",
        "test_refusal_by_the_kernel_leaves_nothing",
    }
)
"""Tests that compare the network that they run in before and after."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test runs with every lab there is, and with the topologies of that lab where it asks for
    one.
    """
    names, test = metafunc.fixturenames, metafunc.function.__name__
    if "implementation" not in names:
        return
    if "topology" not in names:
        labs = [
            pytest.param(found, marks=_marks(name, test), id=name)
            for name, found in IMPLEMENTATIONS.items()
        ]
        metafunc.parametrize("implementation", labs)
        return
    cases = []
    for name, places in PLACES.items():
        few = name == "docker" and test in ONE_IS_ENOUGH
        for place in places[:1] if few else places:
            ident = f"{name}-{place.kind}-{place.family}"
            cases.append(
                pytest.param(IMPLEMENTATIONS[name], place, marks=_marks(name, test), id=ident)
            )
    metafunc.parametrize(("implementation", "topology"), cases)


def _marks(lab: str, test: str) -> list[pytest.MarkDecorator]:
    """Docker makes networks here: where it is looked whether this one is untouched there must be
    nobody else's lab.
    """
    if lab != "docker":
        return []
    apart = pytest.mark.alone if test in LOOK_AROUND else pytest.mark.containers
    return [pytest.mark.needs("docker"), apart]


@pytest.fixture(params=FAMILIES_OF_LABS)
def family(request: pytest.FixtureRequest) -> Family:
    """Each address family."""
    found: Family = request.param
    return found


@pytest.fixture
def lab(implementation: Implementation, topology: Topology) -> Iterator[Lab]:
    """A built lab."""
    with implementation.make(topology) as built:
        yield built


# --- what a lab is ------------------------------------------------------------------------------


def test_hosts_are_as_laid_out(lab: Lab, topology: Topology) -> None:
    """Every host has the interfaces of the layout, up, with their MACs, addresses and prefixes, and
    no more.
    """
    assert lab.layout == layout(topology)
    for spec in lab.layout.hosts:
        host = lab.host(spec.name)
        assert host.name == spec.name
        assert host.identity != Path("/proc/self/ns/net").stat().st_ino
        assert _interfaces(host) == {
            i.name: (i.mac, i.address and (i.address, i.prefix)) for i in spec.interfaces
        }
        for interface in spec.interfaces:
            with host.entered():
                assert rtnetlink.flags(interface.name) == {"UP", "RUNNING", "LOWER_UP"}
    with pytest.raises(KeyError):
        lab.host("nobody")


def test_neighbours_are_pinned(lab: Lab) -> None:
    """Neighbour entries are permanent and those of the layout, so that no outcome depends on their
    age.
    """
    for name in lab.layout.host_names:
        pinned = {(address, mac) for host, address, mac in lab.layout.neighbours if host == name}
        with lab.host(name).entered(), IPRoute() as ipr:
            entries = ipr.get_neighbours(family=FAMILIES[lab.layout.family])
        found = {
            (e.get_attr("NDA_DST"), e.get_attr("NDA_LLADDR")) for e in entries if e["state"] & 0x80
        }
        assert found == pinned


@pytest.mark.parametrize("caller", SIDES)
def test_endpoints_reach_each_other(lab: Lab, caller: Side) -> None:
    """TCP connects and carries data either way, and a lab that has just been built loses
    nothing.
    """
    assert call(lab, caller) == AT_ONCE


@pytest.mark.parametrize("caller", SIDES)
def test_nothing_passes_the_host_of_a_proxy(
    implementation: Implementation, family: Family, caller: Side
) -> None:
    """An end reaches the proxy's host, and has no way to what is behind it."""
    with implementation.make(Topology(kind="proxied", family=family)) as lab:
        assert not lab.layout.is_whole
        assert call(lab, caller) == AT_ONCE
        with lab.host(caller).socket(FAMILIES[family]) as lost:
            lost.settimeout(PATIENCE_S)
            with pytest.raises(OSError, match="Network is unreachable"):
                lost.connect((lab.layout.address(SIDES[1 - SIDES.index(caller)]), 7001))


def test_hosts_are_apart(lab: Lab) -> None:
    """Each host has its own namespace and its own sysctls."""
    identities = [lab.host(name).identity for name in lab.layout.host_names]
    assert len(set(identities)) == len(identities)
    lab.host("client").sysctl("net.ipv4.tcp_keepalive_time", 4321)
    assert _sysctl(lab.host("client"), "net/ipv4/tcp_keepalive_time") == "4321"
    assert _sysctl(lab.host("server"), "net/ipv4/tcp_keepalive_time") != "4321"


def test_labs_do_not_meet(implementation: Implementation, topology: Topology) -> None:
    """Two labs with the same addresses exist side by side and do not reach each other."""
    with implementation.make(topology) as one, implementation.make(topology) as other:
        called, address = far(one, "client")
        with called.socket(FAMILIES[topology.family]) as listener:
            listener.bind((address, 7001))
            listener.listen()
            with other.host("client").socket(FAMILIES[topology.family]) as caller:
                caller.settimeout(PATIENCE_S)
                with pytest.raises(ConnectionRefusedError):
                    caller.connect((address, 7001))
        assert call(one, "client") == call(other, "client") == AT_ONCE


# --- reboot -------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_reboot_keeps_address_and_mac(lab: Lab, side: Side) -> None:
    """A rebooted host has another identity and the same configuration, and can be reached at once,
    both ways.
    """
    host = lab.host(side)
    before, identity = _configuration(host), host.identity
    lab.reboot(side)
    assert lab.host(side) is host
    assert host.identity != identity
    assert _configuration(host) == before
    assert call(lab, "client") == call(lab, "server") == AT_ONCE


@pytest.mark.parametrize("rebooted", SIDES)
def test_reboot_says_neither_fin_nor_rst(lab: Lab, rebooted: Side) -> None:
    """No FIN and no RST of a connection leaves its host as it reboots, be the socket a program's or
    the harness's.
    """
    witness, address = far(lab, rebooted)
    with ExitStack() as stack:
        listener = stack.enter_context(witness.socket(FAMILIES[lab.layout.family]))
        listener.bind((address, 7002))
        listener.listen()
        listener.settimeout(PATIENCE_S)
        with witness.entered():
            capture = stack.enter_context(closing(Capture(witness.name)))
        ours = stack.enter_context(lab.host(rebooted).socket(FAMILIES[lab.layout.family]))
        ours.connect((address, 7002))
        stack.enter_context(listener.accept()[0])
        lab.host(rebooted).start("caller", [sys.executable, "-c", _CALLER, address, "7002"])
        stack.enter_context(listener.accept()[0])
        lab.reboot(rebooted)
        ours.close()
        # What the old host could have sent would have come before this.
        assert call(lab, rebooted) == AT_ONCE
        seen = [parse(frame.data) for frame in capture.read() if frame.way == "in"]
    flags = [
        "".join(sorted(s.flags))
        for s in seen
        if isinstance(s, Segment) and 7002 in (s.sport, s.dport)
    ]
    assert flags.count("S") == 2
    assert not [f for f in flags if "F" in f or "R" in f]


def test_the_host_of_a_proxy_reboots(implementation: Implementation, family: Family) -> None:
    """One in the middle, with two links, comes back as an end does."""
    with implementation.make(Topology(kind="proxied", family=family)) as lab:
        assert lab.layout.proxy is not None
        host = lab.host(lab.layout.proxy)
        doomed = host.start("doomed", _SLEEPER)
        before, identity = _configuration(host), host.identity
        lab.reboot(host.name)
        assert host.identity != identity
        assert _configuration(host) == before
        assert doomed.poll() == -9
        assert call(lab, "client") == call(lab, "server") == AT_ONCE


def test_reboot_ends_programs(lab: Lab) -> None:
    """Programs do not survive their host's reboot; those of other hosts do."""
    doomed = lab.host("server").start("doomed", _SLEEPER)
    spared = lab.host("client").start("spared", _SLEEPER)
    lab.reboot("server")
    assert doomed.poll() == -9
    assert spared.poll() is None


def test_a_programs_last_words_survive_its_reboot(lab: Lab) -> None:
    """What a program printed before its host's reboot can be read after it, and that it has
    ended.
    """
    doomed = lab.host("server").start("doomed", _SLEEPER)
    printed = select.poll()
    printed.register(doomed, select.POLLIN)
    printed.poll(PATIENCE_S * 1000)
    lab.reboot("server")
    assert doomed.lines() == [b"ready"]
    with pytest.raises(FaultError, match="expected a program on host server, found none"):
        _ = lab.host("server").program


_COUNTER = """
import os, pathlib, sys, time
counted = pathlib.Path(os.environ["COUNTED"])
before = len(counted.read_text()) if counted.exists() else 0
counted.write_text("x" * (before + 1))
print(before, os.getcwd(), *sys.argv[1:], flush=True)
time.sleep(1000)
"""


def test_a_program_is_started_again(lab: Lab) -> None:
    """On a host that was rebooted or not: in its place, with its arguments, environment and
    folders.
    """
    host = lab.host("server")
    scratch = host.scratch_folder / f"keepalive-scratch-{uuid.uuid4().hex}"
    told: list[Program] = []
    before = host.identity
    argv, env = [sys.executable, "-c", _COUNTER, "word"], {"COUNTED": str(scratch / "counted")}
    first = host.start("counter", argv, env, str(scratch), scratch)
    other = host.start("other", _SLEEPER)
    captured: list[tuple[int, int]] = []
    host.restarted = told.append
    host.starting_again = lambda: captured.append((len(told), host.identity))
    words = [first.read_line(PATIENCE_S)]
    first.kill()
    host.start_again(first)
    words.append(host.program.read_line(PATIENCE_S))
    assert (host.programs[1], told) == (other, [host.program])
    lab.reboot("server")
    host.start_again(told[0])
    words.append(host.program.read_line(PATIENCE_S))
    host.start_again(told[1], keeps_scratch=False)
    words.append(host.program.read_line(PATIENCE_S))
    assert [line.decode() for line in words] == [
        f"{number} {scratch} word" for number in (0, 1, 2, 0)
    ]
    assert captured == [(0, before), (1, host.identity), (2, host.identity)]
    assert before != host.identity
    host.restarts = False
    host.start_again(told[2])
    assert len(told) == 3
    host.kill_programs()
    assert scratch.exists()


def test_python_programs_do_not_buffer_their_output(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the program's environment, or that of this process, says otherwise."""
    argv = [
        sys.executable,
        "-c",
        "import os, time; print(os.environ['PYTHONUNBUFFERED']); time.sleep(1000)",
    ]
    host = lab.host("client")
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    assert host.start("unflushed", argv).read_line(PATIENCE_S) == b"1"
    assert host.start("set", argv, {"PYTHONUNBUFFERED": "2"}).read_line(PATIENCE_S) == b"2"
    monkeypatch.setenv("PYTHONUNBUFFERED", "3")
    assert host.start("inherited", argv).read_line(PATIENCE_S) == b"3"


def test_reboot_behind_a_dead_link(lab: Lab) -> None:
    """A host whose neighbour's interface is down reboots all the same, and is reached as soon as
    that is up.
    """
    neighbour = lab.host(lab.layout.host("client").interfaces[0].toward)
    device = neighbour.spec.interface_toward("client")
    assert device is not None
    with neighbour.interface_down(device.name):
        lab.reboot("client")
        assert not reaches(lab, "client")
    _await_operation(lab)
    assert call(lab, "client") == AT_ONCE


def test_reboot_twice(lab: Lab) -> None:
    """A host can be rebooted again, and so can its peer."""
    for side in (*SIDES, *SIDES):
        lab.reboot(side)
    assert call(lab, "client") == AT_ONCE


# --- interfaces ---------------------------------------------------------------------------------


def test_interface_down_and_up_again(lab: Lab) -> None:
    """Taken down, an interface carries nothing.

    Healed, it has its addresses, routes and neighbours again.
    """
    _await_operation(lab)
    for spec in lab.layout.hosts:
        host = lab.host(spec.name)
        for interface in spec.interfaces:
            before = _configuration(host)
            with host.interface_down(interface.name) as flags:
                assert "UP" not in flags()
                assert [reaches(lab, side) for side in SIDES].count(False) == (
                    2 if lab.layout.is_whole else 1
                )
            _await_operation(lab)
            assert _configuration(host) == before
            assert call(lab, "client") == call(lab, "server") == AT_ONCE


def test_a_link_is_settled_after_a_change_of_carrier(lab: Lab) -> None:
    """When that call returns, the work queue of the kernel has told both ends, down or up."""

    def operates(name: str, device: str) -> bool:
        with lab.host(name).namespace.entered(), RtnetlinkSocket() as rtnl:
            return rtnl.link(rtnl.index_of(device)).operates

    _await_operation(lab)
    for spec in lab.layout.hosts:
        for near in spec.interfaces:
            other = lab.layout.host(near.toward).interface_toward(spec.name)
            assert other is not None
            ends = ((spec.name, near.name), (near.toward, other.name))
            with lab.host(spec.name).interface_down(near.name):
                lab.settle_carrier(spec.name, near.name)
                assert not any(operates(*end) for end in ends)
            lab.settle_carrier(spec.name, near.name)
            assert all(operates(*end) for end in ends)


# --- programs -----------------------------------------------------------------------------------


def test_programs_live_and_die_with_the_lab(
    implementation: Implementation,
    topology: Topology,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A program runs in its host's namespace, is in the ledger while it runs, and is gone with the
    lab.
    """
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with implementation.make(topology) as lab:
        programs = []
        for name in lab.layout.host_names:
            program = lab.host(name).start("sleeper", _SLEEPER)
            assert program.read_line(PATIENCE_S) == b"ready"
            assert Path(f"/proc/{program.pid}/ns/net").stat().st_ino == lab.host(name).identity
            programs.append(program)
        (ledger,) = (state_folder() / "ledger").iterdir()
        assert ledger.read_text().count("sleeper on") == len(programs)
    assert [program.poll() for program in programs] == [-9] * len(programs)
    assert not [program.pid for program in programs if Path(f"/proc/{program.pid}").exists()]
    assert not list((state_folder() / "ledger").iterdir())


# --- nothing stays ------------------------------------------------------------------------------


def test_nothing_is_left_behind(implementation: Implementation, topology: Topology) -> None:
    """After a lab in which everything was done, this process and the host's own network are as
    before.
    """
    with nothing_held(), network_untouched(), implementation.make(topology) as lab:
        lab.host("server").start("sleeper", _SLEEPER)
        lab.host("server").sysctl("net.ipv4.tcp_keepalive_time", 99)
        with lab.host("client").interface_down("eth0"):
            pass
        _await_operation(lab)
        with lab.host("client").ruleset(
            "ingress:eth0", {"drop": [[{"counter": None}, {"drop": None}]]}
        ) as counters:
            assert not reaches(lab, "client")
            assert counters()["drop"] > 0
        lab.reboot("server")
        assert call(lab, "client") == AT_ONCE


@pytest.mark.parametrize(
    "error", [LabError("on purpose"), KeyboardInterrupt()], ids=["error", "interrupt"]
)
def test_failing_step_leaves_nothing(
    implementation: Implementation,
    topology: Topology,
    error: BaseException,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whichever step of building fails, and whichever time it is taken, everything before it is
    undone.
    """
    with nothing_held(), network_untouched():
        for owner, step in implementation.steps:
            done = 0
            while _fails_at(implementation, topology, monkeypatch, (owner, step, done), error):
                done += 1
            assert done > 0, f"{step} is no step of building"


def _fails_at(
    implementation: Implementation,
    topology: Topology,
    monkeypatch: pytest.MonkeyPatch,
    where: tuple[object, str, int],
    error: BaseException,
) -> bool:
    """Build with a step that fails after some successes; False where it was not taken so often."""
    owner, step, successes = where
    real, left = getattr(owner, step), iter([True] * successes)

    def failing(*arguments: Any, **options: Any) -> Any:
        if next(left, False):
            return real(*arguments, **options)
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, failing)
        try:
            with implementation.make(topology):
                return False
        except type(error) as raised:
            return raised is error


def test_refusal_by_the_kernel_leaves_nothing(
    implementation: Implementation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the kernel refuses in the middle of wiring is a LabError with its words, and nothing
    stays.
    """
    plain = layout(Topology(kind="routed"))
    client, router, server = plain.hosts
    twins = tuple(
        msgspec.structs.replace(interface, name="twin") for interface in router.interfaces
    )
    broken = msgspec.structs.replace(
        plain, hosts=(client, msgspec.structs.replace(router, interfaces=twins), server)
    )
    monkeypatch.setattr(base_lab, "layout", lambda _: broken)
    with (
        nothing_held(),
        network_untouched(),
        pytest.raises(LabError, match="File exists"),
        implementation.make(Topology(kind="routed")),
    ):
        pass


def test_running_out_of_descriptors_leaves_nothing() -> None:
    """With too few descriptors building ends in a LabError, wherever they run out, and none
    stays open.
    """
    most = 24
    held, failures = process().descriptors, 0
    for spare in range(most):
        with _spare_descriptors(spare):
            try:
                with NetnsLab(Topology(kind="routed")):
                    pass
            except LabError as error:
                failures += "Too many open files" in str(error)
        assert process().descriptors == held
    assert 0 < failures < most


@contextmanager
def _spare_descriptors(number: int) -> Iterator[None]:
    """Let this process open no more than so many further descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = process().descriptors
    free = (n for n in itertools.count() if n not in used)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(itertools.islice(free, number, None)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- helpers ------------------------------------------------------------------------------------

_SLEEPER = [
    sys.executable,
    "-I",
    "-S",
    "-c",
    "import sys; print('ready', flush=True); sys.stdin.read()",
]
_CALLER = """
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
sys.stdin.read()
"""


def _interfaces(host: Host) -> dict[str, tuple[str, tuple[str, int] | None]]:
    """MAC and address with prefix by name, of all interfaces but loopback and the switch itself."""
    with host.entered(), IPRoute() as ipr:
        addresses = {
            message["index"]: (message.get_attr("IFA_ADDRESS"), message["prefixlen"])
            for message in ipr.get_addr()
            if message["scope"] == 0
        }
        return {
            message.get_attr("IFLA_IFNAME"): (
                message.get_attr("IFLA_ADDRESS"),
                addresses.get(message["index"]),
            )
            for message in ipr.get_links()
            if message.get_attr("IFLA_IFNAME") not in ("lo", rtnetlink.BRIDGE)
        }


def _sysctl(host: Host, path: str) -> str:
    with host.entered():
        return Path("/proc/sys", path).read_text().strip()


def _configuration(host: Host) -> dict[str, list[Any]]:
    """Everything in the host's network, once a work queue has seen to its IPv6 addresses
    (addrconf_dad_work).
    """
    deadline = time.monotonic() + PATIENCE_S
    with host.entered():
        while not _takes_in_all(found := network()):
            assert time.monotonic() < deadline, found
            time.sleep(0.0005)
    return found


def _takes_in_all(found: dict[str, list[Any]]) -> bool:
    """Whether every address has its local route, and none is tentative."""
    local = {
        dict(route["attrs"]).get("RTA_DST")
        for route in found["routes"]
        if route["type"] == _RTN_LOCAL
    }
    addresses = [(each["flags"], dict(each["attrs"])["IFA_ADDRESS"]) for each in found["addresses"]]
    return all(address in local and not flags & _IFA_F_TENTATIVE for flags, address in addresses)


def _await_operation(lab: Lab) -> None:
    """The far end of a link, and the switch around it, learn of carrier from a work queue."""
    deadline = time.monotonic() + PATIENCE_S
    for name in lab.layout.host_names:
        with lab.host(name).entered(), RtnetlinkSocket() as rtnl:
            for index, device in socket.if_nameindex():
                while index != 1 and not rtnl.link(index).operates:
                    assert time.monotonic() < deadline, f"{name}/{device}"
                    time.sleep(0.0005)
