"""Which right this process lacks to read the sockets of other processes, and how to get it."""

from __future__ import annotations

from pathlib import Path

from harness.model.live_sockets import Unread

_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
_ROOT = "run as root, or with CAP_SYS_PTRACE"


def processes(number: int) -> Unread:
    """Whose descriptors may not be listed (proc(5), PTRACE_MODE_READ_FSCREDS)."""
    return Unread(
        what="process",
        number=number,
        why="/proc/PID/fd of other users' processes takes CAP_SYS_PTRACE",
        fix=_ROOT,
    )


def sockets(number: int) -> Unread:
    """That may not be duplicated (pidfd_getfd(2), PTRACE_MODE_ATTACH_REALCREDS)."""
    why, fix = "pidfd_getfd(2) takes CAP_SYS_PTRACE here", _ROOT
    scope = _yama_scope()
    if scope:
        why = f"pidfd_getfd(2) takes CAP_SYS_PTRACE, as kernel.yama.ptrace_scope is {scope}"
    if scope == "3":
        why, fix = (
            "kernel.yama.ptrace_scope is 3, which forbids pidfd_getfd(2) until the next boot",
            "boot with another kernel.yama.ptrace_scope",
        )
    return Unread(what="socket", number=number, why=why, fix=fix)


def networks(number: int) -> Unread:
    """Whose sysctls may not be read (setns(2), and ioctl SIOCGSKNS)."""
    return Unread(
        what="network namespace",
        number=number,
        why="reading its sysctls takes CAP_SYS_ADMIN and CAP_NET_ADMIN over it",
        fix="run as root",
    )


def unheld(number: int, refused: int) -> Unread:
    """Of this network, held by no process that could be read. `refused`: those that could not."""
    elsewhere = (
        "run harness audit outside this container if the process runs there; sockets of the "
        "kernel's own, such as an NFS mount's, cannot be read"
    )
    return Unread(
        what="socket",
        number=number,
        why="no process that could be read holds it",
        fix=_ROOT if refused else elsewhere,
    )


def _yama_scope() -> str:
    """kernel.yama.ptrace_scope where it restricts anything, else ""."""
    try:
        found = _YAMA.read_text(encoding="ascii").strip()
    except OSError:  # no Yama
        return ""
    return "" if found == "0" else found
