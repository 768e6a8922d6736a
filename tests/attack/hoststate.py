"""What of this machine an attack must leave as it was: its network, sysctls, mounts and cgroups,
before and after.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from tests.conformance.traces import network

State: TypeAlias = Mapping[str, Sequence[str]]
"""By what it is: everything that there is of it, in words."""

_SYSCTLS = Path("/proc/sys")
_CGROUPS = Path("/sys/fs/cgroup")
VOLATILE = frozenset(
    {
        "fs/aio-nr",
        "fs/dentry-state",
        "fs/file-nr",
        "fs/inode-nr",
        "fs/inode-state",
        "fs/quota",
        "kernel/ns_last_pid",
        "kernel/pty/nr",
        "kernel/random",
        "net/netfilter/nf_conntrack_count",
    }
)
"""Sysctls that count or draw, or folders of such: they change by themselves."""

_DOCKERS = re.compile(r"(?:/var/lib/docker|/(?:var/)?run/docker|/.*/keepalive-docker\.[^/]+)/.+")
"""Mount points of a Docker daemon: it mounts for containers, and no attack has any."""


def now() -> dict[str, list[str]]:
    """The state of the namespaces that this process is in."""
    found = {
        what: [repr(item) for item in items]
        for what, items in network().items()
        if what != "sysctls"
    }
    found["sysctls"] = _sysctls(_SYSCTLS)
    found["mounts"] = mounts(Path("/proc/self/mountinfo").read_text())
    cgroups = (Path(folder) for folder, _, _ in os.walk(_CGROUPS))
    found["cgroups"] = [
        str(folder) for folder in cgroups if not (is_dockers(folder) or _is_others(folder))
    ]
    return found


def differences(before: State, after: State) -> list[str]:
    """A line for each thing that has come or gone."""
    lines = []
    for what in sorted({*before, *after}):
        was, now_is = Counter(before.get(what, ())), Counter(after.get(what, ()))
        lines += [f"{what}: gone: {item}" for item in sorted((was - now_is).elements())]
        lines += [f"{what}: new: {item}" for item in sorted((now_is - was).elements())]
    return lines


def mounts(mountinfo: str) -> list[str]:
    """The lines of proc_pid_mountinfo(5), but for a Docker daemon's: the fifth word is the mount
    point.
    """
    return [line for line in mountinfo.splitlines() if not _DOCKERS.fullmatch(line.split()[4])]


def is_dockers(cgroup: Path) -> bool:
    """Whether a cgroup is a container's of a Docker daemon: no attack has any."""
    return any(name == "docker" or name.startswith("docker-") for name in cgroup.parts)


def _is_others(cgroup: Path) -> bool:
    """Whether it lies beside that of this process, where it comes and goes with another program's
    jobs.

    Of a hierarchy in which this process is in /jobs/7, those are the other ones in /jobs.
    """
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        own = line.split(":", 2)[2].strip("/")
        names = [name for name in line.split(":")[1].split(",") if name] or [""]
        for name in names:
            here = _CGROUPS / name / own
            siblings = here.parent in cgroup.parents and own
            if siblings and here != cgroup and here not in cgroup.parents:
                return True
    return False


def _sysctls(root: Path) -> list[str]:
    """Those that can be read, as NAME = VALUE."""
    found = []
    for folder, folders, files in os.walk(root):
        here = Path(folder).relative_to(root)
        folders[:] = [name for name in folders if str(here / name) not in VOLATILE]
        for name in files:
            if str(here / name) in VOLATILE:
                continue
            try:
                found.append(
                    f"{here / name} = {Path(folder, name).read_text(errors='replace').strip()}"
                )
            except OSError:  # write-only, or a secret
                continue
    return found
