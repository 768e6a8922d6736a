"""The server that drops who has been silent for too long, of as many connections as there are."""

from __future__ import annotations

import socket

from harness.subjects.heartbeat.detectors import NS
from harness.subjects.heartbeat.message_stream import MessageStream
from harness.subjects.heartbeat.participant import Participant, Setting
from harness.subjects.heartbeat.register import Register
from harness.system.file_descriptors import raised_socket

_BACKLOG = 4096
"""Connections that may wait to be accepted."""


class Reaper(Participant):
    """A server that goes on accepting.

    The connection it is made with is the watched one, the others count for nobody.

    It looks at who has been silent the longest every `poll_s`, from arming on.
    """

    def __init__(
        self, setting: Setting, link: MessageStream | None, listener: socket.socket | None
    ) -> None:
        self.register: Register[MessageStream] = Register(round(setting.values["silence_s"] * NS))
        self._poll_ns = round(setting.values["poll_s"] * NS)
        self._look_ns = 0
        super().__init__(setting, link)
        self._listener = listener
        if listener is not None:
            listener.listen(_BACKLOG)
            listener.settimeout(0)
            self.reactor.add(listener, self._accept)

    def adopt(self, sock: socket.socket, now_ns: int) -> None:
        """Serve one more connection."""
        link = MessageStream(sock)
        self.register.touch(link, now_ns)
        self._add(link)

    def begin(self, now_ns: int) -> None:
        """Look at the silent ones from now on."""
        self._look_ns = now_ns + self._poll_ns
        self.reactor.at(self._look, self._look_ns)

    def close_with_reset(self) -> None:
        for link in self.register:
            link.close_with_reset()
        if self._listener is not None:
            self._listener.close()
        super().close_with_reset()

    def _begin(self, now_ns: int) -> None:
        assert self.link is not None
        self.register.touch(self.link, now_ns)
        self.begin(now_ns)

    def _accept(self, revents: int, at_ns: int) -> None:
        assert self._listener is not None
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:  # there is none, or no descriptor for it
                return
            self.adopt(raised_socket(sock), at_ns)

    def _heard(self, link: MessageStream, now_ns: int) -> None:
        self.register.touch(link, now_ns)

    def _look(self, at_ns: int) -> None:
        for link, last_ns in self.register.expired(at_ns):
            self._give_up(
                link, at_ns, "heartbeat", f"nothing received for {(at_ns - last_ns) / NS:.3f} s"
            )
        self._look_ns += self._poll_ns
        if self._look_ns <= at_ns:
            self._look_ns = at_ns + self._poll_ns
        self.reactor.at(self._look, self._look_ns)

    def _drop(self, link: MessageStream, now_ns: int) -> None:
        self.register.forget(link)
        is_watched = link is self.link
        super()._drop(link, now_ns)
        self.watching = True
        if not is_watched:
            link.sock.close()
