"""The designs that need more than a detector: a second connection, urgent data, another server.

And which is which.
"""

from __future__ import annotations

import errno
import select
import socket
import time

from harness.programs import tcp_endpoint
from harness.subjects.heartbeat import detectors
from harness.subjects.heartbeat.detectors import NS, Detector, Watchdog
from harness.subjects.heartbeat.framing import FramingError, Message, encode_port, port_of
from harness.subjects.heartbeat.message_stream import MessageStream
from harness.subjects.heartbeat.participant import Participant, Setting, Timed, after
from harness.subjects.heartbeat.reaper import Reaper
from harness.system.file_descriptors import raised_socket

BEAT = b"\x01"
"""What goes over a connection for heartbeats alone; any octet is one."""


class Urgent(Timed):
    """Heartbeats are urgent octets; nothing else counts."""

    def _heard(self, link: MessageStream, now_ns: int) -> None:
        """Other data says nothing."""

    def _heard_urgent(self, link: MessageStream, at_ns: int) -> None:
        if not link.receive_urgent():
            return
        self.detector.received(after(at_ns), urgent=True)
        if self.setting.is_server:
            link.send_urgent()

    def _beat(self, link: MessageStream) -> None:
        link.send_urgent()


class Separate(Timed):
    """Heartbeats have a connection of their own, at which the client waits.

    The end of either is the end of both.
    """

    def __init__(self, setting: Setting, link: MessageStream, detector: Detector) -> None:
        super().__init__(setting, link, detector)
        self._beats: MessageStream | None = None
        self._side_door: socket.socket | None = None
        self._is_announced = False

    def prepare(self) -> None:
        assert self.link is not None
        if not self.setting.is_server:
            self._announce(self.link)
            return
        deadline = time.monotonic() + tcp_endpoint.CONNECT_TIMEOUT_S
        poller = select.poll()
        poller.register(self.fileno(), select.POLLIN)
        while time.monotonic() < deadline:
            self.woken(0, time.monotonic_ns())
            if self._is_announced or not self.watching:
                return
            poller.poll(100)

    def close_with_reset(self) -> None:
        self._close_side_door()
        if self._beats is not None:
            self._beats.close_with_reset()
        super().close_with_reset()

    def _announce(self, link: MessageStream) -> None:
        """Wait for the server at a port that is free, and say which."""
        self._side_door = self.setting.make_socket()
        port = tcp_endpoint.listen(self._side_door, link.sock.getsockname()[0])
        self._side_door.settimeout(0)
        self.reactor.add(self._side_door, self._accept)
        link.send(encode_port(port))

    def _accept(self, revents: int, at_ns: int) -> None:
        assert self._side_door is not None
        try:
            sock, _ = self._side_door.accept()
        except OSError:  # it has gone again
            return
        self._close_side_door()
        self._open(raised_socket(sock))

    def _announced(self, link: MessageStream, message: Message) -> None:
        """The server connects back."""
        if not self.setting.is_server or self._is_announced:
            raise FramingError(f"expected no port, or none any more, found port {port_of(message)}")
        self._is_announced = True
        self._side_door = self.setting.make_socket()
        self._side_door.settimeout(0)
        self._goal = (link.sock.getpeername()[0], port_of(message))
        number = self._side_door.connect_ex(self._goal)
        if number in (0, errno.EINPROGRESS):
            self.reactor.add(self._side_door, self._connected)
        else:
            self._refused(number, time.monotonic_ns())

    def _connected(self, revents: int, at_ns: int) -> None:
        """The connection back stands, or has come to nothing."""
        assert self._side_door is not None
        number = self._side_door.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._refused(number, at_ns)
        elif revents & select.EPOLLOUT:
            sock, self._side_door = self._side_door, None
            self.reactor.remove(sock)
            self._open(sock)

    def _refused(self, number: int, at_ns: int) -> None:
        name = errno.errorcode.get(number, str(number))
        self.emit("subject.beatless", at_ns=at_ns, errno=name, remote=list(self._goal))
        self._close_side_door()

    def _open(self, sock: socket.socket) -> None:
        self._beats = MessageStream(sock)
        self._add(self._beats)

    def _close_side_door(self) -> None:
        if self._side_door is not None:
            self.reactor.remove(self._side_door)
            self._side_door.close()
            self._side_door = None

    def _beat(self, link: MessageStream) -> None:
        if self._beats is not None:
            self._beats.send(BEAT)

    def _take(self, link: MessageStream, piece: bytes) -> None:
        if link is not self._beats:
            super()._take(link, piece)
        elif self.setting.is_server:
            link.send(BEAT * len(piece))

    def _counts(self, link: MessageStream) -> bool:
        return link in (self.link, self._beats)

    def _drop(self, link: MessageStream, now_ns: int) -> None:
        beats, self._beats = self._beats, None
        for each in (self.link, beats):
            if each is not None:
                super()._drop(each, now_ns)
        if beats is not None:
            self._over.append(beats)
        self._close_side_door()


