"""The options of other processes' sockets, as getsockopt(2) returns them there."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.errors import UsageError
from harness.lab import live_sockets
from harness.model.live_sockets import LiveSocket, Options
from harness.system import pidfd

HOLDER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 33)
client = socket.create_connection(listener.getsockname())
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1500)
accepted, _ = listener.accept()
try:
    listener6 = socket.create_server(("::1", 0), family=socket.AF_INET6)
except OSError:
    listener6 = None
others = [socket.socket(), socket.socket(type=socket.SOCK_DGRAM), *socket.socketpair()]
print(listener.getsockname()[1], client.getsockname()[1], bool(listener6) + 3, flush=True)
sys.stdin.read()
"""
"""A program with sockets of each kind, and some that are no TCP connections."""


class Holder:
    """The program: its ID, the port at which it listens, that of its client, and how many sockets
    it has that count.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.pid = process.pid
        self.port, self.client, self.number = map(int, process.stdout.readline().split())


@contextmanager
def held() -> Iterator[Holder]:
    """A program with sockets, until the end of the block."""
    command = [sys.executable, "-I", "-S", "-c", HOLDER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Holder(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def holder() -> Iterator[Holder]:
    """One for all tests that change nothing."""
    with held() as found:
        yield found


@pytest.fixture(autouse=True)
def _may_trace(holder: Holder) -> None:
    """Reading sockets takes the right to trace a child, which a sandbox may refuse."""
    pinned = os.pidfd_open(holder.pid)
    try:
        os.close(pidfd.duplicate(pinned, 0))
    except OSError as error:
        pytest.skip(f"pidfd_getfd(2) of a child is not permitted here: {error.strerror}")
    finally:
        os.close(pinned)


def by_ports(sockets: tuple[LiveSocket, ...]) -> dict[tuple[int, int | None], LiveSocket]:
    """Those of IPv4, by both ports."""
    return {(each.near_port, each.far_port): each for each in sockets}


def system(name: str) -> int:
    """A sysctl of this network."""
    with open(f"/proc/sys/net/ipv4/tcp_keepalive_{name}") as file:
        return int(file.read())


def test_options_are_those_in_effect(holder: Holder) -> None:
    """Those of the listener, what an accepted socket inherited, and what the client set; where
    nothing is set, the sysctl.
    """
    found = by_ports(live_sockets.survey([holder.pid]).sockets)
    port, client = holder.port, holder.client
    interval_s, count = system("intvl"), system("probes")
    inherited = Options(
        keepalive=True, idle_s=33, interval_s=interval_s, count=count, user_timeout_ms=0
    )
    assert found[port, None].options == inherited
    assert found[port, client].options == inherited
    assert found[client, port].options == Options(
        keepalive=False,
        idle_s=system("time"),
        interval_s=interval_s,
        count=count,
        user_timeout_ms=1500,
    )
    assert len(found) == holder.number


def test_process_user_and_network_are_told(holder: Holder) -> None:
    """As ps(1) and /proc/PID/ns/net show them."""
    survey = live_sockets.survey([holder.pid])
    (process,) = by_ports(survey.sockets)[holder.port, None].holders
    with open(f"/proc/{holder.pid}/comm") as file:
        assert (process.pid, process.program) == (holder.pid, file.read().strip())
    (network,) = survey.networks.values()
    assert network.inode == os.stat("/proc/self/ns/net").st_ino  # noqa: PTH116
    assert network.listening is not None
    assert holder.port in network.listening
    assert network.sysctls is not None
    assert network.sysctls.idle_s == system("time")


def test_the_program_notices_nothing(holder: Holder) -> None:
    """It is not traced, is not woken, and has the same descriptors as before."""

    def seen() -> tuple[str, list[str]]:
        with open(f"/proc/{holder.pid}/status") as file:
            lines = [
                line
                for line in file
                if line.startswith(("State", "TracerPid", "voluntary", "nonvol"))
            ]
        return "".join(lines), sorted(os.listdir(f"/proc/{holder.pid}/fd"))  # noqa: PTH208

    while "S (sleeping)" not in seen()[0]:
        time.sleep(0.001)
    before = seen()
    live_sockets.survey([holder.pid])
    assert "TracerPid:\t0" in before[0]
    assert seen() == before


def test_a_socket_that_two_processes_hold_is_one(holder: Holder) -> None:
    """And both are told."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        descriptor, port = server.fileno(), server.getsockname()[1]
        with subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", "input()"],
            stdin=subprocess.PIPE,
            pass_fds=[descriptor],
        ) as other:
            sockets = live_sockets.survey([os.getpid(), other.pid, holder.pid]).sockets
            found = [each for each in sockets if each.near_port == port]
            assert [{holder.pid for holder in each.holders} for each in found] == [
                {os.getpid(), other.pid}
            ]


@pytest.fixture
def few(holder: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    """All processes are this one and the program: others' sockets are left alone."""
    monkeypatch.setattr(live_sockets, "_every_pid", lambda: [os.getpid(), holder.pid])


@pytest.mark.usefixtures("few")
def test_all_processes(holder: Holder) -> None:
    """Its sockets are among those of all."""
    found = by_ports(live_sockets.survey().sockets)
    assert {process.pid for process in found[holder.port, None].holders} == {holder.pid}


def test_what_may_not_be_duplicated_is_told_as_far_as_the_kernel_does(
    holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ports, process, and by its timer whether keepalive is on; the missing right is named."""

    def refused(_process: int, _number: int) -> int:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(pidfd, "duplicate", refused)
    survey = live_sockets.survey([holder.pid])
    found = by_ports(survey.sockets)
    port, client = holder.port, holder.client
    assert found[port, None].options == Options()
    assert found[port, client].options == Options(keepalive=True)
    assert found[client, port].options == Options(keepalive=False)
    assert [process.pid for process in found[client, port].holders] == [holder.pid]
    (unread,) = survey.unread
    assert (unread.what, unread.number) == ("socket", len(found))
    assert "CAP_SYS_PTRACE" in unread.why


@pytest.mark.usefixtures("few")
def test_a_process_whose_descriptors_may_not_be_listed(
    holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sockets are told without it: they are in this network, and nobody seems to hold them."""
    listed = os.listdir

    def refused(folder: str) -> list[str]:
        if folder == f"/proc/{holder.pid}/fd/":
            raise PermissionError(errno.EACCES, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(os, "listdir", refused)
    survey = live_sockets.survey()
    found = by_ports(survey.sockets)
    assert found[holder.port, holder.client].options == Options(keepalive=True)
    assert found[holder.port, holder.client].holders == ()
    kinds = [each.what for each in survey.unread]
    assert kinds[:1] == ["process"]
    assert "socket" in kinds


@pytest.mark.parametrize("pid", [1 << 22, 1 << 80])
def test_a_process_that_is_not_there(pid: int) -> None:
    """Nor can be."""
    with pytest.raises(UsageError, match=f"^expected the ID of a running process, found {pid}$"):
        live_sockets.survey([pid])


def test_a_process_that_ends_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has no sockets, and is no error."""
    with held() as holder:
        duplicate = pidfd.duplicate

        def gone(process: int, number: int) -> int:
            os.kill(holder.pid, 9)
            os.waitpid(holder.pid, 0)
            monkeypatch.setattr(pidfd, "duplicate", duplicate)
            return duplicate(process, number)

        monkeypatch.setattr(pidfd, "duplicate", gone)
        survey = live_sockets.survey([holder.pid])
        assert (survey.sockets, survey.unread) == ((), ())
