"""An end of a connection with a heartbeat: messages answered, the end detected, timers served.

Standard library only.

The same object runs inside the harness, whose loop polls its descriptor, and in a process of its
own (`heartbeat.main`). `Participant` is the base of all designs; `Timed` is a participant with a
detector for its one connection.
"""

from __future__ import annotations

import functools
import select
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from harness.programs import tcp_endpoint
from harness.subjects.heartbeat.detectors import Detector, Role
from harness.subjects.heartbeat.framing import FramingError, Kind, Message, encode
from harness.subjects.heartbeat.message_stream import MessageStream
from harness.subjects.heartbeat.reactor import Reactor

MOST_READS = 16
"""Pieces taken from one connection before the others have their turn."""
MakeSocket = Callable[[], socket.socket]
"""Makes another socket on the same host."""


class Setting:
    """What an end is told: its side, the keys of its design, options for its sockets, how to make
    them, where to tell.

    `servers`: by name, where a client can reach which server.
    """

    def __init__(
        self,
        role: Role,
        values: Mapping[str, Any],
        options: Mapping[str, int],
        make_socket: MakeSocket,
        emit: tcp_endpoint.Emit,
        servers: Mapping[str, tuple[str, int]],
    ) -> None:
        self.role, self.values, self.options = role, values, options
        self.make_socket, self.emit, self.servers = make_socket, emit, servers

    @property
    def is_server(self) -> bool:
        """Whether it answers, and does not ask."""
        return self.role == "server"


class Participant:
    """One end.

    `fileno()` is to be polled for `mask` while `watching`; it goes on answering while it is served.

    `link`: the watched connection, None once it is over. `received`: octets of answers; `written`:
    octets of what is to be answered. Heartbeats and data are in neither. `waits`: its heartbeats
    are sent by calls that wait for room.
    """

    mask = select.POLLIN

    def __init__(self, setting: Setting, link: MessageStream | None) -> None:
        self.setting, self.emit, self.echoes = setting, setting.emit, setting.is_server
        self.reactor = Reactor()
        self.link: MessageStream | None = None
        self.watching = True
        self.waits = bool(setting.values.get("blocking"))
        self.received = self.written = 0
        self._reads = True
        self._over: list[MessageStream] = []
        if link is not None:
            self.watch(link)

    def fileno(self) -> int:
        return self.reactor.fileno()

    def woken(self, revents: int, at_ns: int) -> None:
        self.reactor.serve(at_ns)

    def watch(self, link: MessageStream) -> None:
        """This is the connection that counts from now on."""
        self.link = link
        self._add(link)

    def prepare(self) -> None:
        """Do what comes right after the connection was made, before it is armed. Raises OSError."""

    def arm(self) -> None:
        """Set the options on the connection; the heartbeat's times count from here.

        Raises OSError.
        """
        assert self.link is not None
        self._begin(tcp_endpoint.arm(self.link.sock, self.setting.options, self.emit))

    @property
    def reads(self) -> bool:
        """Whether it reads what comes. Its timers go on either way."""
        return self._reads

    @reads.setter
    def reads(self, reads: bool) -> None:
        self._reads = reads
        self.reactor.again_all()

    def write(self, size: int) -> None:
        """Write data without waiting, as far as the socket takes it; the event says how much."""
        lag_ns, before = tcp_endpoint.now()
        taken = 0
        if self.link is not None:
            with self._noticing(self.link, before):
                taken = self.link.send_data(tcp_endpoint.pattern(size))
                if taken:
                    self._wrote(before)
        took_ns = time.monotonic_ns() - before
        self.emit(
            "subject.wrote",
            at_ns=before,
            written=taken > 0,
            octets=taken,
            took_ns=took_ns,
            lag_ns=lag_ns,
        )

    def say(self, size: int = len(tcp_endpoint.PATTERN)) -> bool:
        """Write something that is to be answered."""
        if self.link is None:
            return False
        now_ns = time.monotonic_ns()
        with self._noticing(self.link, now_ns):
            self.link.send(encode(Kind.ASK, tcp_endpoint.pattern(size)))
            self.written += size
            self._wrote(now_ns)
        return self.link is not None

    def shut(self) -> None:
        """Shut the writing direction; the event says when."""
        if self.link is not None:
            tcp_endpoint.shut(self.link.sock, self.emit)

    def close_with_reset(self) -> None:
        """Close everything, with nothing left in the kernel."""
        self.watching = False
        for link in [*self._over, *([self.link] if self.link is not None else [])]:
            link.close_with_reset()
        self.reactor.close()

    # --- what designs add to ---------------------------------------------------------------------

    def _begin(self, now_ns: int) -> None:
        """The heartbeat's timers start."""

    def _heard(self, link: MessageStream, now_ns: int) -> None:
        """Something has come."""

    def _heard_urgent(self, link: MessageStream, at_ns: int) -> None:
        """Urgent data may have come. Raises OSError."""

    def _wrote(self, now_ns: int) -> None:
        """Something other than a heartbeat was written."""

    def _announced(self, link: MessageStream, message: Message) -> None:
        """A port was announced. Raises FramingError where nobody asked."""
        raise FramingError(
            f"expected another message, found the announcement of a port: {message.content!r}"
        )

    def _drop(self, link: MessageStream, now_ns: int) -> None:
        """A connection is over, and it has been said."""
        self.reactor.remove(link)
        link.shut()
        if link is self.link:
            self.link = None
            self._over.append(link)
            self.watching = False

    # --- a connection ----------------------------------------------------------------------------

    def _add(self, link: MessageStream) -> None:
        self.reactor.add(link, functools.partial(self._ready, link))

    def _ready(self, link: MessageStream, revents: int, at_ns: int) -> None:
        poll = tcp_endpoint.poll_names(revents)
        with self._noticing(link, at_ns, poll):
            if revents & select.EPOLLOUT:
                link.flush()
            if self._reads:
                if revents & select.EPOLLPRI:
                    self._heard_urgent(link, at_ns)
                self._read(link, at_ns, poll)
            elif revents & (select.EPOLLERR | select.EPOLLHUP):
                self._told(link, at_ns, poll)

    def _read(self, link: MessageStream, at_ns: int, poll: list[str]) -> None:
        for _ in range(MOST_READS):
            piece = link.receive()
            if piece is None:
                return
            if not piece:
                self._end(link, at_ns, "subject.eof", poll=poll)
                return
            self._heard(link, after(at_ns))
            self._take(link, piece)
        self.reactor.again(link)

    def _take(self, link: MessageStream, piece: bytes) -> None:
        for message in link.decoder.feed(piece):
            if message.kind is Kind.PORT:
                self._announced(link, message)
            elif message.kind is Kind.ANSWER:
                self.received += len(message.content)
            elif message.kind is Kind.BEAT and self.setting.is_server:
                link.send(encode(Kind.BEAT_BACK))
            elif message.kind is Kind.ASK and self.setting.is_server:
                link.send(encode(Kind.ANSWER, message.content))

    def _told(self, link: MessageStream, at_ns: int, poll: list[str]) -> None:
        """An error or the end of both directions, without reading what has come before it."""
        number = link.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            data = tcp_endpoint.describe_error(link.sock, number, "getsockopt", poll)
            self._end(link, at_ns, "subject.detected", **data)
        else:
            self._end(link, at_ns, "subject.eof", poll=poll)

    @contextmanager
    def _noticing(
        self, link: MessageStream, at_ns: int, poll: list[str] | None = None
    ) -> Iterator[None]:
        """What goes wrong with a connection in the block is its end."""
        try:
            yield
        except FramingError as error:
            self._give_up(link, at_ns, "garbage", str(error))
        except OSError as error:
            data = tcp_endpoint.describe_error(
                link.sock, error.errno or 0, link.syscall, poll or []
            )
            self._end(link, self._moment(at_ns), "subject.detected", **data)

    def _moment(self, at_ns: int) -> int:
        """When it is: the moment of the wake-up, unless that is long ago because a call has
        waited.
        """
        return time.monotonic_ns() if self.waits else at_ns

    def _give_up(self, link: MessageStream, at_ns: int, how: str, found: str) -> None:
        self._end(link, at_ns, "subject.noticed", how=how, found=found, reports=None)

    def _end(self, link: MessageStream, at_ns: int, kind: str, **data: object) -> None:
        """A connection is over; that is told of the watched one alone."""
        if self._counts(link):
            self.emit(kind, at_ns=at_ns, **data)
        self._drop(link, at_ns)

    def _counts(self, link: MessageStream) -> bool:
        """Whether this connection's end is that of the watched one."""
        return link is self.link


