"""How a host that has taken over an address makes it known: a frame to everybody, and what its
neighbours then know.

IPv4: a gratuitous ARP request, sender and target alike (RFC 5227 section 3;
net/ipv4/arp.c:arp_process). IPv6: an unsolicited neighbour advertisement with the override flag to
all nodes (RFC 4861 section 7.2.6).
"""

from __future__ import annotations

import socket
import struct

from harness.errors import LabError
from harness.lab.rtnetlink_socket import Neighbour, RtnetlinkSocket
from harness.model.topology import FAMILIES, Family
from harness.system.internet_checksum import internet_checksum

_STALE = 0x04
_OVERRIDE = 0x20
_ALL_NODES = "ff02::1"


def frame(family: Family, address: str, mac: str) -> bytes:
    """The announcement that `address` is at `mac`, with its Ethernet header."""
    own = bytes.fromhex(mac.replace(":", ""))
    packed = socket.inet_pton(FAMILIES[family], address)
    if family == "ipv4":
        request = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + own + packed + bytes(6) + packed
        return b"\xff" * 6 + own + b"\x08\x06" + request
    everybody = socket.inet_pton(socket.AF_INET6, _ALL_NODES)
    advertisement = (
        struct.pack("!BBHB3x", 136, 0, 0, _OVERRIDE) + packed + struct.pack("!BB", 2, 1) + own
    )
    pseudo = packed + everybody + struct.pack("!I3xB", len(advertisement), socket.IPPROTO_ICMPV6)
    checksum = internet_checksum(pseudo + advertisement)
    advertisement = advertisement[:2] + struct.pack("!H", checksum) + advertisement[4:]
    header = struct.pack("!IHBB", 6 << 28, len(advertisement), socket.IPPROTO_ICMPV6, 255)
    return (
        b"\x33\x33\x00\x00\x00\x01"
        + own
        + b"\x86\xdd"
        + header
        + packed
        + everybody
        + advertisement
    )


def unsettle(family: Family, device: str, address: str) -> None:
    """Turn a pinned neighbour of the current namespace into one that was learnt, which an
    announcement changes.
    """
    with RtnetlinkSocket() as rtnl:
        index = rtnl.index_of(device)
        mac = _known(rtnl, index, address)
        if mac is None:
            raise LabError(f"expected {address} among the neighbours at {device}, found it unknown")
        rtnl.set_neighbour(Neighbour(index, FAMILIES[family], address, mac, _STALE))


def known(device: str, address: str) -> str | None:
    """The MAC address that the current namespace has for a neighbour, or None."""
    with RtnetlinkSocket() as rtnl:
        return _known(rtnl, rtnl.index_of(device), address)


def _known(rtnl: RtnetlinkSocket, index: int, address: str) -> str | None:
    entries = (entry for entry in rtnl.neighbours(index) if entry.address == address)
    return next((entry.mac for entry in entries), None)
