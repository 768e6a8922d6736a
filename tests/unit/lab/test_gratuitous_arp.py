"""How a new host makes its address known, octet by octet."""

from __future__ import annotations

import socket

from harness.lab.gratuitous_arp import frame

MAC = "02:77:00:00:02:80"


def test_gratuitous_arp() -> None:
    """A broadcast request in which sender and target are the address (RFC 5227 section 3)."""
    octets = frame("ipv4", "10.77.1.2", MAC)
    assert octets.hex(" ", 2) == (
        "ffff ffff ffff 0277 0000 0280 0806 "  # everybody, from the new MAC, ARP
        "0001 0800 0604 0001 "  # Ethernet, IPv4, a request
        "0277 0000 0280 0a4d 0102 0000 0000 0000 0a4d 0102"
    )


def test_unsolicited_neighbour_advertisement() -> None:
    """To all nodes, with the override flag and the target's MAC (RFC 4861 section 4.4), and a sound
    checksum.
    """
    octets = frame("ipv6", "fd77:0:0:1::2", MAC)
    address = socket.inet_pton(socket.AF_INET6, "fd77:0:0:1::2")
    header, body = octets[14:54], octets[54:]
    assert octets[:14].hex() == "333300000001" + MAC.replace(":", "") + "86dd"
    assert header[4:8] == bytes([0, len(body), 58, 255])  # a hop limit below 255 is not accepted
    assert header[8:24] == address
    assert header[24:] == socket.inet_pton(socket.AF_INET6, "ff02::1")
    assert (body[:2], body[4:8], body[8:24]) == (b"\x88\x00", b"\x20\x00\x00\x00", address)
    assert body[24:] == b"\x02\x01" + bytes.fromhex(MAC.replace(":", ""))
    summed = header[8:] + len(body).to_bytes(4, "big") + b"\x00\x00\x00\x3a" + body
    total = sum(int.from_bytes(summed[at : at + 2], "big") for at in range(0, len(summed), 2))
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF
