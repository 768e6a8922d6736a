"""Starts a program inside a container: in the namespaces and control groups of the container's
first process.

Nearly as `docker exec` does, but as a child of this process, with its pipes and its exit status,
and as root with all rights: the image's user, working directory and dropped capabilities do not
apply. What is done to the container, such as pausing it, is done to it too.
"""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from harness.lab.namespace import CLONE_NEWNET, call
from harness.system.threads import begin

_CLONE_FS = 0x200
_NAMESPACES = (
    ("ipc", 0x08000000),
    ("uts", 0x04000000),
    ("net", CLONE_NEWNET),
    ("pid", 0x20000000),  # for children; the thread itself stays where it is
    ("mnt", 0x00020000),  # last: from there on /proc is the container's
)


def popen(container_pid: int, *arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
    """subprocess.Popen inside the container of a process. Raises OSError."""
    with ExitStack() as stack:
        doors = []
        for name, flag in _NAMESPACES:
            door = os.open(f"/proc/{container_pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, door)
            doors.append((door, flag))
        started = _in_thread(doors, arguments, options)
    try:
        _join_groups(container_pid, started.pid)
    except OSError:
        started.kill()
        started.wait()
        raise
    return started


def _in_thread(
    doors: list[tuple[int, int]], arguments: tuple[Any, ...], options: dict[str, Any]
) -> subprocess.Popen[bytes]:
    """Start it from a thread that goes into the container, never comes back, and ends."""
    results: list[subprocess.Popen[bytes]] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            call(
                "unshare", _CLONE_FS
            )  # so that the other threads keep their root and working directory
            for door, flag in doors:
                call("setns", door, flag)
            results.append(subprocess.Popen(*arguments, **options))
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    thread = threading.Thread(target=work, name="inside")
    begin(thread)
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _join_groups(container_pid: int, pid: int) -> None:
    """Put a process into a container's control groups, of either version (cgroups(7)).

    Raises OSError.
    """
    for line in Path(f"/proc/{container_pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        folder = _mounted(controllers)
        if folder is not None and path != "/":
            with suppress(ProcessLookupError):  # it has ended already
                (folder / path.lstrip("/") / "cgroup.procs").write_text(str(pid))


def _mounted(controllers: str) -> Path | None:
    """Where a hierarchy is mounted: that of the unified one has no controllers here.

    None where it is not.
    """
    wanted = {part.removeprefix("name=") for part in controllers.split(",")} - {""}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, shown = after.split(" ", 2)
        root, folder = before.split()[3:5]
        if root != "/":
            continue
        if kind == "cgroup2" and not wanted:
            return Path(folder)
        if (
            kind == "cgroup"
            and wanted
            and wanted <= {part.removeprefix("name=") for part in shown.split(",")}
        ):
            return Path(folder)
    return None
