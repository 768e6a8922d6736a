"""The Internet checksum against the example of RFC 1071 and an IPv4 header from a capture."""

from __future__ import annotations

from harness.system.internet_checksum import internet_checksum


def test_the_example_of_the_standard() -> None:
    """RFC 1071 section 3: the sum of these octets is ddf2; the checksum is its complement."""
    assert internet_checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2


def test_a_sum_that_carries_twice() -> None:
    """The carry of the first folding is added, too."""
    assert internet_checksum(b"\xff\xff" * 0x1_0002) == 0
    assert internet_checksum(b"\xff\xff\x00\x01") == 0xFFFE


def test_a_header_that_holds_its_checksum_gives_zero() -> None:
    """So a receiver checks it (RFC 1071 section 1)."""
    header = bytes.fromhex("450000730000400040110000c0a80001c0a800c7")
    number = internet_checksum(header)
    assert number == 0xB861
    assert internet_checksum(header[:10] + number.to_bytes(2, "big") + header[12:]) == 0
