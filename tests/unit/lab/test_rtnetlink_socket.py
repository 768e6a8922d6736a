"""What this machine has, as pyroute2's own sockets read it too, and what stands in messages."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import msgspec
import pytest
from pyroute2 import IPRoute
from pyroute2.netlink import nlmsg

from harness.errors import LabError
from harness.lab.rtnetlink_socket import Address, Route, RtnetlinkSocket

FAMILIES = (socket.AF_INET, socket.AF_INET6)


@pytest.fixture
def rtnl() -> Iterator[RtnetlinkSocket]:
    """In the network that this test runs in."""
    with RtnetlinkSocket() as made:
        yield made


def test_interfaces(rtnl: RtnetlinkSocket) -> None:
    """By index and by name."""
    with IPRoute() as ipr:
        expected = {
            each["index"]: (
                each.get_attr("IFLA_IFNAME"),
                each["flags"],
                each.get_attr("IFLA_ADDRESS"),
                each.get_attr("IFLA_OPERSTATE") == "UP",
                "" if (info := each.get_attr("IFLA_LINKINFO")) is None else info["attrs"][0][1],
            )
            for each in ipr.get_links()
        }
    links = [rtnl.link(index) for index in expected]
    assert {it.index: (it.name, it.flags, it.mac, it.operates, it.kind) for it in links} == expected
    assert {rtnl.index_of(link.name) for link in links} == set(expected)


def test_an_interface_that_is_not_there(rtnl: RtnetlinkSocket) -> None:
    """It is said by name."""
    assert all(rtnl.find(name) is None for name in ("no-such-one", "", "longer-than-any-name"))
    with pytest.raises(LabError, match="expected an interface no-such-one, found none"):
        rtnl.index_of("no-such-one")
    with pytest.raises(OSError, match="No such device"):
        rtnl.link(2**30)


def test_addresses(rtnl: RtnetlinkSocket) -> None:
    """Of all interfaces, and of one."""
    with IPRoute() as ipr:
        expected = {
            (each["index"], each.get_attr("IFA_ADDRESS"), each["prefixlen"], each["scope"])
            for each in ipr.get_addr()
        }
    found = rtnl.addresses()
    assert {(it.index, it.address, it.prefix, it.scope) for it in found} == expected
    assert all(rtnl.addresses(it.index, it.family).count(it) == 1 for it in found)


@pytest.mark.parametrize("family", FAMILIES)
def test_routes(rtnl: RtnetlinkSocket, family: int) -> None:
    """Of all tables."""
    with IPRoute() as ipr:
        expected = {
            (
                each["dst_len"],
                each.get_attr("RTA_GATEWAY"),
                each.get_attr("RTA_OIF"),
                each.get_attr("RTA_TABLE"),
                each["type"],
                each["proto"],
            )
            for each in ipr.get_routes(family=family)
        }
    found = {
        (int(it.dst.partition("/")[2] or 0), it.gateway, it.oif, it.table, it.type, it.proto)
        for it in rtnl.routes(family)
    }
    assert found == expected


def test_what_an_older_ledger_has_of_a_route() -> None:
    """A mapping with what it takes to make it again."""
    old = {"family": 2, "proto": 4, "scope": 0, "tos": 0, "table": 254, "dst": "default"}
    route = msgspec.convert({**old, "gateway": "10.0.0.1", "oif": 7}, Route)
    assert route == Route(family=2, gateway="10.0.0.1", oif=7)


def test_messages(rtnl: RtnetlinkSocket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel is asked as linux/if_link.h, if_addr.h and rtnetlink.h have it."""
    asked: list[tuple[int, str, int]] = []

    def change(kind: int, message: nlmsg, flags: int = 0) -> None:
        message.encode()
        asked.append((kind, bytes(message.data[16:]).hex(" ", 4), flags))

    monkeypatch.setattr(rtnl, "change", change)
    rtnl.set_link(7, up=False, name="eth0")
    rtnl.add_address(Address(7, socket.AF_INET, "10.0.0.1", 24, 0, "10.0.0.255"))
    rtnl.add_route(Route(family=socket.AF_INET, dst="10.9.0.2/32", oif=7, mtu=1300))
    rtnl.delete_route(Route(family=socket.AF_INET, dst="10.9.0.2/32", oif=7, table=1000))
    to_host = "08000100 0a090002 08000400 07000000"
    mtu = "0c000800 08000200 14050000"
    address = "08000100 0a000001 08000200 0a000001 08000400 0a0000ff"
    assert asked == [
        (16, "00000000 07000000 00000000 01000000 09000300 65746830 00000000", 0),
        (20, f"02180000 07000000 {address}", 0x600),
        (24, f"02200000 fe040001 00000000 08000f00 fe000000 {to_host} {mtu}", 0x600),
        (25, f"02200000 fc000001 00000000 08000f00 e8030000 {to_host}", 0),
    ]
