"""The ends on this machine's loopback.

The monotonic clock is the real one, moved forward where a test says so.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from harness.model.programs import (
    AnyHeartbeat,
    IdleState,
    IdleTimer,
    Reaper,
    Separate,
    Simple,
    Urgent,
)
from harness.programs import tcp_endpoint
from harness.subjects.heartbeat import designs
from harness.subjects.heartbeat.detectors import NS, Role
from harness.subjects.heartbeat.framing import Kind, encode, encode_port
from harness.subjects.heartbeat.participant import Participant, Setting

LOOPBACK = "127.0.0.1"
DESIGNS: dict[str, tuple[AnyHeartbeat, AnyHeartbeat]] = {
    "simple": (Simple(), Simple()),
    "separate": (Separate(), Separate()),
    "urgent": (Urgent(), Urgent()),
    "idle-timer": (IdleTimer(), Reaper()),
    "idle-state": (IdleState(), Reaper()),
}
Log = list[tuple[str, dict[str, Any]]]


class Bench:
    """Makes ends, serves them as the harness's loop does, and keeps what they tell, by role."""

    def __init__(self) -> None:
        self.ends: list[Participant] = []
        self.sockets: list[socket.socket] = []
        self.told: dict[str, Log] = {"client": [], "server": []}
        self.later_ns = 0

    def setting(
        self, role: Role, design: AnyHeartbeat, servers: dict[str, tuple[str, int]] | None = None
    ) -> Setting:
        """For an end; what it tells goes to the log of its role."""
        log = self.told[role]

        def emit(kind: str, at_ns: int | None = None, **data: Any) -> None:
            log.append((kind, {**data, "at_ns": at_ns}))

        return Setting(role, msgspec.to_builtins(design), {}, self.sock, emit, servers or {})

    def sock(self) -> socket.socket:
        """A socket, closed at the end."""
        self.sockets.append(socket.socket())
        return self.sockets[-1]

    def connected(
        self, *, small: bool = False
    ) -> tuple[socket.socket, socket.socket, socket.socket]:
        """A connection's two ends, and who listened."""
        listener, client = self.sock(), self.sock()
        if small:
            tcp_endpoint.limit_buffers(listener, 4096, 4096)
            tcp_endpoint.limit_buffers(client, 4096, 4096)
        port = tcp_endpoint.listen(listener, LOOPBACK)
        tcp_endpoint.connect(client, LOOPBACK, port)
        server = tcp_endpoint.accept(listener)
        self.sockets.append(server)
        return client, server, listener

    def end(
        self,
        setting: Setting,
        sock: socket.socket,
        listener: socket.socket | None = None,
        *,
        prepared: bool = True,
    ) -> Participant:
        """One end, armed."""
        end = designs.make(setting, sock, listener)
        self.ends.append(end)
        if prepared:
            end.prepare()
        end.arm()
        return end

    def pair(
        self, client: AnyHeartbeat, server: AnyHeartbeat, *, small: bool = False
    ) -> tuple[Participant, Participant]:
        """Both ends, armed."""
        ours, theirs, listener = self.connected(small=small)
        first = designs.make(self.setting("client", client), ours)
        self.ends.append(first)
        first.prepare()
        second = self.end(
            self.setting("server", server), theirs, listener if server.design == "reaper" else None
        )
        first.arm()
        return first, second

    def peer(self, role: Role, design: AnyHeartbeat) -> tuple[Participant, socket.socket]:
        """One end, armed, and a plain socket at the other end."""
        ours, theirs, _ = self.connected()
        mine, other = (ours, theirs) if role == "client" else (theirs, ours)
        other.settimeout(5)
        return self.end(self.setting(role, design), mine, prepared=role == "client"), other

    def serve(self, until: Callable[[], bool] = lambda: False, within_s: float = 5.0) -> bool:
        """Serve all; whether it came to that."""
        deadline = time.monotonic() + within_s
        while not until():
            self._serve_once(10)
            if time.monotonic() > deadline:
                return False
        return True

    def _serve_once(self, wait_ms: int) -> bool:
        poller = select.poll()
        served = {end.fileno(): end for end in self.ends if end.watching}
        for descriptor, end in served.items():
            poller.register(descriptor, end.mask)
        ready = poller.poll(wait_ms)
        for descriptor, revents in ready:
            served[descriptor].woken(revents, time.monotonic_ns() + self.later_ns)
        return bool(ready)

    def pass_time(self, seconds: float) -> None:
        """So much later all timers that are due by then are served, one after the other, and what
        they set off.
        """
        self.later_ns += round(seconds * NS)
        for end in self.ends:
            end.woken(0, time.monotonic_ns() + self.later_ns)
        self.settle()

    def settle(self) -> None:
        """Serve until nothing is left to be done: what is sent over loopback has come when that
        returns.
        """
        while self._serve_once(0):
            pass

    def kinds(self, role: Role) -> list[str]:
        """What an end has told, without the beginning."""
        return [kind for kind, _ in self.told[role] if kind != "subject.armed"]

    def last(self, role: Role) -> dict[str, Any]:
        """What it told last."""
        return self.told[role][-1][1]


