"""What goes to the kernel and comes back, over a pair of sockets that stands for netlink."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

import pytest

from harness.lab.netlink import CREATE, NetlinkSocket, attribute, attributes

ERROR, DONE, KIND = 2, 3, 16
REQUEST, ACKNOWLEDGE, INTERRUPTED, DUMP = 0x1, 0x4, 0x10, 0x300
HEADER = struct.Struct("=IHHII")


def message(kind: int, body: bytes = b"", flags: int = 0) -> bytes:
    """As the kernel sends it."""
    padding = bytes(-len(body) % 4)
    return HEADER.pack(HEADER.size + len(body), kind, flags, 0, 0) + body + padding


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The other end of each netlink socket that is made."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far:
        monkeypatch.setattr(socket, "socket", lambda *_: near)
        yield far


def test_a_change(kernel: socket.socket) -> None:
    """It asks for an acknowledgement, and takes that for success."""
    kernel.send(message(ERROR, struct.pack("=i", 0)))
    with NetlinkSocket(0) as netlink:
        netlink.change(KIND, b"body", CREATE)
    sent = kernel.recv(100)
    assert sent == HEADER.pack(20, KIND, REQUEST | ACKNOWLEDGE | CREATE, 1, 0) + b"body"


@pytest.mark.parametrize("verb", ["change", "ask", "dump"])
def test_a_refusal(kernel: socket.socket, verb: str) -> None:
    """It is the error that the kernel names."""
    kernel.send(message(ERROR, struct.pack("=i", -errno.EEXIST) + bytes(16)))
    with NetlinkSocket(0) as netlink, pytest.raises(FileExistsError):
        getattr(netlink, verb)(KIND, b"")


def test_an_answer(kernel: socket.socket) -> None:
    """It is one message."""
    kernel.send(message(KIND, b"answer"))
    with NetlinkSocket(0) as netlink:
        assert netlink.ask(KIND, b"") == b"answer"
    assert HEADER.unpack(kernel.recv(100)) == (HEADER.size, KIND, REQUEST, 1, 0)


def test_a_list_in_several_datagrams(kernel: socket.socket) -> None:
    """It ends with its end mark, not with a datagram."""
    kernel.send(message(KIND, b"a") + message(KIND, b"bcdef"))
    kernel.send(message(KIND, b"g"))
    kernel.send(message(DONE, bytes(4)))
    with NetlinkSocket(0) as netlink:
        assert netlink.dump(KIND, b"") == [b"a", b"bcdef", b"g"]
    assert HEADER.unpack(kernel.recv(100)) == (HEADER.size, KIND, REQUEST | DUMP, 1, 0)


def test_a_list_that_fails_at_its_end(kernel: socket.socket) -> None:
    """The end mark has the error."""
    kernel.send(message(KIND, b"a") + message(DONE, struct.pack("=i", -errno.EMSGSIZE)))
    with NetlinkSocket(0) as netlink, pytest.raises(OSError, match="Message too long"):
        netlink.dump(KIND, b"")


def test_a_list_that_changed_meanwhile(kernel: socket.socket) -> None:
    """It is asked for again."""
    kernel.send(message(KIND, b"old", INTERRUPTED) + message(DONE, bytes(4)))
    kernel.send(message(KIND, b"new") + message(DONE, bytes(4)))
    with NetlinkSocket(0) as netlink:
        assert netlink.dump(KIND, b"") == [b"new"]
    assert [HEADER.unpack(kernel.recv(100))[3] for _ in range(2)] == [1, 2]


def test_attributes() -> None:
    """They are read back by type, whatever their length and the bits that say what is in them."""
    packed = attribute(1, b"abcde") + attribute(2, b"") + attribute(0x8003, attribute(7, b"four"))
    assert len(packed) % 4 == 0
    found = attributes(packed)
    assert {**found, 3: attributes(found[3])} == {1: b"abcde", 2: b"", 3: {7: b"four"}}


@pytest.mark.parametrize("data", [b"\0\0\0\0", b"\xff\xff\1\0ab", b"\4\0"])
def test_attributes_that_are_cut_off(data: bytes) -> None:
    """Reading ends."""
    assert all(len(value) <= len(data) for value in attributes(data).values())
