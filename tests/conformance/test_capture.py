from __future__ import annotations

import ctypes
import fcntl
import os
import queue
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import Any, TypeVar

import pytest

from harness.probes.capture import Capture, Frame, describe
from harness.probes.packets import FlowTracker

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace: needs root"),
]

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, SIOCSIFNAME, IFF_UP = 0x8914, 0x8923, 1
PATIENCE_S = 30.0
T = TypeVar("T")
Inside = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def inside() -> Iterator[Inside]:
    """Runs functions in a thread that has a network namespace of its own, with loopback up."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        executor.submit(_enter).result()
        yield lambda function: executor.submit(function).result()


def _enter() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    # A name that no other namespace has for its loopback interface.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFNAME, struct.pack("16s16s", b"lo", b"loop-inside"))
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"loop-inside", IFF_UP))


@contextmanager
def connected(family: socket.AddressFamily) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection over loopback; its client probes after one second."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("", 0), family=family))
        client = stack.enter_context(socket.socket(family))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        address = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        client.connect((address, listener.getsockname()[1]))
        server = stack.enter_context(listener.accept()[0])
        yield client, server


def collect(capture: Capture, until: str) -> list[tuple[Frame, dict[str, Any]]]:
    """All frames up to the first with that role."""
    tracker = FlowTracker()
    found = []
    deadline = time.monotonic() + PATIENCE_S
    waiting = select.poll()
    waiting.register(capture, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        waiting.poll(left * 1000)
        for frame in capture.read():
            described = describe(frame, tracker)
            if described is not None:
                found.append((frame, described))
        if any(described["role"] == until for _, described in found):
            return found
    pytest.fail(f"expected a segment with role {until}, found {[d['role'] for _, d in found]}")


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_probe_and_answer(inside: Inside, family: socket.AddressFamily) -> None:
    """A keepalive probe and its answer are seen once each, with roles and the kernel's times."""
    before = time.monotonic_ns()
    with closing(inside(lambda: Capture("client"))) as capture, ExitStack() as stack:
        client, _ = inside(lambda: stack.enter_context(connected(family)))
        port = client.getsockname()[1]
        found = collect(capture, until="answer")
        after = time.monotonic_ns()
    frames, described = zip(*found, strict=True)
    roles = [one["role"] for one in described]
    assert roles == ["syn", "syn-ack", "ack", "probe", "answer"]
    assert [one["flags"] for one in described] == ["S", "SA", "A", "A", "A"]
    assert [one["sport"] == port for one in described] == [True, False, True, True, False]
    times = [frame.t_ns for frame in frames]
    assert all(frame.stamped for frame in frames[3:])
    assert (
        before <= times[0] <= times[2] < times[3] <= times[4] <= after
    )  # in virtual time work takes none
    assert before + 1_000_000_000 < times[3]
    assert {frame.device for frame in frames} == {"loop-inside"}
    assert all(frame.length == len(frame.data) for frame in frames)


def test_long_frames_are_cut(inside: Inside) -> None:
    """Of a long frame the headers are kept, and its length on the wire is told."""
    with closing(inside(lambda: Capture("client"))) as capture, ExitStack() as stack:
        client, _ = inside(lambda: stack.enter_context(connected(socket.AF_INET)))
        client.sendall(bytes(5000))
        found = collect(capture, until="data")
        (frame, described) = next(one for one in found if one[1]["role"] == "data")
        assert len(frame.data) == 192
        assert frame.length == described["wire_length"] == described["length"] + 66
        assert described["length"] == 5000


def test_other_traffic_is_not_captured(inside: Inside) -> None:
    """Datagrams between the segments do not reach the capture, and nothing is lost."""

    def chatter() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(100):
                sender.sendto(b"noise", ("127.0.0.1", 9))

    with closing(inside(lambda: Capture("client"))) as capture, ExitStack() as stack:
        inside(chatter)
        inside(lambda: stack.enter_context(connected(socket.AF_INET)))
        # The kernel reports a closed UDP port by ICMP, which quotes no segment.
        roles = [described["role"] for _, described in collect(capture, until="ack")]
        assert [role for role in roles if role != "icmp"] == ["syn", "syn-ack", "ack"]
        assert capture.dropped() == 0


def test_overflow_is_counted(inside: Inside) -> None:
    """Frames that nobody reads are counted as dropped, once each, and kept frames stay readable."""
    with closing(inside(lambda: Capture("client"))) as capture, ExitStack() as stack:
        sending, receiving = inside(lambda: stack.enter_context(connected(socket.AF_INET)))
        capture._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        for _ in range(50):
            sending.sendall(b"x")
            receiving.recv(1)
        lost = capture.dropped()
        assert lost > 0
        assert capture.dropped() == lost
        assert capture.read()


def test_close_does_not_wait(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread waits for the kernel's grace period, once; closing twice is harmless."""
    closed: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
    real = os.close

    def close(descriptor: int) -> None:
        closed.put((threading.get_ident(), descriptor))
        real(descriptor)

    capture = inside(lambda: Capture("client"))
    descriptor = capture.fileno()
    monkeypatch.setattr(os, "close", close)
    capture.close()
    capture.close()
    thread, found = closed.get(timeout=PATIENCE_S)
    monkeypatch.undo()
    assert (found, closed.empty()) == (descriptor, True)
    assert thread != threading.get_ident()