@pytest.fixture
def bench() -> Iterator[Bench]:
    """An empty one."""
    bench = Bench()
    yield bench
    for end in bench.ends:
        end.close_with_reset()
    for sock in bench.sockets:
        sock.close()


@pytest.mark.parametrize("design", DESIGNS)
def test_beats_are_answered_and_data_passes(bench: Bench, design: str) -> None:
    """For much longer than it would take to give up; what is said comes back, data does not."""
    client, server = bench.pair(*DESIGNS[design])
    for _ in range(200 if design == "urgent" else 20):
        bench.pass_time(0.5 if design == "urgent" else 15.0)
    client.write(40_000)
    server.write(12)
    assert client.say()
    assert bench.serve(lambda: client.received == client.written == 12)
    assert bench.kinds("client") == bench.kinds("server") == ["subject.wrote"]
    assert bench.told["client"][-1][1]["octets"] == 40_000


@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize("design", DESIGNS)
def test_a_silent_peer_is_given_up(bench: Bench, design: str, role: Role) -> None:
    """And the connection closed, both of them where there are two."""
    ours, theirs, _ = bench.connected()
    theirs.settimeout(5)
    index = 0 if role == "client" else 1
    end = bench.end(bench.setting(role, DESIGNS[design][index]), ours, prepared=role == "client")
    for _ in range(101):
        bench.pass_time(1.0)
    assert bench.kinds(role) == ["subject.noticed"]
    seen = bench.last(role)
    assert (seen["how"], seen["reports"]) == ("heartbeat", None)
    assert not end.watching or design in ("idle-timer", "idle-state")
    while theirs.recv(4096):
        pass


def test_its_times_are_those_of_the_design(bench: Bench) -> None:
    """From arming on, to the nanosecond, whoever serves it late."""
    client, server = bench.pair(Simple(), Simple())
    armed_ns = {role: bench.told[role][0][1]["at_ns"] for role in ("client", "server")}
    bench.ends = [client]  # the server is served by nobody
    due_ns = []
    for _ in range(4):
        due_ns.append(min(client.reactor._due_ns.values()))
        client.woken(0, due_ns[-1] + 1000)
    assert [(due - armed_ns["client"]) / NS for due in due_ns] == [60, 70, 80, 90]
    assert bench.last("client")["at_ns"] == due_ns[-1] + 1000
    bench.ends = [client, server]


@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize("design", DESIGNS)
def test_garbage_is_an_error_in_words(bench: Bench, design: str, role: Role) -> None:
    """In whatever pieces it comes, and however long it says to be."""
    for garbage in (
        b"HTTP/1.1 400 Bad Request\r\n",
        struct.pack("!BI", Kind.DATA, 1 << 31),
        encode_port(1) * 2,
    ):
        bench.told[role].clear()
        _, peer = bench.peer(role, DESIGNS[design][0 if role == "client" else 1])
        for place in range(len(garbage)):
            with contextlib.suppress(OSError):  # it may have been closed by then
                peer.send(garbage[place : place + 1])
        assert bench.serve(lambda: "subject.noticed" in bench.kinds(role))
        assert bench.last(role)["how"] == "garbage"
        assert "expected" in bench.last(role)["found"]


@pytest.mark.parametrize("role", ["client", "server"])
def test_the_peers_end_is_seen(bench: Bench, role: Role) -> None:
    """FIN or RST, at once."""
    _, peer = bench.peer(role, Simple())
    peer.close()
    assert bench.serve(lambda: bench.kinds(role) == ["subject.eof"])
    _, peer = bench.peer(role, Simple())
    tcp_endpoint.close_with_reset(peer)
    assert bench.serve(lambda: bench.kinds(role) == ["subject.eof", "subject.detected"])
    assert bench.last(role)["errno"] == "ECONNRESET"


def test_no_message_is_torn_in_a_full_buffer(bench: Bench) -> None:
    """Beats queue up behind what was begun.

    The detector goes on; all is whole when the peer reads again.
    """
    client, server = bench.pair(Simple(misses=1000), Simple(misses=1000), small=True)
    server.reads = False
    for _ in range(20):
        client.write(100_000)
    assert bench.last("client")["written"] is False
    for _ in range(30):
        bench.pass_time(10)
    assert client.say()
    assert bench.kinds("client")[-1] == "subject.wrote"
    server.reads = True
    assert bench.serve(lambda: client.received == 12)
    assert "subject.noticed" not in bench.kinds("client") + bench.kinds("server")


def test_who_does_not_read_hears_of_an_error_all_the_same(bench: Bench) -> None:
    """Without reading what came before it."""
    end, peer = bench.peer("server", Simple())
    end.reads = False
    peer.send(encode(Kind.BEAT))
    tcp_endpoint.close_with_reset(peer)
    assert bench.serve(lambda: not end.watching)
    assert bench.last("server")["errno"] == "ECONNRESET"


# --- urgent data --------------------------------------------------------------------------------