def after(at_ns: int) -> int:
    """Now: what has been read may have come after the wake-up at that moment."""
    return max(at_ns, time.monotonic_ns())


class Timed(Participant):
    """An end with a detector: `simple` and `idle-timer` as they are, the others with something of
    their own.
    """

    def __init__(self, setting: Setting, link: MessageStream, detector: Detector) -> None:
        super().__init__(setting, link)
        self.detector = detector
        self._begun = False

    def _begin(self, now_ns: int) -> None:
        self._begun = True
        self.detector.begin(now_ns)
        self._set_timer()

    def _heard(self, link: MessageStream, now_ns: int) -> None:
        self.detector.received(now_ns)
        self._set_timer()

    def _wrote(self, now_ns: int) -> None:
        self.detector.wrote(now_ns)
        self._set_timer()

    def _set_timer(self) -> None:
        runs = self._begun and self.link is not None
        self.reactor.at(self._tick, self.detector.due_ns if runs else None)

    def _tick(self, at_ns: int) -> None:
        link = self.link
        if link is None:
            return
        action = self.detector.tick(at_ns)
        if action == "give-up":
            self._give_up(link, at_ns, "heartbeat", self.detector.found(at_ns))
            return
        if action == "beat":
            with self._noticing(link, at_ns):
                self._beat(link)
                self.detector.waited(self._moment(at_ns) - at_ns)
        self._set_timer()

    def _beat(self, link: MessageStream) -> None:
        """Send a heartbeat. Raises OSError."""
        if self.waits:
            link.send_waiting(encode(Kind.BEAT))
        else:
            link.send(encode(Kind.BEAT))

    def _drop(self, link: MessageStream, now_ns: int) -> None:
        super()._drop(link, now_ns)
        self._set_timer()
