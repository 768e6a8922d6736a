"""Network namespaces without names: made by unshare(2), held by a file descriptor, entered by one
thread at a time.

A namespace that only a descriptor holds goes away with the process, however that ends, so a killed
harness leaves none behind. Entering is per thread (setns(2)); a child process started inside
inherits it.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import os
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from harness.errors import CapabilityError, LabError
from harness.system import fixes, priority
from harness.system.file_descriptors import raised
from harness.system.threads import begin

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
_libc = ctypes.CDLL(None, use_errno=True)
_HERE = "/proc/thread-self/ns/net"
_moved = threading.Event()
"""Whether this process has gone into a network of its own."""
_SO_NETNS_COOKIE = 71
"""asm-generic/socket.h, since 5.14."""


class Network(msgspec.Struct, frozen=True):
    """What tells a network namespace from all others, also those that are made when it is gone.

    The inode number, as in /proc/PID/ns/net, is given to another one then; the cookie (socket(7),
    SO_NETNS_COOKIE) is not until the machine boots again, and is 0 where the kernel has none.
    """

    inode: int
    cookie: int
    boot: str


@functools.cache
def boot_id() -> str:
    """What tells one boot of a machine or guest from every other."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def network_of(pid: int) -> Network | None:
    """The network of a process; None where it has no cookie, or may not be entered."""
    try:
        door = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    before = os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        call("setns", door, CLONE_NEWNET)
        try:
            found = _network_here(door)
        finally:
            call("setns", before, CLONE_NEWNET)
    except OSError:
        return None
    finally:
        os.close(door)
        os.close(before)
    return found if found.cookie else None


def _network_here(door: int) -> Network:
    """That of the calling thread, of which a descriptor is given."""
    cookie = 0
    with suppress(OSError), socket.socket(socket.AF_UNIX) as any_socket:
        cookie = int.from_bytes(
            any_socket.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8), sys.byteorder
        )
    return Network(os.fstat(door).st_ino, cookie, boot_id())


def call(name: str, *arguments: int) -> None:
    """A call of the C library by its name. Raises OSError."""
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _made() -> tuple[int, Network]:
    before = os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        call("unshare", CLONE_NEWNET)
    except OSError as error:
        os.close(before)
        raise LabError(
            f"expected to make a network namespace, found {error}; see `harness doctor`"
        ) from error
    try:
        door = raised(os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC))
        return door, _network_here(door)
    finally:
        call("setns", before, CLONE_NEWNET)
        os.close(before)