def test_urgent_octets_overtake_unread_ones(bench: Bench) -> None:
    """What has lost its mark lies in the stream between messages, and does no harm."""
    end, peer = bench.peer("server", Urgent())
    for number in range(10):
        peer.send(encode(Kind.DATA, b"x" * number))
        peer.send(b"!", socket.MSG_OOB)
        peer.send(encode(Kind.ASK, b"y"))
    bench.settle()
    assert bench.kinds("server") == []
    assert end.link is not None
    got = b""
    while len(got) < 10 * len(encode(Kind.ANSWER, b"y")):
        got += peer.recv(4096)
    assert got.replace(b"!", b"") == encode(Kind.ANSWER, b"y") * 10


def test_only_urgent_octets_count(bench: Bench) -> None:
    """Data from the peer does not keep it alive."""
    _, peer = bench.peer("client", Urgent())
    for _ in range(7):
        peer.send(encode(Kind.DATA, b"x"))
        bench.pass_time(1.0)
    assert bench.kinds("client") == ["subject.noticed"]


# --- a connection for heartbeats alone ----------------------------------------------------------


def test_input_on_either_connection_counts(bench: Bench) -> None:
    """Data alone keeps both from asking."""
    client, server = bench.pair(Separate(), Separate())
    assert bench.serve(lambda: client._beats is not None and server._beats is not None)  # type: ignore[attr-defined]
    for _ in range(10):
        bench.pass_time(50.0)
        server.write(12)
        client.write(12)
        bench.settle()
    assert set(bench.kinds("client") + bench.kinds("server")) == {"subject.wrote"}


def test_the_end_of_the_heartbeats_connection_is_the_end(bench: Bench) -> None:
    """Of the data connection too, and on both sides."""
    client, server = bench.pair(Separate(), Separate())
    assert bench.serve(lambda: client._beats is not None and server._beats is not None)  # type: ignore[attr-defined]
    server._beats.sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
    assert bench.serve(lambda: not client.watching and not server.watching)
    assert bench.kinds("client") == bench.kinds("server") == ["subject.eof"]


def test_a_server_that_cannot_connect_back_says_so(bench: Bench) -> None:
    """As from behind a NAT; the client counts on, for all that is well otherwise."""
    end, peer = bench.peer("server", Separate())
    spare = bench.sock()
    spare.bind((LOOPBACK, 0))
    port = spare.getsockname()[1]
    peer.send(encode_port(port) + encode(Kind.ASK, b"x"))
    assert bench.serve(lambda: bench.kinds("server") == ["subject.beatless"])
    seen = bench.last("server")
    assert (seen["errno"], seen["remote"]) == ("ECONNREFUSED", [LOOPBACK, port])
    assert peer.recv(100) == encode(Kind.ANSWER, b"x")
    assert end.watching


# --- servers for many, and another server -------------------------------------------------------


def test_a_reaper_serves_many_and_drops_the_silent(bench: Bench) -> None:
    """Those it was not made with come and go without an event."""
    ours, theirs, listener = bench.connected()
    end = bench.end(bench.setting("server", Reaper(silence_s=60, poll_s=1)), theirs, listener)
    others = [bench.sock() for _ in range(50)]
    for other in others:
        tcp_endpoint.connect(other, LOOPBACK, listener.getsockname()[1])
    bench.settle()
    for _ in range(70):
        bench.pass_time(1.0)
        others[7].send(encode(Kind.BEAT))
        ours.send(encode(Kind.BEAT))
    assert bench.kinds("server") == []
    for number, other in enumerate(others):
        other.settimeout(0)
        if number == 7:
            assert other.recv(4096)
        else:
            assert other.recv(4096) == b""
    for _ in range(62):
        bench.pass_time(1.0)
    assert bench.kinds("server") == ["subject.noticed"]
    assert bench.last("server")["found"].startswith("nothing received for 6")
    assert end.watching


def test_a_lost_server_is_replaced(bench: Bench) -> None:
    """The one after it first, then round.

    Later each time, on a connection with timers of its own.
    """
    ours, theirs, listener = bench.connected()
    dead = bench.sock()
    dead.bind((LOOPBACK, 0))
    servers = {"server": listener.getsockname(), "router": dead.getsockname()}
    design = IdleState(servers=("server", "router"), retry_s=1, most_retry_s=3)
    end = bench.end(bench.setting("client", design, servers), ours)
    theirs.close()
    assert bench.serve(lambda: bench.kinds("client") == ["subject.eof"])
    assert end.watching
    bench.pass_time(0.9)
    assert bench.kinds("client") == ["subject.eof"]
    bench.pass_time(0.2)  # the router refuses
    bench.pass_time(1.9)
    assert bench.kinds("client") == ["subject.eof"]
    bench.pass_time(0.2)
    assert bench.kinds("client") == ["subject.eof", "subject.reconnected"]
    seen = bench.last("client")
    assert (seen["server"], seen["remote"]) == ("server", list(servers["server"]))
    again = tcp_endpoint.accept(listener)
    bench.sockets.append(again)
    bench.pass_time(30)
    again.settimeout(5)
    assert again.recv(100) == encode(Kind.BEAT)
    bench.pass_time(31)
    assert bench.kinds("client")[-1] == "subject.noticed"
