"""What goes to the kernel and comes back, over a pair of sockets that stands for netlink."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

import pytest
from pyroute2.netlink import nlmsg

from harness.lab.netlink import CREATE, NetlinkSocket

ERROR, DONE, KIND = 2, 3, 16
REQUEST, ACKNOWLEDGE, INTERRUPTED, DUMP = 0x1, 0x4, 0x10, 0x300
HEADER = struct.Struct("=IHHII")


class Number(nlmsg):  # type: ignore[misc]
    """A message with one number."""

    fields = (("value", "I"),)


def number(value: int) -> bytes:
    """As it is in a message."""
    return struct.pack("=I", value)


def message(kind: int, body: bytes = b"", flags: int = 0, answers: int = 1) -> bytes:
    """As the kernel sends it. `answers`: the number of the request."""
    padding = bytes(-len(body) % 4)
    return HEADER.pack(HEADER.size + len(body), kind, flags, answers, 0) + body + padding


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
        asked = Number()
        asked["value"] = 7
        netlink.change(KIND, asked, CREATE)
    sent = kernel.recv(100)
    assert sent == HEADER.pack(20, KIND, REQUEST | ACKNOWLEDGE | CREATE, 1, 0) + number(7)


@pytest.mark.parametrize("verb", ["change", "ask", "dump"])
def test_a_refusal(kernel: socket.socket, verb: str) -> None:
    """It is the error that the kernel names."""
    kernel.send(message(ERROR, struct.pack("=i", -errno.EEXIST) + bytes(16)))
    with NetlinkSocket(0) as netlink, pytest.raises(FileExistsError):
        getattr(netlink, verb)(KIND, Number())


def test_an_answer(kernel: socket.socket) -> None:
    """It is one message."""
    kernel.send(message(KIND, number(7)))
    with NetlinkSocket(0) as netlink:
        assert netlink.ask(KIND, Number())["value"] == 7
    assert HEADER.unpack(kernel.recv(100)[:16]) == (20, KIND, REQUEST, 1, 0)


def test_a_list_in_several_datagrams(kernel: socket.socket) -> None:
    """It ends with its end mark, not with a datagram."""
    kernel.send(message(KIND, number(1)) + message(KIND, number(2)))
    kernel.send(message(KIND, number(3)))
    kernel.send(message(DONE, bytes(4)))
    with NetlinkSocket(0) as netlink:
        assert [each["value"] for each in netlink.dump(KIND, Number())] == [1, 2, 3]
    assert HEADER.unpack(kernel.recv(100)[:16]) == (20, KIND, REQUEST | DUMP, 1, 0)


def test_a_list_that_fails_at_its_end(kernel: socket.socket) -> None:
    """The end mark has the error."""
    kernel.send(message(KIND, number(1)) + message(DONE, struct.pack("=i", -errno.EMSGSIZE)))
    with NetlinkSocket(0) as netlink, pytest.raises(OSError, match="Message too long"):
        netlink.dump(KIND, Number())


def test_a_list_that_changed_meanwhile(kernel: socket.socket) -> None:
    """It is asked for again."""
    kernel.send(message(KIND, number(1), INTERRUPTED) + message(DONE, bytes(4)))
    kernel.send(message(KIND, number(2), answers=2) + message(DONE, bytes(4), answers=2))
    with NetlinkSocket(0) as netlink:
        assert [each["value"] for each in netlink.dump(KIND, Number())] == [2]
    assert [HEADER.unpack(kernel.recv(100)[:16])[3] for _ in range(2)] == [1, 2]


def test_a_list_that_changes_each_time(
    kernel: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an error, and not asked for without end."""
    monkeypatch.setattr("harness.lab.netlink._MOST_READINGS", 3)
    for each in (1, 2, 3):
        marked = message(KIND, number(1), INTERRUPTED, answers=each)
        kernel.send(marked + message(DONE, bytes(4), answers=each))
    with NetlinkSocket(0) as netlink, pytest.raises(BlockingIOError, match="each of 3 readings"):
        netlink.dump(KIND, Number())


def test_an_answer_that_was_left_unread(kernel: socket.socket) -> None:
    """It answers no later request: a refusal is that of its own request."""
    kernel.send(message(ERROR, bytes(4), answers=1))
    kernel.send(message(ERROR, struct.pack("=i", -errno.ENODEV), answers=2))
    kernel.send(message(KIND, number(7), answers=3))
    with NetlinkSocket(0) as netlink:
        netlink._send(KIND, Number(), 0)  # and something interrupts it here
        with pytest.raises(OSError, match="No such device"):
            netlink.change(KIND, Number())
        assert netlink.ask(KIND, Number())["value"] == 7


def test_an_answer_that_is_too_long(kernel: socket.socket) -> None:
    """What is left of it would look like all there is."""
    kernel.send(message(KIND, number(7)) + bytes(1 << 16))
    with NetlinkSocket(0) as netlink, pytest.raises(OSError, match="more than 65536 octets"):
        netlink.ask(KIND, Number())
