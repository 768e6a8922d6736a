"""What a run's programs leave behind: every process with the run's mark, or in a network of the
run, ends with it.

A daemon leaves its program's session and gets another parent, so no tree of processes tells whose
it is. Two things it keeps: the environment that it was started with, with a token of its own
(`MARK_VARIABLE`), unless it clears it; and the network namespace, unless it makes one of its own.
Threads of this process that are in such a network are left alone.

A process that may be another's is left, and named.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.errors import LabError
from harness.lab import origin
from harness.lab.namespace import Network, network_of
from harness.lab.origin import Origin
from harness.system import process_tree

MARK_VARIABLE = "KEEPALIVE_HARNESS_MARK"
MOST_ROUNDS = 100
"""How often all processes are looked at, as those that are found may be starting others."""
_SHOWS_S = 0.01
"""When the environment of a program shows after its start at the latest
(fs/binfmt_elf.c:create_elf_tables).
"""
DYING_S = 5.0
"""How long processes that were killed may take to be gone.

One in the middle of a write to a disk needs a moment.
"""
_LOOKS = 30
"""At what has not been seen: a chain, in which each process starts the next one, may miss one."""
_MOST_PROCESSES = 1 << 22
"""PID_MAX_LIMIT."""
LOOK_S = 0.0001
"""How often a process that is about to stop is looked at.

