"""Messages over a socket that is never waited for: what it does not take is kept, so that no
message is ever torn.
"""

from __future__ import annotations

import contextlib
import errno
import socket

from harness.programs import tcp_endpoint
from harness.subjects.heartbeat.framing import MOST_CONTENT, URGENT, Decoder, Kind, encode

MOST_WAITING = 65536
"""Octets that may wait for room in the send buffer; what is more is dropped, message by message."""
PIECE_OCTETS = 65536


class MessageStream:
    """A connected socket. `syscall`: what was called last, for the message where that fails."""

    def __init__(self, sock: socket.socket, *, urgent: bool = False) -> None:
        self.sock = sock
        self.sock.settimeout(0)
        self.decoder = Decoder(skips_urgent=urgent)
        self.syscall = "recv"
        self._waiting = bytearray()
        self._urgent_waits = False

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self.sock.fileno()

    def receive(self) -> bytes | None:
        """What has come, nothing at the end of the stream, None where there is nothing yet.

        Raises OSError.
        """
        self.syscall = "recv"
        try:
            return self.sock.recv(PIECE_OCTETS)
        except BlockingIOError:
            return None

    def receive_urgent(self) -> bool:
        """Take the urgent octet, if it has come. Raises OSError."""
        self.syscall = "recv"
        try:
            return bool(self.sock.recv(1, socket.MSG_OOB))
        except BlockingIOError:  # its mark has come, and not the octet itself
            return False
        except OSError as error:
            if error.errno == errno.EINVAL:  # it was taken before
                return False
            raise

    def send(self, message: bytes) -> None:
        """Send a message behind those that wait. Raises OSError."""
        if len(self._waiting) + len(message) <= MOST_WAITING:
            self._waiting += message
        self.flush()

    def send_urgent(self) -> None:
        """Send an urgent octet behind the messages that wait; of several that wait one is sent.

        Raises OSError.
        """
        self._urgent_waits = True
        self.flush()

    def send_waiting(self, message: bytes) -> None:
        """Send a message behind those that wait, waiting until the socket has taken it.

        Raises OSError.
        """
        self.syscall = "send"
        self.sock.settimeout(None)
        try:
            self.sock.sendall(self._waiting + message)
        finally:
            self.sock.settimeout(0)
        self._waiting.clear()

    def send_data(self, content: bytes) -> int:
        """Send as many messages as the socket begins to take.

        How many octets of the content are in them.

        Raises OSError.
        """
        self.flush()
        taken = 0
        with contextlib.suppress(BlockingIOError):
            while taken < len(content) and not self._waiting:
                part = content[taken : taken + MOST_CONTENT]
                message = encode(Kind.DATA, part)
                self._waiting += message[self.sock.send(message) :]
                taken += len(part)
        return taken

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it. Raises OSError."""
        self.syscall = "send"
        with contextlib.suppress(BlockingIOError):
            while self._waiting:
                del self._waiting[: self.sock.send(self._waiting)]
            if self._urgent_waits:
                self.sock.send(URGENT, socket.MSG_OOB)
                self._urgent_waits = False

    def shut(self) -> None:
        """End both directions: FIN, as of a socket that is closed, but nothing of it stays in the
        kernel for long.
        """
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close_with_reset(self) -> None:
        """Close the socket."""
        tcp_endpoint.close_with_reset(self.sock)
