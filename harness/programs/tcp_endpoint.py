"""The built-in TCP endpoint: connect or accept, set the options, watch, echo.

Standard library only.

It runs in two ways with the same code: inside the harness as a socket in the host's namespace, and
as a program of its own (`python -I -S endpoint.py JSON`) where a fault needs a process to kill or
freeze; then it prints its events as JSON lines, and takes orders, one a line: `write N` and `say N`
(octets; only the former is an event), `shut`, `stop-reading`, `read`. Whether it reads is shown by
its name in /proc/PID/comm.
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
from typing import Any, Literal, Protocol

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
_CLOCK_MONOTONIC_COARSE = 6
"""clock_gettime(2); the module time does not name it."""
CONNECT_TIMEOUT_S = 5.0
PATTERN = b"still there?"
"""What is written, over and over."""
READING, NOT_READING = "reading", "not-reading"
"""The names under which a program of its own runs."""
Emit = Callable[..., object]
"""Called as emit(kind, at_ns=…, **data) for each event.

Times are CLOCK_MONOTONIC in nanoseconds.
"""
Stage = Literal["listening", "connecting", "open"]


class Endpoint:
    """One end of a connection, or of one that is being made.

    `fileno()` is to be polled for `mask` while `watching`.

    Either may be another after `woken`: a listening socket gives way to the connection that it
    accepts. `echoes`: what is read is sent back. `reads` False: nothing is read, so that the
    kernel's window closes, and what wakes it is only what poll(2) tells unasked: errors, and the
    end of both directions. `received`: octets read, of which none has been sent back where it
    `echoes`; `written`: octets that the socket took of what was to be written, echoes left out.
    """

    def __init__(
        self,
        sock: socket.socket,
        emit: Emit,
        options: Mapping[str, int],
        *,
        echoes: bool,
        reads: bool = True,
        stage: Stage = "open",
    ) -> None:
        self.sock = sock
        self.sock.settimeout(0)
        self.emit, self.options = emit, options
        self.echoes, self.reads = echoes, reads
        self.stage = stage
        self.watching = True
        self.received = self.written = 0
        self._owed = b""

    def fileno(self) -> int:
        return self.sock.fileno()

    @property
    def mask(self) -> int:
        """What to poll for now. While an echo is owed nothing more is read."""
        if self.stage == "connecting" or self._owed:
            return select.POLLOUT
        return POLL_MASK if self.reads or self.stage == "listening" else 0

    def arm(self) -> None:
        """Set the options on an open connection; the event is the moment of SO_KEEPALIVE."""
        arm(self.sock, self.options, self.emit)

    def connect(self, address: str, port: int) -> None:
        """Begin to make the connection, all options set before, without waiting.

        That call is the moment of arming.
        """
        set_options(self.sock, self.options)
        self.stage = "connecting"
        lag_ns, before = now()
        number = self.sock.connect_ex((address, port))
        after = time.monotonic_ns()
        local = list(self.sock.getsockname()[:2])
        remote = [address, port]
        self.emit(
            "subject.armed",
            at_ns=before,
            took_ns=after - before,
            lag_ns=lag_ns,
            local=local,
            remote=remote,
        )
        if number != errno.EINPROGRESS:
            self._connected(number, after, [])

    def woken(self, revents: int, at_ns: int) -> None:
        """Handle poll events seen at `at_ns`: a connection made, an error, the end of file, data to
        echo or to keep.
        """
        poll = poll_names(revents)
        if self.stage == "listening":
            self._accept()
        elif self.stage == "connecting":
            self._connected(self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), at_ns, poll)
        elif not self.mask:
            self._told(at_ns, poll)
        else:
            self._serve(at_ns, poll)

    def write(self, size: int, *, noted: bool = True) -> int:
        """Write octets without waiting, as far as the socket takes them.

        Returns how many, which `noted` emits too.
        """
        lag_ns, before = now()
        left = memoryview(pattern(size))
        with contextlib.suppress(OSError):
            while left:
                left = left[self.sock.send(left) :]
        taken = size - len(left)
        self.written += taken
        if noted:
            took_ns = time.monotonic_ns() - before
            self.emit(
                "subject.wrote",
                at_ns=before,
                written=taken > 0,
                octets=taken,
                took_ns=took_ns,
                lag_ns=lag_ns,
            )
        return taken

    def say(self, size: int = len(PATTERN)) -> bool:
        """Write a few octets for an echo's sake."""
        return self.write(size, noted=False) > 0

    def shut(self) -> None:
        """Say that nothing more will be written."""
        shut(self.sock, self.emit)

    def close_with_reset(self) -> None:
        """Close with RST. How the connection ends is not part of the claim."""
        close_with_reset(self.sock)

    def _accept(self) -> None:
        try:
            connection, _ = self.sock.accept()
        except OSError:  # it has gone again
            return
        self.sock.close()
        self.sock, self.stage = connection, "open"
        self.sock.settimeout(0)
        with contextlib.suppress(OSError):  # it may have ended already, which the first poll tells
            self.arm()

    def _connected(self, number: int, at_ns: int, poll: list[str]) -> None:
        self.stage = "open"
        if number:
            self._detected(number, at_ns, "connect", poll)
        else:
            self.emit("subject.connected", at_ns=at_ns)

    def _serve(self, at_ns: int, poll: list[str]) -> None:
        """Send what is owed, then read on until there is no more, or the echo does not go out."""
        syscall = "send"
        try:
            while True:
                while self._owed:
                    self._owed = self._owed[self.sock.send(self._owed) :]
                if not self.reads:
                    return
                syscall = "recv"
                data = self.sock.recv(65536)
                if not data:
                    break
                self.received += len(data)
                if self.echoes:
                    self._owed, syscall = data, "send"
        except BlockingIOError:
            return
        except OSError as error:
            self._detected(error.errno or 0, at_ns, syscall, poll)
        else:
            self.emit("subject.eof", at_ns=at_ns, poll=poll)
            self.watching = False

    def _told(self, at_ns: int, poll: list[str]) -> None:
        """An error or the end of both directions, without reading what has come before it."""
        number = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._detected(number, at_ns, "getsockopt", poll)
        else:
            self.emit("subject.eof", at_ns=at_ns, poll=poll)
            self.watching = False

    def _detected(self, number: int, at_ns: int, syscall: str, poll: list[str]) -> None:
        self.watching = False
        self.emit(
            "subject.detected", at_ns=at_ns, **describe_error(self.sock, number, syscall, poll)
        )