Not sched_yield(2), which gives way to equals alone.
"""
_STOPPING_S = 0.01
"""How long a process may take to stand still after SIGSTOP before its group is left for another
look.
"""


class Owned(msgspec.Struct, frozen=True):
    """Whose processes are to end: of a token, a session (`harness.system.process_tree`) or a
    network.

    `what`: the thing that they belong to, in words. `origin`: where and since when they can exist;
    None: this process has just started them, or it is not known.
    """

    what: str
    token: str = ""
    session: int = 0
    born: int = 0
    network: Network | None = None
    origin: Origin | None = None

    @property
    def is_possible(self) -> bool:
        """Whether it can have processes: whether it is of this boot, as far as is known."""
        return self.origin is None or self.origin.is_of_this_boot


class Ended(NamedTuple):
    """A line for each process that is gone now.

    And why others may still be there, with what they belong to.
    """

    done: list[str]
    left: list[tuple[Owned, str]]


class _Look(NamedTuple):
    """What became of the processes that were found, by their IDs: gone, not gone yet, not ours to
    signal.
    """

    gone: dict[int, Owned]
    stuck: dict[int, Owned]
    refused: dict[int, Owned]


def end(owned: Collection[Owned], *, held: bool = False) -> Ended:
    """SIGKILL to all of their processes, until none is left.

    One that has not ended after `DYING_S` is waited for no longer: it ends as soon as the kernel
    lets it. `held`: this process has started them and holds the networks open, so that their inode
    numbers cannot be others' by now.
    """
    lines: dict[int, str] = {}
    unseen = (
        {each.token for each in owned if each.token and each.is_possible} if not held else set()
    )
    passed_over: dict[int, Owned] = {}
    looks = _LOOKS
    left = []
    for _ in range(MOST_ROUNDS if owned else 0):
        look = _end_once(_Wanted(owned, held=held), passed_over)
        lines |= {pid: f"removed process {pid} ({each.what})" for pid, each in look.gone.items()}
        unseen -= {each.token for each in look.gone.values()}
        passed_over |= look.refused
        if look.stuck:
            words = f"it has not ended {DYING_S:g} s after SIGKILL"
            left += [(each, f"process {pid}: {words}") for pid, each in look.stuck.items()]
            break
        if not look.gone:
            looks -= 1
            if not unseen or not looks:
                break
            time.sleep(_SHOWS_S)  # it may have been started just now
    else:
        left += [
            (each, "its processes start others faster than they can be ended") for each in owned
        ]
    left += [
        (each, f"process {pid}: not permitted to end it; run as its user")
        for pid, each in passed_over.items()
    ]
    if not held:
        left += _suspects(owned)
    return Ended(list(lines.values()), left)


def of(owned: Owned) -> dict[int, int]:
    """The processes of what this process has started, and holds: ID to birth (see
    `process_tree.born`).
    """
    wanted = _Wanted([owned], held=True)
    found = {pid: process_tree.born(pid) for pid in _all() if wanted.owner(pid) is not None}
    return {pid: born for pid, born in found.items() if born}


def strays(network: Network) -> dict[int, int]:
    """The processes in a network of the run that neither have a mark nor descend from this process:
    ID to birth.

    They can only be what a program on its host left behind, with another environment. Process 1, as
    which the harness runs in a guest, gets all that is left behind for children.
    """
    parents = {pid: each.parent for pid, each in process_tree.everyone().items()}
    return {
        pid: born
        for pid, born in of(Owned("", network=network)).items()
        if not (_descends(pid, parents) or mark_of(pid))
    }


def _descends(pid: int, parents: Mapping[int, int]) -> bool:
    while pid > 1 and pid != os.getpid():
        pid = parents.get(pid, 0)
    return pid == os.getpid() != 1


def _all() -> list[int]:
    """Every process but this one, the latest first: of a chain, in which each starts the next, only
    that is there.

    The number of the latest is the last word of /proc/loadavg (fs/proc/loadavg.c). Higher ones are
    older: the kernel begins anew with low numbers after the highest.
    """
    names = os.listdir("/proc")  # noqa: PTH208 - it is done often
    with open("/proc/loadavg", encoding="ascii") as file:
        latest = int(file.read().split()[-1])
    found = (int(name) for name in names if name.isdigit() and int(name) != os.getpid())
    return sorted(found, key=lambda pid: (latest - pid) % _MOST_PROCESSES)


def _end_once(wanted: _Wanted, but: Collection[int]) -> _Look:
    """One look at every process."""
    found: dict[int, Owned] = {}
    refused: dict[int, Owned] = {}
    dying: dict[int, int] = {}
    with ExitStack() as stack:
        for pid in _all():
            if pid in but or wanted.owner(pid) is None:
                continue
            try:
                # The descriptor pins the process, so that the one killed is the one looked at, here
                # once more.
                process = os.pidfd_open(pid)
            except OSError:
                continue
            stack.callback(os.close, process)
            owner = wanted.owner(pid)
            if owner is None:
                continue
            try:
                _end_group(wanted, pid, process)
                signal.pidfd_send_signal(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
            except PermissionError:
                refused[pid] = owner
                continue
            found[pid], dying[pid] = owner, process
        stuck = _await_ends(dying)
    gone = {pid: owner for pid, owner in found.items() if pid not in stuck}
    return _Look(gone, {pid: found[pid] for pid in stuck}, refused)


def _end_group(wanted: _Wanted, pid: int, process: int) -> None:
    """SIGKILL to all of a process's group at once, where there is nobody else in it.

    In a chain each process starts the next one and ends, and is gone before it is killed; its group
    stays. The process stands still meanwhile, so that the number is that of its group. Raises
    OSError.
    """
    signal.pidfd_send_signal(process, signal.SIGSTOP)
    deadline = time.monotonic() + _STOPPING_S
    while (seen := process_tree.read(pid)) is not None and seen.state not in b"TtZX":
        if time.monotonic() > deadline:
            return
        time.sleep(LOOK_S)
    if seen is None or seen.has_ended or seen.group in (0, os.getpgrp()):
        return
    group = [other for other, each in process_tree.everyone().items() if each.group == seen.group]
    if not any(wanted.owner(other) is None and _is_there(other) for other in group):
        os.killpg(seen.group, signal.SIGKILL)


def _is_there(pid: int) -> bool:
    found = process_tree.read(pid)
    return found is not None and not found.has_ended


def _suspects(owned: Collection[Owned]) -> Iterator[tuple[Owned, str]]:
    """Processes that may be of what a harness left that is gone, or be others': each with the
    reason.
    """
    for each in owned:
        if each.origin is None or not each.is_possible:
            continue
        if each.origin.is_numbered_here:
            why = (
                "its session has the number of this program's, whose first process is gone; if "
                "it is yours, end it"
            )
            yield from (
                (each, f"process {pid}: {why}")
                for pid in process_tree.orphans(each.session, each.born)
            )
        elif not origin.sees_everything():
            where = f"another PID namespace (pid:[{each.origin.pids}])"
            yield (
                each,
                (
                    f"it was started in {where}: clean there, or remove the ledger when its "
                    "container is gone"
                ),
            )
    tokens = {each.token: each for each in owned if each.token and each.is_possible}
    wanted = _Wanted(owned, held=False)
    for pid in _all() if tokens else ():
        marked = tokens.get(mark_of(pid))
        if marked is not None and wanted.owner(pid) is None and _is_there(pid):
            why = (
                "it has this program's mark, but another origin than the ledger says; if it is "
                "yours, end it"
            )
            yield marked, f"process {pid}: {why}"


class _Wanted:
    """What is looked for, in the order of what it costs to look."""

    def __init__(self, owned: Collection[Owned], *, held: bool) -> None:
        self._held = held
        possible = [each for each in owned if each.is_possible]
        self._members = {
            pid: (born, each)
            for each in possible
            if (held if each.origin is None else each.origin.is_numbered_here)
            for pid, born in process_tree.members(each.session, each.born).items()
        }
        self._tokens: Mapping[str, Owned] = {each.token: each for each in possible if each.token}
        self._inodes: Mapping[int, Owned] = {
            each.network.inode: each for each in possible if each.network is not None
        }

    def owner(self, pid: int) -> Owned | None:
        """Whose a process is; None where it is of nobody, may be another's, or is gone already."""
        found = self._by_network(pid)
        if found is None and pid in self._members:
            born, found = self._members[pid]
            found = found if process_tree.born(pid) == born else None
        if found is None and self._tokens:
            found = self._tokens.get(mark_of(pid))
            found = found if found is not None and self._agrees(found.origin, pid) else None
        return found

    def _agrees(self, said: Origin | None, pid: int) -> bool:
        """Whether a process with the mark can be the one that was announced, and no other one that
        bears it.
        """
        if said is None:
            return self._held
        here = said.is_numbered_here or said.pids == origin.pid_namespace(pid)
        return here and process_tree.born(pid) >= said.since

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
    found = (
        variable.removeprefix(marker) for variable in environment if variable.startswith(marker)
    )
    return next(found, b"").decode(errors="replace")


def _await_ends(dying: Mapping[int, int]) -> list[int]:
    """Wait until processes, by their IDs with descriptors, have ended, `DYING_S` at most.

    Those that have not.
    """
    deadline = time.monotonic() + DYING_S
    stuck = []
    for pid, process in dying.items():
        poller = select.poll()
        poller.register(process, select.POLLIN)
        if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
            stuck.append(pid)
    return stuck


def end_everything_else() -> None:
    """As process 1 of a guest: SIGKILL to every other process, and wait until they are gone
    (kill(2), pid -1).

    Raises LabError in any other process, which would end what is not its own.
    """
    if os.getpid() != 1:
        raise LabError(f"expected to be process 1 of a guest, found process {os.getpid()}")
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