def _of(pid: int) -> int:
    try:
        return raised(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        raise LabError(
            f"expected the network namespace of process {pid}, found {error.strerror}"
        ) from error


class Namespace:
    """One network namespace, alive until `close` and until nothing else uses it."""

    def __init__(self, pid: int | None = None) -> None:
        """Make an empty namespace, or hold that of a process; the calling thread stays where it is.

        Raises LabError.
        """
        self.network: Network | None = None
        """What tells it from all others, where it was made here.

        In another one are other people's processes.
        """
        if pid is None:
            self.fd, self.network = _made()
        else:
            self.fd = _of(pid)
        self.identity = os.fstat(self.fd).st_ino

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Put the calling thread inside for the length of the block."""
        before = os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            call("setns", self.fd, CLONE_NEWNET)
            try:
                yield
            finally:
                call("setns", before, CLONE_NEWNET)
        finally:
            os.close(before)

    def close(self) -> None:
        """Let go; the kernel removes it when the last socket and process in it are gone."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def read_sysctl(name: str) -> str:
    """A sysctl of the namespace that the calling thread is in. Raises LabError."""
    path = f"/proc/sys/{name.replace('.', '/')}"
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError as error:
        raise LabError(f"expected sysctl {name}, found {error.strerror} ({path})") from error


def write_sysctl(name: str, value: int | str) -> None:
    """Set a sysctl of the namespace that the calling thread is in. Raises LabError."""
    path = f"/proc/sys/{name.replace('.', '/')}"
    try:
        with priority.ordinary(), open(path, "w", encoding="ascii") as file:
            file.write(str(value))
    except OSError as error:
        raise LabError(
            f"expected to set sysctl {name} to {value}, found {error.strerror} ({path})"
        ) from error


def ensure_privileges() -> str:
    """Make sure that this process may build labs.

    Enter a user and a network namespace of our own where it is not root.

    From then on the process has no network but its own loopback: a thread that has been in a lab's
    namespace may come back only to one that belongs to the same user namespace, never to the
    machine's. Returns how ("root" or "user namespace"). Must run before the process has a second
    thread. Raises CapabilityError.
    """
    may_leave, may_return = _try_namespaces()
    if may_return:
        return "root" if _in_first_user_namespace() else "user namespace"
    threads = sum(
        1 for _ in Path("/proc/self/task").iterdir()
    )  # as the kernel counts, not only Python's own
    if threads > 1:
        raise CapabilityError(
            "network namespaces",
            f"not root, and a process with {threads} threads cannot enter a user namespace",
            f"run as root, or let the harness start before other threads do; or {fixes.NO_RIGHTS}",
        )
    if not may_leave:
        _enter_user_namespace()
    try:
        call("unshare", CLONE_NEWNET)
        _moved.set()
        _bring_up_loopback()
    except OSError as error:
        found = f"a user namespace was entered but gives no right to make them ({error})"
        raise CapabilityError("network namespaces", found, user_namespace_fix()) from error
    return "user namespace"


def has_own_network() -> bool:
    """Whether `ensure_privileges` has put this process into a network that nobody else is in."""
    return _moved.is_set()


def _enter_user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    try:
        call("unshare", CLONE_NEWUSER)
    except OSError as error:
        raise CapabilityError(
            "network namespaces",
            f"not root, and user namespaces are not allowed here ({error})",
            user_namespace_fix(),
        ) from error
    try:
        _write_text("/proc/self/setgroups", "deny")
        _write_text("/proc/self/uid_map", f"0 {uid} 1")
        _write_text("/proc/self/gid_map", f"0 {gid} 1")
    except OSError as error:
        raise CapabilityError(
            "network namespaces",
            f"a user namespace was made but not filled ({error})",
            user_namespace_fix(),
        ) from error


def user_namespace_fix() -> str:
    """What would allow user namespaces here, as a command."""
    for path, command in (
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("/proc/sys/kernel/unprivileged_userns_clone", "kernel.unprivileged_userns_clone=1"),
    ):
        wanted = command.rsplit("=", 1)[1]
        try:
            with open(path, encoding="ascii") as file:
                if file.read().strip() != wanted:
                    return f"run as root, or: sudo sysctl -w {command}; or {fixes.NO_RIGHTS}"
        except OSError:
            continue
    allowed = (
        "raise user.max_user_namespaces and let the container's seccomp profile allow unshare(2)"
    )
    return f"run as root, or {allowed}; or {fixes.NO_RIGHTS}"


def _bring_up_loopback() -> None:
    """ioctl(SIOCSIFFLAGS), netdevice(7): the process's own servers on localhost stay reachable."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(
            any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP | _IFF_RUNNING)
        )


def _try_namespaces() -> tuple[bool, bool]:
    """Whether a thread may make a network namespace, and whether it may come back from there.

    One thread tries it.
    """
    may_leave = may_return = False

    def attempt() -> None:
        nonlocal may_leave, may_return
        before = os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)
        may_leave = _libc.unshare(CLONE_NEWNET) == 0
        may_return = may_leave and _libc.setns(before, CLONE_NEWNET) == 0
        os.close(before)

    thread = threading.Thread(target=attempt)
    begin(thread)
    thread.join()
    while Path(f"/proc/self/task/{thread.native_id}").exists():
        # Joined is not gone, and a process counts as having threads until the kernel has seen to
        # it.
        os.sched_yield()
    return may_leave, may_return


def is_root() -> bool:
    """Whether this process is root of the machine, and not of a user namespace alone."""
    return os.geteuid() == 0 and _in_first_user_namespace()


def _in_first_user_namespace() -> bool:
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return file.read().split() == ["0", "0", "4294967295"]


def _write_text(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