def set_options(sock: socket.socket, options: Mapping[str, int]) -> tuple[int, int, int]:
    """Set TCP options, SO_KEEPALIVE last: that starts the keepalive timer of an open connection,
    for the full idle.

    Returns how far the kernel's time lagged behind when that was called, when it was called, and
    when it was done.
    """
    for name, number in _OPTIONS.items():
        if name in options:
            sock.setsockopt(socket.IPPROTO_TCP, number, options[name])
    lag_ns, before = now()
    if options.get("keepalive"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return lag_ns, before, time.monotonic_ns()


def arm(sock: socket.socket, options: Mapping[str, int], emit: Emit) -> int:
    """Set the options on an open connection and say so; returns the moment of SO_KEEPALIVE."""
    lag_ns, before, after = set_options(sock, options)
    remote, local = sock.getpeername(), sock.getsockname()
    emit(
        "subject.armed",
        at_ns=before,
        took_ns=after - before,
        lag_ns=lag_ns,
        local=list(local[:2]),
        remote=list(remote[:2]),
    )
    return before


def shut(sock: socket.socket, emit: Emit) -> None:
    """Shut the writing direction and say so: shutdown(2) with SHUT_WR, which sends FIN."""
    before, done = time.monotonic_ns(), True
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        done = False
    emit("subject.shut", at_ns=before, done=done, took_ns=time.monotonic_ns() - before)


def close_with_reset(sock: socket.socket) -> None:
    """Close with RST where there is still a connection, so that nothing of it lingers in the
    kernel.
    """
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def pattern(size: int) -> bytes:
    """So many octets to write."""
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


def poll_names(revents: int) -> list[str]:
    """The names of poll events."""
    return [name for bit, name in _POLL_NAMES.items() if revents & bit]


def describe_error(
    sock: socket.socket, number: int, syscall: str, poll: list[str]
) -> dict[str, Any]:
    """What is told of a socket's error."""
    name = errno.errorcode.get(number, str(number))
    return {"errno": name, "syscall": syscall, "poll": poll, "tcp_info": tcp_info(sock)}


def now() -> tuple[int, int]:
    """How long ago the kernel last counted a jiffy, at most one unless the CPU that counts was held
    up, and the time.

    The coarse clock moves when a jiffy is counted
    (kernel/time/tick-sched.c:tick_do_update_jiffies64).
    """
    coarse = time.clock_gettime_ns(_CLOCK_MONOTONIC_COARSE)
    moment = time.monotonic_ns()
    return moment - coarse, moment


def limit_buffers(sock: socket.socket, receive: int, send: int) -> None:
    """SO_RCVBUF and SO_SNDBUF in octets, which the kernel doubles (socket(7)); 0 leaves one.

    Before a connection.
    """
    for option, octets in ((socket.SO_RCVBUF, receive), (socket.SO_SNDBUF, send)):
        if octets:
            sock.setsockopt(socket.SOL_SOCKET, option, octets)


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
    """Run one end as a program: what it is comes as JSON, orders come as lines, events leave as
    JSON lines.
    """
    job = json.loads(argument)
    is_server, connecting = job["role"] == "server", job["state"] == "connecting"
    family = socket.AF_INET6 if ":" in job["address"] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    limit_buffers(sock, *job["buffers"])
    show(reads=job["reads"])
    stage: Stage = "open"
    if is_server:
        tell("subject.listening", port=listen(sock, job["address"], job["port"]))
        if connecting:
            stage = "listening"
        else:
            sock = accept(sock)
    elif not connecting:
        connect(sock, job["address"], job["port"])
    end = Endpoint(sock, tell, job["options"], echoes=is_server, reads=job["reads"], stage=stage)
    if not connecting:
        end.arm()
    elif not is_server:
        end.connect(job["address"], job["port"])
    serve_until_end_of_input(end)


def tell(kind: str, at_ns: int | None = None, **data: Any) -> None:
    """Print an event."""
    moment = time.monotonic_ns() if at_ns is None else at_ns
    sys.stdout.write(json.dumps({"kind": kind, "at_ns": moment, "data": data}) + "\n")
    sys.stdout.flush()


class OrderedEnd(Protocol):
    """An end of a connection that carries out orders from standard input."""

    watching: bool
    echoes: bool
    received: int
    reads: bool

    @property
    def mask(self) -> int: ...

    def fileno(self) -> int: ...

    def woken(self, revents: int, at_ns: int) -> None: ...

    def write(self, size: int) -> object: ...

    def say(self, size: int) -> bool: ...

    def shut(self) -> None: ...


def serve_until_end_of_input(end: OrderedEnd) -> None:
    """Serve the connection and the orders, until the harness closes standard input or is gone."""
    orders = b""
    while True:
        poller = select.poll()
        poller.register(sys.stdin.fileno(), select.POLLIN)
        if end.watching:
            poller.register(end.fileno(), end.mask)
        ready = poller.poll()
        at_ns = time.monotonic_ns()
        for descriptor, revents in ready:
            if descriptor != sys.stdin.fileno():
                before = end.received
                end.woken(revents, at_ns)
                if end.received > before and not end.echoes:
                    tell("subject.echoed", octets=end.received)
                continue
            words = os.read(descriptor, 4096)
            if not words:
                return
            *complete, orders = (orders + words).split(b"\n")
            for order in complete:
                _carry_out(end, order.decode())


def _carry_out(end: OrderedEnd, order: str) -> None:
    verb, _, size = order.partition(" ")
    if verb == "write":
        end.write(int(size))
    elif verb == "say":
        end.say(int(size))
    elif verb == "shut":
        end.shut()
    else:
        end.reads = verb == "read"
        show(reads=end.reads)


def show(*, reads: bool) -> None:
    """Tell by the process's name whether it reads."""
    with open("/proc/self/comm", "w", encoding="ascii") as file:
        file.write(READING if reads else NOT_READING)


if __name__ == "__main__":
    main(sys.argv[1])