class IdleState(Timed):
    """A client with a watchdog, which looks for another server when the connection is over."""

    def __init__(self, setting: Setting, link: MessageStream, detector: Detector) -> None:
        super().__init__(setting, link, detector)
        values = setting.values
        retry_ns, most_retry_ns = (round(values[key] * NS) for key in ("retry_s", "most_retry_s"))
        self._watchdog = Watchdog(tuple(values["servers"]), retry_ns, most_retry_ns)
        self._server = "server"
        self._attempt: socket.socket | None = None

    def close_with_reset(self) -> None:
        if self._attempt is not None:
            self._attempt.close()
        super().close_with_reset()

    def _drop(self, link: MessageStream, now_ns: int) -> None:
        super()._drop(link, now_ns)
        if self._watchdog.servers:
            self.watching = True
            self.reactor.at(self._try, self._moment(now_ns) + self._watchdog.lost(self._server))

    def _try(self, at_ns: int) -> None:
        """Connect to the next server, without waiting."""
        server = self._watchdog.following()
        self._attempt = self.setting.make_socket()
        self._attempt.settimeout(0)
        number = self._attempt.connect_ex(self.setting.servers[server])
        if number in (0, errno.EINPROGRESS):
            self.reactor.add(self._attempt, self._answered)
            self.reactor.at(self._failed, at_ns + self._watchdog.wait_ns)
        else:
            self._failed(at_ns)

    def _answered(self, revents: int, at_ns: int) -> None:
        assert self._attempt is not None
        if self._attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._failed(at_ns)
        elif revents & select.EPOLLOUT:
            self._take_over(self._attempt, at_ns)

    def _failed(self, at_ns: int) -> None:
        """No answer, or a refusal."""
        assert self._attempt is not None
        self.reactor.remove(self._attempt)
        self._attempt.close()
        self._attempt = None
        self.reactor.at(self._failed, None)
        self.reactor.at(self._try, at_ns + self._watchdog.failed())

    def _take_over(self, sock: socket.socket, at_ns: int) -> None:
        """Another connection stands in place of the lost one."""
        self.reactor.remove(sock)
        self.reactor.at(self._failed, None)
        self._attempt, self._server = None, self._watchdog.server
        remote = list(self.setting.servers[self._server])
        tcp_endpoint.set_options(sock, self.setting.options)
        self.emit("subject.reconnected", at_ns=at_ns, remote=remote, server=self._server)
        self.watch(MessageStream(sock))
        self._begin(at_ns)


def make(
    setting: Setting, sock: socket.socket, listener: socket.socket | None = None
) -> Participant:
    """The end for a connection that was just made.

    A reaper keeps the listening socket, others have closed it.
    """
    design = setting.values["design"]
    detector = detectors.make(setting.values, setting.role)
    if detector is None:
        return Reaper(setting, MessageStream(sock), listener)
    kinds: dict[str, type[Timed]] = {
        "separate": Separate,
        "urgent": Urgent,
        "idle-state": IdleState,
    }
    return kinds.get(design, Timed)(
        setting, MessageStream(sock, urgent=design == "urgent"), detector
    )
