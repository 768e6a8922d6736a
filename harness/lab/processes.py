"""What a run's programs leave behind: every process with the run's mark, or in a network of the run, ends with it.

A daemon leaves its program's session and gets another parent, so no tree of processes tells whose it is. Two things it
keeps: the environment that it was started with, with a token of its own (`MARK_VARIABLE`), unless it clears it; and the
network namespace, unless it makes one of its own. Threads of this process that are in such a network are left alone.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Collection, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec

from harness.errors import LabError
from harness.lab import family
from harness.lab.namespace import Network, network_of

MARK_VARIABLE = "KEEPALIVE_HARNESS_MARK"
MOST_ROUNDS = 100
"""How often all processes are looked at, as those that are found may be starting others."""
_SHOWS_S = 0.01
"""When the environment of a program shows after its start at the latest (fs/binfmt_elf.c:create_elf_tables)."""
_DYING_S = 5.0
"""How long processes that were killed may take to be gone; one in the middle of a write to a disk needs a moment."""


class Owned(msgspec.Struct, frozen=True):
    """Whose processes are to end: of a token, a session (see `harness.lab.family`) or a network; any of them will do.

    `what`: the thing that they belong to, in words.
    """

    what: str
    token: str = ""
    session: int = 0
    born: int = 0
    network: Network | None = None


def end(owned: Collection[Owned], *, held: bool = False) -> list[str]:
    """SIGKILL to all of their processes, until none is left; a line for each, now gone. Raises LabError.

    One that has not ended after `_DYING_S` is waited for no longer: it ends as soon as the kernel lets it. `held`: this
    process holds the networks open, so that their inode numbers cannot be others' by now.
    """
    lines: dict[int, str] = {}
    unseen = {each.token for each in owned if each.token} if not held else set()
    for _ in range(MOST_ROUNDS if owned else 0):
        found, stuck = _end_once(owned, held=held)
        lines |= {pid: f"removed process {pid} ({each.what})" for pid, each in found.items()}
        unseen -= {each.token for each in found.values()}
        if stuck:
            break
        if not found:
            if not unseen:
                break
            unseen.clear()  # it may have been started just now
            time.sleep(_SHOWS_S)
    return list(lines.values())


def _end_once(owned: Collection[Owned], *, held: bool) -> tuple[dict[int, Owned], list[int]]:
    """One look at every process; those that were found, and are gone, by their ID, and those that are not gone."""
    wanted = _Wanted(owned, held=held)
    found: dict[int, Owned] = {}
    dying: dict[int, int] = {}
    with ExitStack() as stack:
        for name in os.listdir("/proc"):  # noqa: PTH208 - it is done often
            if not name.isdigit() or int(name) == os.getpid() or wanted.owner(int(name)) is None:
                continue
            try:
                # The descriptor pins the process, so that the one killed is the one looked at, here once more.
                process = os.pidfd_open(int(name))
            except OSError:
                continue
            stack.callback(os.close, process)
            owner = wanted.owner(int(name))
            if owner is None:
                continue
            try:
                signal.pidfd_send_signal(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
            except PermissionError as error:
                raise LabError(f"expected to end process {name}, found {error.strerror}; run as its user") from error
            found[int(name)], dying[int(name)] = owner, process
        stuck = _await_ends(dying)
    return {pid: owner for pid, owner in found.items() if pid not in stuck}, stuck


class _Wanted:
    """What is looked for, in the order of what it costs to look."""

    def __init__(self, owned: Collection[Owned], *, held: bool) -> None:
        self._held = held
        self._members = {pid: each for each in owned for pid in family.members(each.session, each.born)}
        self._tokens: Mapping[str, Owned] = {each.token: each for each in owned if each.token}
        self._inodes: Mapping[int, Owned] = {each.network.inode: each for each in owned if each.network is not None}

    def owner(self, pid: int) -> Owned | None:
        """Whose a process is; None where it is of nobody, or gone already."""
        found = self._by_network(pid) or self._members.get(pid)
        return self._tokens.get(mark_of(pid)) if found is None and self._tokens else found

    def _by_network(self, pid: int) -> Owned | None:
        try:
            inode = os.stat(f"/proc/{pid}/ns/net").st_ino if self._inodes else 0  # noqa: PTH116 - it is done often
        except OSError:  # another user's, or it has ended
            return None
        found = self._inodes.get(inode)
        if found is None or self._held:
            return found
        return found if found.network == network_of(pid) else None


def mark_of(pid: int) -> str:
    """The token in the environment of a process; "" where there is none to be seen."""
    marker = f"{MARK_VARIABLE}=".encode()
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    found = (variable.removeprefix(marker) for variable in environment if variable.startswith(marker))
    return next(found, b"").decode(errors="replace")


def _await_ends(dying: Mapping[int, int]) -> list[int]:
    """Wait until processes, by their IDs with descriptors, have ended, `_DYING_S` at most; those that have not."""
    deadline = time.monotonic() + _DYING_S
    stuck = []
    for pid, process in dying.items():
        poller = select.poll()
        poller.register(process, select.POLLIN)
        if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
            stuck.append(pid)
    return stuck


def end_everything_else() -> None:
    """As process 1 of a guest: SIGKILL to every other process, and wait until they are gone (kill(2), pid -1).

    Raises LabError in any other process, which would end what is not its own.
    """
    if os.getpid() != 1:
        raise LabError(f"expected to be process 1 of a guest, found process {os.getpid()}")
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
