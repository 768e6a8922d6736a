"""Kernels for virtual time: User-Mode Linux, built from source with time travel, kept in the user's
cache.

A kernel is named after its release and HZ, as in "linux-7.2.13-hz1000": the timer wheel rounds in
jiffies, so HZ is part of what a test proves. Each has a folder of its own in the cache, which
appears whole or not at all:

    kernels/linux-7.2.13-hz1000-1a2b3c4d/   the last part: of source, configuration and HZ
        linux                               the executable
        manifest.json                       what it was made from, and how
        config                              its configuration, as the kernel's own tools wrote it
    kernels/logs/linux-7.2.13-hz1000-1a2b3c4d.log
    kernels/sources/                        tarballs that were fetched
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import msgspec

from harness.errors import CapabilityError, UsageError
from harness.system import fixes
from harness.system.kernel_seed import SEED_WORD
from harness.system.spelling import did_you_mean
from harness.system.user_dirs import cache_folder
from harness.venue import kernel_files, kernel_recipe, kernel_source
from harness.venue.kernel_source import Source

COMMAND = fixes.KERNEL_BUILD
MANIFEST_FILE = "manifest.json"
EXECUTABLE_FILE = "linux"
REQUIRED = (
    *(
        "UML_TIME_TRAVEL_SUPPORT",
        "HIGH_RES_TIMERS",
        "HOSTFS",
        "OVERLAY_FS",
        "TMPFS",
        "PROC_FS",
        "PROC_SYSCTL",
        "SYSFS",
    ),
    *(
        "FUTEX",
        "EPOLL",
        "TIMERFD",
        "PID_NS",
        "NET_NS",
        "USER_NS",
        "VETH",
        "BRIDGE",
        "IPV6",
        "PACKET",
        "NET_SCH_NETEM",
    ),
    *(
        "INET_DIAG",
        "INET_TCP_DIAG",
        "INET_DIAG_DESTROY",
        "NF_TABLES",
        "NF_TABLES_INET",
        "NF_TABLES_NETDEV",
    ),
    *("NF_CONNTRACK", "NF_CT_NETLINK", "NFT_CT", "NFT_REJECT", "NFT_REJECT_INET"),
)
"""Options that the harness cannot do without."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a kernel is and what it was made from.

    Times in UTC; `source` is None for a kernel that is not our own.

    `recipe`: see `kernel_recipe`. `seeded`: whether a seed decides the random numbers that programs
    get. `confines`: whether guests are kept from the host's files, see `kernel_files`.
    """

    release: str
    hz: int
    seccomp: bool
    compiler: str
    executable_sha256: str
    built: str
    took_s: float = 0.0
    key: str = ""
    recipe: str = ""
    seeded: bool = False
    confines: bool = False
    config_sha256: str = ""
    lacks: tuple[str, ...] = ()
    source: Source | None = None


class Kernel(msgspec.Struct, frozen=True):
    """A kernel that is ready to boot.

    `seccomp` in its manifest says whether it has the fast way to run processes.
    """

    name: str
    path: Path
    manifest: Manifest


def kernels_folder() -> Path:
    """Where kernels are kept: $XDG_CACHE_HOME/keepalive-harness/kernels."""
    return cache_folder() / "kernels"


def installed() -> list[Kernel]:
    """The kernels in the cache: those of the present recipe first, then by release, newest first,
    HZ, and age.

    Of several of the same release and HZ (another source or configuration) the last one built has
    the short name.
    """
    found = []
    for path in kernels_folder().glob(f"linux-*/{MANIFEST_FILE}"):
        try:
            manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
        except (OSError, msgspec.MsgspecError):
            continue
        executable = path.with_name(EXECUTABLE_FILE)
        if os.access(executable, os.X_OK):
            found.append(Kernel(path.parent.name, executable, manifest))
    today = kernel_recipe.recipe()
    found.sort(key=lambda kernel: (kernel.manifest.recipe == today, *_age(kernel)), reverse=True)
    taken: set[str] = set()
    named = []
    for kernel in found:
        short = name_of(kernel.manifest.release, kernel.manifest.hz)
        named.append(kernel if short in taken else msgspec.structs.replace(kernel, name=short))
        taken.add(short)
    return named


def _age(kernel: Kernel) -> tuple[object, ...]:
    return (
        kernel_source.version_key(kernel.manifest.release),
        kernel.manifest.hz,
        kernel.manifest.built,
    )


def name_of(release: str, hz: int) -> str:
    """The name of a kernel."""
    return f"linux-{release}-hz{hz}"


def find(name: str | None) -> Kernel:
    """The kernel of a name or at a path, by default the first of `installed`.

    Raises CapabilityError where there is none at all or the one at the path will not do, UsageError
    for a name or path where there is none.
    """
    if name is not None and os.sep in name:
        path = Path(name).resolve()
        manifest = check(path)
        return Kernel(name_of(manifest.release, manifest.hz), path, manifest)
    known = installed()
    if not known:
        raise CapabilityError(
            "virtual time",
            f"no kernel for it in {kernels_folder()}",
            f"{COMMAND} (once, {fixes.KERNEL_BUILD_TIME})",
        )
    if name is None:
        return known[0]
    for kernel in known:
        if name in (kernel.name, kernel.path.parent.name):
            return kernel
    names = [kernel.name for kernel in known]
    expected = f"{', '.join(names)}, or the path of a kernel"
    raise UsageError(f"--kernel: expected {expected}, found {name!r}{did_you_mean(name, names)}")


def current(hz: int) -> Kernel | None:
    """The newest kernel with this HZ that this version of the harness would build the same way, if
    there is one.
    """
    wanted = hz, kernel_recipe.recipe()
    return next(
        (
            kernel
            for kernel in installed()
            if (kernel.manifest.hz, kernel.manifest.recipe) == wanted
        ),
        None,
    )


def check(path: Path) -> Manifest:
    """The release and HZ that a kernel prints.

    Raises UsageError for a file that is no such kernel, CapabilityError for one that lacks what the
    harness needs.
    """
    if not path.is_file() or not os.access(path, os.X_OK):
        raise UsageError(f"--kernel: expected an executable file, found none at {path}")
    config = parse_config(_ask(path, "--showconfig"))
    if "UML" not in config:
        raise UsageError(
            f"--kernel: expected a User-Mode Linux kernel (its --showconfig), found none at {path}"
        )
    lacking = [option for option in REQUIRED if config.get(option) != "y"]
    if lacking:
        raise CapabilityError(
            f"kernel {path}", f"it was configured without {', '.join(lacking)}", COMMAND
        )
    octets = path.read_bytes()
    return Manifest(
        release=_ask(path, "--version").strip(),
        hz=int(config.get("HZ", "0")),
        seccomp="seccomp=" in _ask(path, "--help"),
        compiler=config.get("CC_VERSION_TEXT", "").strip('"'),
        executable_sha256=kernel_source.sha256(path),
        seeded=SEED_WORD.rstrip("=").encode() in octets,
        confines=kernel_files.VARIABLE.encode() in octets,
        built=utc(path.stat().st_mtime),
    )


def _ask(path: Path, option: str) -> str:
    """The output of the kernel for an option that only prints; empty where it does not end."""
    try:
        answer = subprocess.run(
            [str(path), option],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout


def parse_config(text: str) -> dict[str, str]:
    """Options to values, without CONFIG_; what is not set is not there."""
    return dict(re.findall(r"(?m)^CONFIG_(\w+)=(.*)$", text))


def utc(seconds: float) -> str:
    """A moment of the epoch, to the millisecond, in a form that sorts."""
    return (
        time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        + f".{int(seconds * 1000) % 1000:03d}Z"
    )
