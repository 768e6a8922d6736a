"""The checksum of IP, TCP and ICMPv6 headers (RFC 1071)."""

from __future__ import annotations

import struct


def internet_checksum(octets: bytes) -> int:
    """The checksum of an even number of octets: 0 over octets that hold their own right
    checksum.
    """
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
