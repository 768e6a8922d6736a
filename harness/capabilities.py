"""What this machine can do, each with how that was found out, the reason where it cannot, and the
fix.

`survey()` is what `harness doctor` prints. Each capability is tried, not guessed from versions.
"""

from __future__ import annotations

import functools
import platform
import time
from collections.abc import Callable

import msgspec

from harness.errors import CapabilityError, HarnessError
from harness.plan.local_machine import local_machine
from harness.system.kernel_clock import hz


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is needed (`essential`) or useful.

    `found` says what was seen, `fix` what would help.
    """

    name: str
    available: bool
    found: str
    fix: str = ""
    needed_for: str = ""
    essential: bool = True


def survey() -> list[Capability]:
    """Try everything. Enters a user namespace where that is needed to go on."""
    found, _ = hz()
    results = [
        Capability(
            name="kernel",
            available=True,
            found=f"Linux {platform.release()}, HZ={found} by clock_getres, {_cpus()}",
        ),
        _attempt("namespaces", _namespaces, "every scenario", "CONFIG_NET_NS=y, CONFIG_USER_NS=y"),
    ]
    if results[-1].available:
        results += [
            _attempt("topologies", _topologies, "every scenario", "CONFIG_VETH, CONFIG_BRIDGE"),
            _attempt("capture", _capture, "every scenario", "CONFIG_PACKET"),
            _attempt(
                "nftables", _nftables, "blackholes", "CONFIG_NF_TABLES, CONFIG_NF_TABLES_NETDEV"
            ),
            _attempt(
                "conntrack",
                _conntrack,
                "firewalls",
                "CONFIG_NF_CONNTRACK, CONFIG_NFT_CT, CONFIG_NFT_REJECT_INET",
            ),
            _attempt("ipv6", _ipv6, "scenarios with IPv6", "CONFIG_IPV6", essential=False),
            netem(),
        ]
    virtual = _attempt("virtual time", _virtual_time, "--clock virtual", "", essential=False)
    return [*results, virtual, docker(), toxiproxy()]


def _cpus() -> str:
    number = local_machine().cpus
    return f"{number} CPU" if number == 1 else f"{number} CPUs"


def _attempt(
    name: str, trial: Callable[[], str], needed_for: str, options: str, *, essential: bool = True
) -> Capability:
    """`options`: of the kernel's configuration, for the fix where the trial itself knows none."""
    fix = ""
    try:
        found, available = trial(), True
    except CapabilityError as error:
        found, available, fix = error.found, False, error.fix
    except (HarnessError, OSError) as error:
        found, available = str(error), False
        fix = f"use a kernel with {options}; where they are modules, load them as root (modprobe)"
    return Capability(
        name=name,
        available=available,
        found=found,
        fix=fix,
        needed_for=needed_for,
        essential=essential,
    )


def _namespaces() -> str:
    from harness.lab.namespace import ensure_privileges

    how = {"root": "as root", "user namespace": "in a user namespace of our own"}
    return f"network namespaces, {how[ensure_privileges()]}"


def _topologies() -> str:
    from harness.lab.netns_lab import NetnsLab
    from harness.model.topology import Topology

    started = time.monotonic_ns()
    with NetnsLab(Topology(kind="switched")), NetnsLab(Topology(kind="routed")):
        pass
    return (
        "veth, bridge and routing; two labs built in "
        f"{(time.monotonic_ns() - started) / 1e6:.0f} ms"
    )


def _ipv6() -> str:
    from harness.lab.netns_lab import NetnsLab
    from harness.model.topology import Topology

    with NetnsLab(Topology(kind="direct", family="ipv6")):
        return "IPv6 in namespaces"


def _capture() -> str:
    from harness.lab.namespace import Namespace
    from harness.probes.capture import Capture

    namespace = Namespace()
    try:
        with namespace.entered():
            Capture("doctor").close()
    finally:
        namespace.close()
    return "AF_PACKET sockets"


def _nftables() -> str:
    from harness.lab.namespace import Namespace
    from harness.lab.nftables import run

    namespace = Namespace()
    try:
        with namespace.entered():
            run({"add": {"table": {"family": "netdev", "name": "doctor"}}})
    finally:
        namespace.close()
    return "libnftables.so.1 and the kernel's nf_tables"


def _conntrack() -> str:
    from harness.lab.namespace import Namespace, write_sysctl

    namespace = Namespace()
    try:
        with namespace.entered():
            write_sysctl("net.netfilter.nf_conntrack_tcp_loose", 0)
    finally:
        namespace.close()
    return "connection tracking with timeouts per namespace"


@functools.cache
def netem() -> Capability:
    """Whether the kernel impairs what leaves an interface.

    Enters a user namespace where that is needed to go on.
    """
    return _attempt(
        "netem", _netem, "delay, duplicate, reorder, rate; loss does without", "", essential=False
    )


def _netem() -> str:
    from harness.lab.netem import Impairment
    from harness.lab.netns_lab import NetnsLab
    from harness.model.topology import Topology

    with (
        NetnsLab(Topology()) as lab,
        lab.host("router").impaired("to-server", Impairment(seed=1)) as counters,
    ):
        seeded = counters().seeded
    return "netem behind a filter, " + (
        "seeded" if seeded else "without a seed: it came with Linux 6.6"
    )


def _virtual_time() -> str:
    from harness.venue import guest_process, kernel, trial

    found, memory = kernel.find(None), guest_process.memory_folder()
    if trial.try_out(found):
        files = (
            "the host's kernel keeps guests from all files but those that they are given to write"
        )
    elif found.manifest.confines:
        files = (
            "only their own kernel keeps guests from the user's files, as no mount namespace is "
            "allowed here"
        )
    else:
        files = (
            "nothing keeps root in a guest from writing the user's files: build a kernel anew "
            f"({kernel.COMMAND})"
        )
    name = f"{found.name}, a User-Mode Linux kernel whose clock jumps"
    return f"{name}; {memory.size_mb} MiB for a guest in {memory.path}; {files}"


def docker() -> Capability:
    """Whether there is a daemon whose containers this process can work on."""
    return _attempt("docker", _docker, "--lab docker, harness inject", "", essential=False)


def _docker() -> str:
    from harness.lab import docker_client
    from harness.lab.docker_lab import ensure_root

    found, fix = docker_client.reach()
    if fix:
        raise CapabilityError("docker", found, fix)
    ensure_root()
    docker_client.connect().close()
    return found


def toxiproxy() -> Capability:
    """Whether there is a toxiproxy-server that runs, and the library that speaks to it."""
    return _attempt("toxiproxy-server", _toxiproxy, "scenarios behind a proxy", "", essential=False)


def _toxiproxy() -> str:
    from harness.lab import toxiproxy_server

    said = toxiproxy_server.version()
    toxiproxy_server.check_library()
    return f"version {said} at {toxiproxy_server.server()}, with toxiproxy-python"
