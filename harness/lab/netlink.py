"""Requests to the kernel through netlink(7), in the network namespace that the calling thread is
in.

pyroute2 packs and reads the messages. They go through plain sockets of our own, as pyroute2's run
an event loop of asyncio for each request: a lab of two links takes some thirty of them.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

from harness.lab.netlink_messages import nlmsg

ROOT_AND_MATCH = 0x300
"""NLM_F_DUMP (linux/netlink.h)."""
REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400
_REQUEST, _ACKNOWLEDGE, _INTERRUPTED = 0x1, 0x4, 0x10
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr (linux/netlink.h): length, type, flags, sequence number, port."""
_MOST_OCTETS = 1 << 16
_MOST_READINGS, _PAUSE_S = 100, 0.01
"""Of a list that changes while it is read."""


class _Answer(NamedTuple):
    kind: int
    flags: int
    number: int
    """Of the request that it answers."""
    octets: bytes
    """With the header."""


class NetlinkSocket:
    """A socket of one of netlink's protocols; use as a context manager.

    It belongs to the namespace in which it was made, wherever its thread goes. One request at a
    time.
    """

    def __init__(self, protocol: int) -> None:
        """`protocol`: such as socket.NETLINK_ROUTE. Raises OSError."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def change(self, kind: int, message: nlmsg, flags: int = 0) -> None:
        """Ask for a change of the kernel's state. Raises OSError with the kernel's refusal."""
        self._send(kind, message, _ACKNOWLEDGE | flags)
        self._receive()

    def ask(self, kind: int, message: nlmsg) -> nlmsg:
        """Ask for one thing; returns the message that describes it, of the same class.

        Raises OSError with the kernel's refusal.
        """
        self._send(kind, message, 0)
        return _read(type(message), self._receive()[0])

    def dump(self, kind: int, message: nlmsg) -> list[nlmsg]:
        """Ask for all there is of a kind; returns messages of the same class.

        The kernel marks a list that changed while it was read; such a list is asked for again,
        after a pause. Raises OSError, also for a list that changes each time.
        """
        for reading in range(_MOST_READINGS):
            if reading:
                time.sleep(_PAUSE_S)
            self._send(kind, message, ROOT_AND_MATCH)
            found: list[_Answer] = []
            while not found or found[-1].kind != _DONE:
                found += self._receive()
            if not any(answer.flags & _INTERRUPTED for answer in found):
                return [_read(type(message), answer) for answer in found[:-1]]
        raise OSError(errno.EAGAIN, f"a list that changed in each of {_MOST_READINGS} readings")

    def _send(self, kind: int, message: nlmsg, flags: int) -> None:
        self._number += 1
        message["header"].update(
            type=kind, flags=_REQUEST | flags, sequence_number=self._number, pid=0
        )
        message.reset()
        message.encode()
        self._socket.send(message.data)

    def _receive(self) -> list[_Answer]:
        """The next messages that answer the last request, one or more, of one datagram.

        What answers an earlier request was left there when something interrupted the reading.
        Raises OSError where one of them is a refusal.
        """
        found: list[_Answer] = []
        while not found:
            data, _, flags, _ = self._socket.recvmsg(_MOST_OCTETS)
            if flags & socket.MSG_TRUNC:
                raise OSError(errno.EMSGSIZE, f"a datagram of more than {_MOST_OCTETS} octets")
            found = [answer for answer in _answers(data) if answer.number == self._number]
        for answer in found:
            if answer.kind in (_ERROR, _DONE) and len(answer.octets) >= _HEADER.size + 4:
                (error,) = struct.unpack_from("=i", answer.octets, _HEADER.size)
                if error < 0:
                    raise OSError(-error, os.strerror(-error))
        return found


def _answers(data: bytes) -> Iterator[_Answer]:
    """The messages of a datagram."""
    at = 0
    while at < len(data):
        length, kind, flags, number, _ = _HEADER.unpack_from(data, at)
        yield _Answer(kind, flags, number, data[at : at + length])
        at += (length + 3) & ~3


def _read(message: type[nlmsg], answer: _Answer) -> nlmsg:
    read = message(answer.octets)
    read.decode()
    return read
