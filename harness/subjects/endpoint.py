"""The built-in TCP endpoint: connect or accept, set the options, notice, echo. Standard library only.

It runs in two ways with the same code: inside the harness as a socket in the host's namespace, and as a program of its
own (`python -I -S endpoint.py JSON`) where a fault needs a process to kill or freeze; then it prints its events as
JSON lines.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

POLLRDHUP = 0x2000
POLL_MASK = select.POLLIN | select.POLLPRI | POLLRDHUP
_POLL_NAMES = {
    select.POLLIN: "IN",
    select.POLLPRI: "PRI",
    select.POLLOUT: "OUT",
    select.POLLERR: "ERR",
    select.POLLHUP: "HUP",
    POLLRDHUP: "RDHUP",
}
_OPTIONS = {
    "idle_s": socket.TCP_KEEPIDLE,
    "interval_s": socket.TCP_KEEPINTVL,
    "count": socket.TCP_KEEPCNT,
    "user_timeout_ms": socket.TCP_USER_TIMEOUT,
}
CONNECT_TIMEOUT_S = 5.0
Emit = Callable[..., object]
"""Called as emit(kind, at_ns=…, **data) for each event; times are CLOCK_MONOTONIC in nanoseconds."""


class Endpoint:
    """One end of an established connection. `fileno()` is to be polled for POLL_MASK while `watching`."""

    def __init__(self, sock: socket.socket, emit: Emit, *, echoes: bool) -> None:
        self.sock = sock
        self.sock.settimeout(0)
        self.emit = emit
        self.echoes = echoes
        self.watching = True
        self.received = b""

    def fileno(self) -> int:
        return self.sock.fileno()

    def arm(self, options: Mapping[str, int]) -> None:
        """Set TCP options, SO_KEEPALIVE last: that is what starts the keepalive timer, for the full idle."""
        for name, number in _OPTIONS.items():
            if name in options:
                self.sock.setsockopt(socket.IPPROTO_TCP, number, options[name])
        before = time.monotonic_ns()
        if options.get("keepalive"):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        after = time.monotonic_ns()
        self.emit(
            "subject.armed",
            at_ns=before,
            took_ns=after - before,
            local=list(self.sock.getsockname()[:2]),
            remote=list(self.sock.getpeername()[:2]),
        )

    def woken(self, revents: int, at_ns: int) -> None:
        """Handle poll events seen at `at_ns`: record an error or end of file, echo or keep data."""
        poll = [name for bit, name in _POLL_NAMES.items() if revents & bit]
        try:
            while data := self.sock.recv(65536):
                if self.echoes:
                    self.sock.sendall(data)
                else:
                    self.received += data
        except BlockingIOError:
            return
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, str(error.errno))
            self.emit(
                "subject.detected", at_ns=at_ns, errno=name, syscall="recv", poll=poll, tcp_info=tcp_info(self.sock)
            )
        else:
            self.emit("subject.eof", at_ns=at_ns, poll=poll)
        self.watching = False

    def vanish(self) -> None:
        """Close without a FIN that lingers: the connection's end is not part of the claim."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def listen(sock: socket.socket, address: str, port: int = 0) -> int:
    """Bind and listen; returns the port."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    sock.listen(8)
    return int(sock.getsockname()[1])


def accept(listener: socket.socket) -> socket.socket:
    """The first connection; raises TimeoutError when none comes."""
    listener.settimeout(CONNECT_TIMEOUT_S)
    connection, _ = listener.accept()
    return connection


def connect(sock: socket.socket, address: str, port: int) -> None:
    """Connect; raises OSError, TimeoutError among them."""
    sock.settimeout(CONNECT_TIMEOUT_S)
    sock.connect((address, port))


def tcp_info(sock: socket.socket) -> dict[str, int]:
    """The fields of struct tcp_info that tell why a connection ended (include/uapi/linux/tcp.h)."""
    raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    state, _, retransmits, probes, backoff = struct.unpack_from("5B", raw)
    rto_us, unacked = struct.unpack_from("I", raw, 8)[0], struct.unpack_from("I", raw, 24)[0]
    return {
        "state": state,
        "retransmits": retransmits,
        "probes": probes,
        "backoff": backoff,
        "rto_us": rto_us,
        "unacked": unacked,
    }


def main(argument: str) -> None:
    """Run one end as a program: role, address, port and options come as JSON, events leave as JSON lines."""
    job = json.loads(argument)

    def emit(kind: str, at_ns: int | None = None, **data: Any) -> None:
        moment = time.monotonic_ns() if at_ns is None else at_ns
        sys.stdout.write(json.dumps({"kind": kind, "at_ns": moment, "data": data}) + "\n")
        sys.stdout.flush()

    family = socket.AF_INET6 if ":" in job["address"] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    if job["role"] == "server":
        emit("subject.listening", port=listen(sock, job["address"], job["port"]))
        connection = accept(sock)
        sock.close()
    else:
        connect(sock, job["address"], job["port"])
        connection = sock
    end = Endpoint(connection, emit, echoes=job["role"] == "server")
    end.arm(job["options"])
    poller = select.poll()
    poller.register(end.fileno(), POLL_MASK)
    poller.register(sys.stdin.fileno(), select.POLLIN)
    while end.watching:
        ready = poller.poll()
        now = time.monotonic_ns()
        for descriptor, revents in ready:
            if descriptor == sys.stdin.fileno():
                words = os.read(descriptor, 4096)
                if not words:
                    return  # the harness is gone
                end.sock.send(words)
            else:
                end.woken(revents, now)
                if end.received:
                    emit("subject.echoed", text=end.received.decode(errors="replace"))
    while os.read(sys.stdin.fileno(), 4096):
        pass


if __name__ == "__main__":
    main(sys.argv[1])
