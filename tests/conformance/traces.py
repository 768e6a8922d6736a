"""What a test could leave behind: in this process and in the host's own network.

Compared before and after.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import Any, NamedTuple

from pyroute2 import IPRoute

from harness.errors import HarnessError
from harness.lab import nftables
from harness.probes.capture import keep_stamping

PATIENCE_S = 30.0
_PERMANENT = 0x80
_OUR_MACS = "02:77:00:00:"
_VOLATILE = frozenset(
    {
        "header",
        "IFLA_BR_GC_TIMER",
        "IFLA_BR_HELLO_TIMER",
        "IFLA_CARRIER_CHANGES",
        "IFLA_CARRIER_DOWN_COUNT",
        "IFLA_CARRIER_UP_COUNT",
        "IFLA_LINK_NETNSID",
        "IFLA_STATS",
        "IFLA_STATS64",
        "IFLA_INET6_STATS",
        "IFLA_INET6_ICMP6STATS",
        "IFLA_INET6_CACHEINFO",
        "IFA_CACHEINFO",
        "RTA_CACHEINFO",
        "NDA_CACHEINFO",
        "NDA_PROBES",
        "packets",
        "bytes",
    }
)
"""Counters and ages, in rtnetlink's and libnftables' words: they move on any host that is alive.

And what a namespace calls the one at a link's other end, which depends on which it heard of first.
"""
_VOLATILE_SYSCTLS = frozenset({"nf_conntrack_count"})


class Process(NamedTuple):
    """What this process holds: descriptors with what they are, the number of threads, the
    children.
    """

    descriptors: dict[int, str]
    threads: int
    children: tuple[str, ...]


def process() -> Process:
    """What this process holds now, with what its first lab leaves until it ends."""
    keep_stamping()
    gc.collect()
    return Process(dict(_descriptors()), _threads(), tuple(sorted(_children())))


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def _descriptors() -> Iterator[tuple[int, str]]:
    for link in Path("/proc/self/fd").iterdir():
        try:
            yield int(link.name), str(link.readlink())
        except FileNotFoundError:  # the listing's own
            continue


def _children() -> Iterator[str]:
    for folder in Path("/proc").glob("[1-9]*"):
        try:
            status = (folder / "stat").read_text()
        except OSError:  # it has ended
            continue
        name, parent = (
            status.partition("(")[2].rpartition(")")[0],
            int(status.rpartition(")")[2].split()[1]),
        )
        if parent == os.getpid():
            yield f"{folder.name} {name}"


@contextmanager
def nothing_held() -> Iterator[None]:
    """The block leaves this process with the descriptors, threads and children that it had."""
    before = process()
    yield
    deadline = time.monotonic() + PATIENCE_S
    while _threads() > before.threads and time.monotonic() < deadline:
        time.sleep(0.002)  # captures are closed by a thread each, which ends a grace period later
    while (after := process()) != before and time.monotonic() < deadline:
        time.sleep(0.005)
    assert after == before


@contextmanager
def network_untouched() -> Iterator[None]:
    """The block leaves the configuration of the network that this process is in as it was."""
    before = network()
    yield
    after = network()
    assert after.keys() == before.keys()
    for what, found in before.items():
        assert after[what] == found, what


def network() -> dict[str, list[Any]]:
    """Links, addresses, routes, rules, neighbours, rules of the packet filter and sysctls of this
    network namespace.
    """
    with IPRoute() as ipr:
        found = {
            "links": _plain(ipr.get_links()),
            "addresses": _plain(ipr.get_addr()),
            "routes": _plain(ipr.get_routes(family=AF_INET))
            + _plain(ipr.get_routes(family=AF_INET6)),
            "rules": _plain(ipr.get_rules(family=AF_INET)) + _plain(ipr.get_rules(family=AF_INET6)),
            "neighbours": _plain(
                message for message in ipr.get_neighbours() if _is_configured(message)
            ),
        }
    try:
        found["nftables"] = _plain(nftables.run({"list": {"ruleset": None}}))
    except (
        HarnessError
    ) as reason:  # no right to look, so none to change: the same words before and after
        found["nftables"] = [str(reason)]
    found["sysctls"] = sorted(_sysctls())
    return found


def _is_configured(neighbour: Any) -> bool:
    """Not one that the host learned by itself, unless it is one of a lab's."""
    return bool(neighbour["state"] & _PERMANENT) or str(
        neighbour.get_attr("NDA_LLADDR")
    ).startswith(_OUR_MACS)


def _plain(messages: Iterable[Any]) -> list[Any]:
    """Messages as lists and dictionaries, without what is volatile, in an order of their own."""
    return sorted((_steady(m.dump() if hasattr(m, "dump") else m) for m in messages), key=repr)


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _steady(part) for key, part in value.items() if key not in _VOLATILE}
    if isinstance(value, list | tuple):
        return [
            _steady(part)
            for part in value
            if not (isinstance(part, list) and part and part[0] in _VOLATILE)
        ]
    return value


def _sysctls() -> Iterator[tuple[str, str]]:
    for folder, _, names in os.walk(
        "/proc/sys/net"
    ):  # goes on where a folder has gone with its link
        for path in (Path(folder, name) for name in names if name not in _VOLATILE_SYSCTLS):
            try:
                yield str(path), path.read_text()
            except OSError:  # write-only, or a secret
                continue
