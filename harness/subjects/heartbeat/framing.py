"""How messages lie in the stream: a kind and a length, then so many octets. Pure.

    octet   0        1 to 4                  5 …
            kind     length, big-endian      the message's content

TCP keeps no boundaries: a message may come in any number of pieces, and several at once. What is no
message, or is longer than any may be, is an error at its first octets, whatever follows.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from typing import NamedTuple

_HEAD = struct.Struct("!BI")
HEAD_OCTETS = _HEAD.size
MOST_CONTENT = 16384
"""Octets that a message may hold."""
URGENT = b"!"
"""The octet that is sent as urgent data. No kind has its number."""


class FramingError(Exception):
    """What came is no message; the text says what was expected, what was found, and where in the
    stream.
    """


class Kind(enum.IntEnum):
    """What a message is for."""

    BEAT = 1
    """A heartbeat."""
    BEAT_BACK = 2
    """The answer to one."""
    DATA = 3
    """Anything, which nobody answers."""
    ASK = 4
    """Something that is to come back."""
    ANSWER = 5
    """What has come back."""
    PORT = 6
    """Where the client waits for the connection for heartbeats alone."""


_LENGTHS = {Kind.BEAT: 0, Kind.BEAT_BACK: 0, Kind.PORT: 2}


class Message(NamedTuple):
    """One message."""

    kind: Kind
    content: bytes = b""


def encode(kind: Kind, content: bytes = b"") -> bytes:
    """The octets of a message."""
    assert len(content) <= MOST_CONTENT
    return _HEAD.pack(kind, len(content)) + content


def encode_port(port: int) -> bytes:
    """The octets that announce a port."""
    return encode(Kind.PORT, struct.pack("!H", port))


def port_of(message: Message) -> int:
    """The port that a message announces."""
    return int(struct.unpack("!H", message.content)[0])


class Decoder:
    """Takes a stream in pieces, and gives messages.

    Of no use any more once it has raised FramingError.

    `skips_urgent`: an octet of urgent data between two messages is passed over. One that had not
    been read when the next one came has lost its mark, and lies in the stream like any other.
    """

    def __init__(self, *, skips_urgent: bool = False) -> None:
        self.skips_urgent = skips_urgent
        self._pending = bytearray()
        self._taken = 0

    def feed(self, piece: bytes) -> Iterator[Message]:
        """Each message that is complete with this piece.

        Raises FramingError after those before the error.
        """
        self._pending += piece
        while True:
            while self.skips_urgent and self._pending[:1] == URGENT:
                self._drop(1)
            if not self._pending:
                return
            kind = self._kind()
            if len(self._pending) < HEAD_OCTETS:
                return
            end = HEAD_OCTETS + self._length(kind)
            if len(self._pending) < end:
                return
            content = bytes(self._pending[HEAD_OCTETS:end])
            self._drop(end)
            yield Message(kind, content)

    def _kind(self) -> Kind:
        try:
            return Kind(self._pending[0])
        except ValueError:
            found = f"found {self._pending[0]} ({bytes(self._pending[:16])!r})"
            raise FramingError(
                f"expected a kind of message, 1 to {max(Kind)}, {found} {self._place}"
            ) from None

    def _length(self, kind: Kind) -> int:
        length = int(_HEAD.unpack_from(self._pending)[1])
        wanted = _LENGTHS.get(kind)
        if wanted is not None and length != wanted:
            raise FramingError(
                f"expected {kind.name} of {wanted} octets, found one of {length} {self._place}"
            )
        if length > MOST_CONTENT:
            raise FramingError(
                f"expected {kind.name} of at most {MOST_CONTENT} octets, found {length} "
                f"{self._place}"
            )
        return length

    def _drop(self, octets: int) -> None:
        del self._pending[:octets]
        self._taken += octets

    @property
    def _place(self) -> str:
        return f"at octet {self._taken} of the stream"
