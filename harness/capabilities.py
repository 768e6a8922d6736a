"""What this machine can do, each with how that was found out, the reason where it cannot, and the mend.

`machine()` is what plans need; `survey()` is what `harness doctor` prints. Each capability is tried, not guessed from
versions.
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from harness.errors import CapabilityError, HarnessError
from harness.plan import MachineFacts

CLOCK_MONOTONIC_COARSE = 6


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is needed (`essential`) or useful; `found` says what was seen, `mend` what would help."""

    name: str
    available: bool
    found: str
    mend: str = ""
    essential: bool = True


@functools.cache
def hz() -> tuple[int, str]:
    """The kernel's HZ and where it was found.

    The resolution of CLOCK_MONOTONIC_COARSE is one jiffy (kernel/time/posix-timers.c:posix_get_coarse_res); it needs no
    configuration file and no rights.
    """
    resolution_ns = round(time.clock_getres(CLOCK_MONOTONIC_COARSE) * 1e9)
    return round(1e9 / resolution_ns), f"clock_getres(CLOCK_MONOTONIC_COARSE) = {resolution_ns} ns"


def machine() -> MachineFacts:
    """The kernel that scenarios will run on."""
    found, source = hz()
    return MachineFacts(kernel=platform.release(), hz=found, hz_source=source, cpus=os.cpu_count() or 1)


def survey() -> list[Capability]:
    """Try everything. Enters a user namespace where that is needed to go on."""
    found, source = hz()
    results = [
        Capability(name="kernel", available=True, found=f"Linux {platform.release()}, HZ={found} ({source})"),
        _attempt("namespaces", _namespaces),
    ]
    if results[-1].available:
        results += [
            _attempt("topologies", _topologies),
            _attempt("ipv6", _ipv6, essential=False),
            _attempt("capture", _capture),
            _attempt("nftables", _nftables),
            _attempt("conntrack", _conntrack),
        ]
    results += [_docker(), _tool("toxiproxy-server", "go install github.com/Shopify/toxiproxy/v2/cmd/server@latest")]
    return results


def _attempt(name: str, trial: Callable[[], str], *, essential: bool = True) -> Capability:
    try:
        return Capability(name=name, available=True, found=trial(), essential=essential)
    except CapabilityError as error:
        return Capability(name=name, available=False, found=error.found, mend=error.mend, essential=essential)
    except (HarnessError, OSError) as error:
        mend = "use a kernel with this feature; the README lists the configuration options"
        return Capability(name=name, available=False, found=str(error), mend=mend, essential=essential)


def _namespaces() -> str:
    from harness.lab.namespace import ensure_privileges

    return f"network namespaces, as {ensure_privileges()}"


def _topologies() -> str:
    from harness.lab.netns import NetnsLab
    from harness.lab.topology import Topology

    started = time.monotonic_ns()
    with NetnsLab(Topology(kind="switched")), NetnsLab(Topology(kind="routed")):
        pass
    return f"veth, bridge and routing; two labs built in {(time.monotonic_ns() - started) / 1e6:.0f} ms"


def _ipv6() -> str:
    from harness.lab.netns import NetnsLab
    from harness.lab.topology import Topology

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


def _docker() -> Capability:
    """Whether a daemon answers on its usual socket; not needed by the netns lab."""
    path = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    if not Path(path).exists():
        return Capability(
            name="docker", available=False, essential=False, found=f"no socket at {path}", mend="start a docker daemon"
        )
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
    except OSError as error:
        return Capability(
            name="docker", available=False, essential=False, found=f"{path}: {error.strerror}", mend="start the daemon"
        )
    return Capability(name="docker", available=True, essential=False, found=f"a daemon at {path}")


def _tool(name: str, mend: str) -> Capability:
    path = shutil.which(name)
    return Capability(
        name=name, available=path is not None, essential=False, found=path or "not on PATH", mend="" if path else mend
    )
