"""Init of a guest: mounts what programs expect, does its job, leaves the result and powers off.

The guest's root is the host's file tree (hostfs, read-only). An overlay with a tmpfs on top makes
it look writable without writing anything into it; only the folders that the job names are mounted
through to the host.

Runs as process 1 by `python -P -s -S init.py`, with the standard library alone: every look-up of a
file is slow there. Both are links in the job's folder.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import sys
import traceback

JOB_VARIABLE = "HARNESS_JOB"
"""Names the job folder on the kernel's command line; its path has no blanks."""
JOB_FILE, BEGUN_FILE, STATUS_FILE, ERROR_FILE = "job.json", "begun", "status", "error"
SETTINGS = {"/sys/module/hostfs/parameters/sealed": "1", "/proc/sys/kernel/io_uring_disabled": "2"}
"""Files of the guest's kernel that are written before the job begins.

From then on nothing more can be mounted from the host, see `kernel_files`. io_uring is off (EPERM),
as libraries expect that and go on without it: its polling thread (IORING_SETUP_SQPOLL) spins in the
kernel until some time has passed, and while it does so none passes.
"""
OWN_TREES = {"proc": "/proc", "sysfs": "/sys", "devtmpfs": "/dev", "tmpfs": "/run"}
"""Kinds of file systems, and where a guest has one of its own: what the host has below that, it
does not see.
"""
_STAGES = ("/run", "/mnt", "/tmp", "/dev")
"""Where the new root is put together: a folder that the tree has anyway.

Small containers lack the first ones.
"""
_MNT_DETACH = 2
_RB_POWER_OFF = 0x4321FEDC
_SIOCSIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8914, 0x1, 0x40
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(kind: str, target: str, source: str = "none", data: str = "") -> None:
    """Mount a file system; makes the target where it is missing."""
    os.makedirs(target, exist_ok=True)
    _check(
        _libc.mount(source.encode(), target.encode(), kind.encode(), 0, data.encode()),
        f"mount {kind} on {target}",
    )


def take_root(folders: list[str]) -> None:
    """Put an overlay over the host's tree and make it the root.

    Mount `folders` through to the host.
    """
    stage = next(folder for folder in _STAGES if os.path.isdir(folder))
    mount("tmpfs", stage, data="mode=755")
    root = f"{stage}/root"
    for name in ("upper", "work"):
        os.mkdir(f"{stage}/{name}")
    mount("overlay", root, data=f"lowerdir=/,upperdir={stage}/upper,workdir={stage}/work")
    for kind, folder in OWN_TREES.items():
        mount(kind, root + folder)
    mount("devpts", f"{root}/dev/pts", data="ptmxmode=666,mode=620")
    mount("tmpfs", f"{root}/dev/shm", data="mode=1777")
    for name, target in (("fd", "/proc/self/fd"), ("ptmx", "pts/ptmx")):
        if not os.path.lexists(f"{root}/dev/{name}"):
            os.symlink(target, f"{root}/dev/{name}")
    for folder in folders:
        mount("hostfs", root + folder, data=folder)
    os.chdir(root)
    _check(_libc.pivot_root(b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _MNT_DETACH), "umount the old root")
    os.chdir("/")


def settle() -> None:
    """Write `SETTINGS`, as far as this kernel has them."""
    for path, value in SETTINGS.items():
        if os.path.exists(path):
            with open(path, "w", encoding="ascii") as file:
                file.write(value)


def bring_up_loopback() -> None:
    """`lo` up in the first network namespace, as on any machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP | _IFF_RUNNING))


def do_job(job: dict[str, object]) -> int:
    """Import the job's module and call its `main(job)`; returns the job's exit status."""
    path = job["sys_path"]
    assert isinstance(path, list)
    sys.path[:] = path
    sys.executable = str(job["python"])
    import importlib

    return int(importlib.import_module(str(job["module"])).main(job))


def begin(folder: str) -> None:
    """Leave a mark.

    A guest that is rebooted starts over, but its job has been begun and is not done twice.
    """
    try:
        os.close(os.open(f"{folder}/{BEGUN_FILE}", os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        raise RuntimeError(
            "the guest was rebooted from within; its job is not begun again"
        ) from None


def main() -> None:
    """Process 1. Never returns."""
    folder = os.environ[JOB_VARIABLE]
    try:
        with open(f"{folder}/{JOB_FILE}", encoding="utf-8") as file:
            job = json.load(file)
        take_root(job["write"])
        begin(folder)
        settle()
        bring_up_loopback()
        status = do_job(job)
        with open(f"{folder}/{STATUS_FILE}", "w", encoding="ascii") as file:
            file.write(str(status))
    except BaseException:  # noqa: BLE001 - there is nobody above to tell
        text = traceback.format_exc()
        sys.stdout.write(text)
        with open(f"{folder}/{ERROR_FILE}", "w", encoding="utf-8") as file:
            file.write(text)
    sys.stdout.flush()
    os.sync()
    _libc.reboot(_RB_POWER_OFF)


if __name__ == "__main__":
    main()
