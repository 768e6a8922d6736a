"""Kernels for virtual time: User-Mode Linux, built from source with time travel, kept in the user's cache.

A kernel is named after its release and HZ, as in "linux-7.2.13-hz1000": the timer wheel rounds in jiffies, so HZ is
part of what a test proves. Each has a folder of its own in the cache, which appears whole or not at all:

    kernels/linux-7.2.13-hz1000-1a2b3c4d/   the last part: of source, configuration and HZ
        linux                               the executable
        manifest.json                       what it was made from, and how
        config                              its configuration, as the kernel's own tools wrote it
    kernels/logs/linux-7.2.13-hz1000-1a2b3c4d.log
    kernels/sources/                        tarballs that were fetched

UML's Kconfig hard-wires HZ to 100. The source is not patched for another one: of several definitions of a symbol
Kconfig takes the first one's default, so the tree is configured through a copy of its top Kconfig with that definition
put first. Some files are changed (`CHANGES`), and make finds the changed ones among what it builds before the
originals: both also hold for a tree that must not be written to.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from harness import mends
from harness.errors import CapabilityError, UsageError
from harness.lab.ledger import LEDGER
from harness.lab.places import cache_folder
from harness.lab.processes import MARK_VARIABLE
from harness.spelling import did_you_mean
from harness.system.kernel_seed import SEED_WORD
from harness.venue import kernel_patch, kernel_random, kernel_source
from harness.venue.kernel_source import Progress, Source

CONFIG = Path(__file__).with_name("kernel.config")
COMMAND = mends.KERNEL_BUILD
MANIFEST_FILE = "manifest.json"
EXECUTABLE_FILE = "linux"
DEFAULT_HZ = 1000
EXPECTED_STEPS = 1470
"""Lines that make prints for Linux 7.2 with this configuration; another version's count differs by some percent."""
FREE_BYTES = 1_500_000_000
"""Of which the unpacked tree takes 0.5 GB, what is built 0.15 GB, and a tarball and the package it came in 0.33 GB."""

REQUIRED = (
    *("UML_TIME_TRAVEL_SUPPORT", "HIGH_RES_TIMERS", "HOSTFS", "OVERLAY_FS", "TMPFS", "PROC_FS", "PROC_SYSCTL", "SYSFS"),
    *("FUTEX", "EPOLL", "TIMERFD", "PID_NS", "NET_NS", "USER_NS", "VETH", "BRIDGE", "IPV6", "PACKET", "NET_SCH_NETEM"),
    *("INET_DIAG", "INET_TCP_DIAG", "INET_DIAG_DESTROY", "NF_TABLES", "NF_TABLES_INET", "NF_TABLES_NETDEV"),
    *("NF_CONNTRACK", "NF_CT_NETLINK", "NFT_CT", "NFT_REJECT", "NFT_REJECT_INET"),
)
"""Options that the harness cannot do without."""

TOOLS = {"gcc": "gcc", "ld": "binutils", "make": "make", "flex": "flex", "bison": "bison", "bc": "bc", "tar": "tar",
         "xz": "xz-utils"}  # fmt: skip
"""Programs that a build needs, with their packages. Not libelf, of which kernel guides speak: UML has no objtool."""

CHANGES: Mapping[str, Mapping[str, Callable[[str], str | None]]] = {
    "an exact clock": {kernel_patch.FILE: kernel_patch.with_exact_clock},
    "seeded random numbers": {
        kernel_random.RANDOM_FILE: kernel_random.with_seeded_reads,
        kernel_random.START_FILE: kernel_random.with_seeded_start,
    },
}
"""What the harness changes in a source, by what a kernel has by it: each file with what becomes of it."""

_OTHER_ARCHITECTURES = (
    *("alpha", "arc", "arm", "arm64", "csky", "hexagon", "loongarch", "m68k", "microblaze", "mips", "nios2"),
    *("openrisc", "parisc", "powerpc", "riscv", "s390", "sh", "sparc", "xtensa"),
)
_IDLE_DRIVERS = (
    *("accel", "clk", "crypto", "gpu", "hwmon", "iio", "infiniband", "input", "media", "mtd", "net/ethernet"),
    *("net/wireless", "pinctrl", "platform", "scsi", "soc", "staging", "usb", "video"),
)
NOT_UNPACKED = (
    *(f"*/arch/{name}/{files}" for name in _OTHER_ARCHITECTURES for files in ("boot/*", "*.[chS]")),
    *(f"*/drivers/{name}/*.[ch]" for name in _IDLE_DRIVERS),
    *(f"*/Documentation/{name}" for name in ("ABI/*", "*.rst", "*.txt", "*.yaml")),
    *("*/sound/*/*.[ch]", "*/tools/perf/*", "*/tools/testing/*"),
)
"""Two thirds of the tree that nothing compiled here depends on. Kconfig and Makefiles stay: make reads them all."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a kernel is and what it was made from. Times in UTC; `source` is None for a kernel that is not our own.

    `recipe`: of the configuration and our changes to the source, see `recipe()`. `seeded`: whether a seed decides the
    random numbers that programs get.
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
    config_sha256: str = ""
    lacks: tuple[str, ...] = ()
    source: Source | None = None


class Kernel(msgspec.Struct, frozen=True):
    """A kernel that is ready to boot. `seccomp` in its manifest says whether it has the fast way to run processes."""

    name: str
    path: Path
    manifest: Manifest


def _silent(text: str, fraction: float | None) -> None:
    pass


def _untried(kernel: Kernel) -> None:
    pass


def kernels_folder() -> Path:
    """Where kernels are kept: $XDG_CACHE_HOME/keepalive-harness/kernels."""
    return cache_folder() / "kernels"


# --- kernels that are there ----------------------------------------------------------------------------


def installed() -> list[Kernel]:
    """The kernels in the cache: those of the present recipe first, then by release, newest first, HZ, and age.

    Of several of the same release and HZ (another source or configuration) the last one built has the short name.
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
    today = recipe()
    found.sort(key=lambda kernel: (kernel.manifest.recipe == today, *_age(kernel)), reverse=True)
    taken: set[str] = set()
    named = []
    for kernel in found:
        short = _name(kernel.manifest.release, kernel.manifest.hz)
        named.append(kernel if short in taken else msgspec.structs.replace(kernel, name=short))
        taken.add(short)
    return named


def _age(kernel: Kernel) -> tuple[object, ...]:
    return kernel_source.version_key(kernel.manifest.release), kernel.manifest.hz, kernel.manifest.built


def _name(release: str, hz: int) -> str:
    return f"linux-{release}-hz{hz}"


def find(name: str | None) -> Kernel:
    """The kernel of a name or at a path, by default the first of `installed`.

    Raises CapabilityError where there is none at all or the one at the path will not do, UsageError for a name or path
    where there is none.
    """
    if name is not None and os.sep in name:
        path = Path(name).resolve()
        manifest = check(path)
        return Kernel(_name(manifest.release, manifest.hz), path, manifest)
    known = installed()
    if not known:
        raise CapabilityError(
            "virtual time", f"no kernel for it in {kernels_folder()}", f"{COMMAND} (once, {mends.KERNEL_BUILD_TIME})"
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
    """The newest kernel with this HZ that this version of the harness would build the same way, if there is one."""
    wanted = hz, recipe()
    return next((kernel for kernel in installed() if (kernel.manifest.hz, kernel.manifest.recipe) == wanted), None)


def check(path: Path) -> Manifest:
    """What a kernel says of itself.

    Raises UsageError for a file that is no such kernel, CapabilityError for one that lacks what the harness needs.
    """
    if not path.is_file() or not os.access(path, os.X_OK):
        raise UsageError(f"--kernel: expected an executable file, found none at {path}")
    config = parse_config(_ask(path, "--showconfig"))
    if "UML" not in config:
        raise UsageError(f"--kernel: expected a User-Mode Linux kernel (its --showconfig), found none at {path}")
    lacking = [option for option in REQUIRED if config.get(option) != "y"]
    if lacking:
        raise CapabilityError(f"kernel {path}", f"it was configured without {', '.join(lacking)}", COMMAND)
    return Manifest(
        release=_ask(path, "--version").strip(),
        hz=int(config.get("HZ", "0")),
        seccomp="seccomp=" in _ask(path, "--help"),
        compiler=config.get("CC_VERSION_TEXT", "").strip('"'),
        executable_sha256=kernel_source.sha256(path),
        seeded=SEED_WORD.rstrip("=").encode() in path.read_bytes(),
        built=_utc(path.stat().st_mtime),
    )


def _ask(path: Path, option: str) -> str:
    """What the kernel prints for an option that makes it print something and end; nothing where it does otherwise."""
    try:
        answer = subprocess.run(
            [str(path), option], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout


def parse_config(text: str) -> dict[str, str]:
    """Options to values, without CONFIG_; what is not set is not there."""
    return dict(re.findall(r"(?m)^CONFIG_(\w+)=(.*)$", text))


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}Z"


# --- building ------------------------------------------------------------------------------------------


class _Site(msgspec.Struct, frozen=True):
    """One build: where it happens, and what of."""

    work: Path
    tree: Path
    name: str
    log: Path

    @property
    def objects(self) -> Path:
        return self.work / "objects"


def build(
    hz: int = DEFAULT_HZ,
    source: Path | None = None,
    jobs: int | None = None,
    progress: Progress = _silent,
    trial: Callable[[Kernel], None] = _untried,
) -> Kernel:
    """Build a kernel, or find it built from the same source and configuration already.

    1. look for the tools  2. locate the source  3. wait for whoever builds the same  4. unpack  5. configure, and see
    that what is needed was understood  6. compile  7. ask the kernel what it is  8. try it out  9. put it into the
    cache in one move

    `trial` raises CapabilityError for a kernel that does not work on this machine, see `harness.venue.trial`.
    Raises UsageError (HZ, source), CapabilityError (tools, source, room, options, a failed compilation or trial).
    """
    if not 100 <= hz <= 1000:
        raise UsageError(f"--hz: expected 100 to 1000, what Linux is built with, found {hz}")
    check_tools(source)
    folder = _room()
    found = kernel_source.locate(source, folder / "sources", progress)
    key = key_of(found, hz)
    with kernel_source.locked(folder / f".lock-{key}", lambda: progress("waiting for another build of it", None)):
        for kernel in installed():
            if kernel.manifest.key == key:
                progress(f"{kernel.name} is built already", 1.0)
                return kernel
        work = folder / f".build-{key}"
        shutil.rmtree(work, ignore_errors=True)  # of a build that was killed
        try:
            final = _build(work, found, key, hz, jobs or len(os.sched_getaffinity(0)), progress, trial)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        kernel = next(kernel for kernel in installed() if kernel.path.parent == final)
    progress(f"{kernel.name} is built", 1.0)
    return kernel


def key_of(source: Source, hz: int) -> str:
    """What tells builds apart: source, recipe and HZ, as eight hexadecimal digits."""
    return _digest(source.sha256, recipe(), str(hz))


def recipe() -> str:
    """What this version of the harness makes of a source: configuration and changes, as eight hexadecimal digits."""
    return _digest(CONFIG.read_text(encoding="utf-8"), kernel_patch.CHANGE, kernel_random.CHANGE)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]


def check_tools(source: Path | None = None) -> None:
    """Raises CapabilityError with all that is missing and one command that brings it."""
    if platform.machine() != "x86_64":
        found = f"User-Mode Linux is a program for x86_64, this machine is {platform.machine()}"
        raise CapabilityError("building a kernel", found, "stay with real time here")
    spare = {"tar", "xz"} if source and source.is_dir() else {"xz"} if source and source.suffix != ".xz" else set()
    missing = [tool for tool in TOOLS if tool not in spare and shutil.which(tool) is None]
    packages = [TOOLS[tool] for tool in missing]
    if "gcc" not in missing and not _compiles():
        missing.append("the C library's headers")
        packages.append("libc6-dev")
    if missing:
        command = "apt-get install" if shutil.which("apt-get") else "with the system's package manager, install"
        raise CapabilityError("building a kernel", f"missing {', '.join(missing)}", f"{command} {' '.join(packages)}")


def _compiles() -> bool:
    """Whether the C library can be compiled against: UML is a program of the host."""
    program = "#include <stdlib.h>\n#include <linux/seccomp.h>\nint main(void) { return 0; }\n"
    command = ["gcc", "-x", "c", "-fsyntax-only", "-"]
    return subprocess.run(command, input=program.encode(), capture_output=True, check=False).returncode == 0


def _room() -> Path:
    """The cache, made, with room for a build. Raises CapabilityError."""
    folder = kernels_folder()
    mend = "set XDG_CACHE_HOME to a folder with 1.5 GB of room, and no space or colon in its path"
    try:
        (folder / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CapabilityError("the kernel cache", f"{folder}: {error.strerror}", mend) from error
    if os.statvfs(folder).f_flag & os.ST_NOEXEC:
        raise CapabilityError("the kernel cache", f"{folder} is mounted noexec", mend)
    if re.search(r"[\s:]", str(folder)):
        raise CapabilityError("the kernel cache", f"make cannot work in {str(folder)!r}", mend)
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES:
        raise CapabilityError("the kernel cache", f"{free / 1e9:.1f} GB free at {folder}", mend)
    return folder


def _build(
    work: Path, source: Source, key: str, hz: int, jobs: int, progress: Progress, trial: Callable[[Kernel], None]
) -> Path:
    """Make the kernel's folder and move it to its place, which is returned."""
    started = time.monotonic()
    (work / "objects").mkdir(parents=True)
    tree = _unpack(source, work, progress)
    release = release_of((tree / "Makefile").read_text(encoding="utf-8"))
    folder_name = f"{_name(release, hz)}-{key}"
    site = _Site(work, tree, _name(release, hz), work.parent / "logs" / f"{folder_name}.log")
    site.log.unlink(missing_ok=True)
    progress(f"configuring {site.name}", None)
    lacks = [*_configure(site, hz), *_change(site)]
    if lacks:
        progress(f"{site.name} goes without {', '.join(lacks)}", None)
    _compile(site, jobs, progress)
    manifest = _product(site, source, key, lacks, time.monotonic() - started)
    progress(f"booting {site.name}", None)
    product = work / "product"
    trial(Kernel(site.name, product / EXECUTABLE_FILE, manifest))
    final = work.parent / folder_name
    shutil.rmtree(final, ignore_errors=True)  # one that is not whole: a whole one would have been found
    product.rename(final)
    return final


def _product(site: _Site, source: Source, key: str, lacks: Sequence[str], took_s: float) -> Manifest:
    """Put what the cache will have into a folder `product`. Raises CapabilityError."""
    product = site.work / "product"
    product.mkdir()
    executable, config = product / EXECUTABLE_FILE, product / "config"
    shutil.copy2(site.objects / "linux", executable)
    shutil.copyfile(site.objects / ".config", config)
    manifest = msgspec.structs.replace(
        check(executable),
        built=_utc(time.time()),
        took_s=round(took_s, 1),
        key=key,
        recipe=recipe(),
        config_sha256=kernel_source.sha256(config),
        lacks=tuple(lacks),
        source=source,
    )
    if _name(manifest.release, manifest.hz) != site.name:
        found = f"the executable says that it is {_name(manifest.release, manifest.hz)}"
        raise CapabilityError(f"kernel {site.name}", found, "give another source with --source PATH")
    (product / MANIFEST_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
    return manifest


def _unpack(source: Source, work: Path, progress: Progress) -> Path:
    """The tree to build from: unpacked for this build alone, or the given one, which is only read."""
    path = Path(source.path)
    if path.is_dir():
        return path
    progress(f"unpacking {path.name}", None)
    tree = work / "tree"
    tree.mkdir()
    command = ["tar", "--extract", "--file", str(path), "--directory", str(tree), "--strip-components=1"]
    command += ["--no-same-owner", *(f"--exclude={pattern}" for pattern in NOT_UNPACKED)]
    environment = {**os.environ, "XZ_DEFAULTS": "--threads=0"}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if answer.returncode or not (tree / "arch/um/Kconfig").is_file():
        found = (answer.stderr.splitlines() or ["there is no arch/um in it"])[0]
        raise UsageError(f"expected a tarball of a kernel tree at {path}, found: {found}")
    return tree


def release_of(makefile: str) -> str:
    """The release that a tree's top Makefile declares, as in "7.2.13" or "7.3.0-rc1"."""
    fields: dict[str, str] = dict(re.findall(r"(?m)^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION) *= *(\S*)", makefile))
    numbers = ".".join(fields.get(name, "0") for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
    return numbers + fields.get("EXTRAVERSION", "")


def with_hz(kconfig: str, hz: int) -> str:
    """A tree's top Kconfig in which HZ is defined first, and so has this default (only `mainmenu` may come before)."""
    definition = f"\nconfig HZ\n\tint\n\tdefault {hz}\n"
    head = re.search(r"(?m)^mainmenu .*\n", kconfig)
    at = head.end() if head else 0
    return kconfig[:at] + definition + kconfig[at:]


def _configure(site: _Site, hz: int) -> list[str]:
    """Write .config; returns the options that were asked for in vain. Raises CapabilityError for those we need."""
    kconfig = (site.tree / "Kconfig").read_text(encoding="utf-8")
    (site.work / "Kconfig").write_text(with_hz(kconfig, hz), encoding="utf-8")
    _make(site, [f"KCONFIG_ALLCONFIG={CONFIG}", "allnoconfig"])
    config = parse_config((site.objects / ".config").read_text(encoding="utf-8"))
    asked = parse_config(CONFIG.read_text(encoding="utf-8"))
    lacking = [option for option in REQUIRED if config.get(option) != "y"]
    if config.get("HZ") != str(hz):
        lacking.append(f"HZ={hz}")
    if lacking:
        mend = f"use a newer source: {COMMAND} --source PATH"
        raise CapabilityError(f"kernel {site.name}", f"configuring it left out {', '.join(lacking)}", mend)
    return [option for option, value in asked.items() if config.get(option, "n") != value]


def _change(site: _Site) -> list[str]:
    """Put changed files where make looks for them first; returns what is lacking where one is not as expected."""
    lacks = []
    changed: dict[str, str] = {}
    for what, files in CHANGES.items():
        texts = {name: change(changed.get(name) or _read(site.tree / name)) for name, change in files.items()}
        if None in texts.values():
            lacks.append(what)
        else:
            changed |= {name: text for name, text in texts.items() if text is not None}
    for name, text in changed.items():
        target = site.objects / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return lacks


def _read(original: Path) -> str:
    """A file of the source; "" where there is none, in which no change finds what it expects."""
    return original.read_text(encoding="utf-8") if original.is_file() else ""


def _compile(site: _Site, jobs: int, progress: Progress) -> None:
    """Build the executable; the steps that make prints are counted for the fraction."""
    _make(site, [f"-j{jobs}", "linux"], progress)
    if not os.access(site.objects / "linux", os.X_OK):
        raise CapabilityError(f"kernel {site.name}", f"make built no executable; log: {site.log}", "see the log")


_MAKE_WORDS = ("LOCALVERSION=", "RUSTC=false", "PAHOLE=false")
"""No suffix to the release, and no trace in the configuration of tools that are on PATH but not used."""


def _make(site: _Site, words: Sequence[str], progress: Progress = _silent) -> None:
    """Run make, its output into the log. Raises CapabilityError with the first complaint."""
    command = ["make", "-C", str(site.tree), f"O={site.objects}", "ARCH=um", f"KBUILD_KCONFIG={site.work / 'Kconfig'}"]
    mark = LEDGER.announce("program", f"build of {site.name}")
    steps, lines = 0, []
    try:
        with (
            site.log.open("a", encoding="utf-8") as log,
            subprocess.Popen(
                [*command, *_MAKE_WORDS, *words],
                env={**_environment(site.tree), MARK_VARIABLE: mark},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            ) as process,
        ):
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    log.write(line)
                    if re.match(r"  [A-Z]+ +\S", line):
                        steps += 1
                        progress(f"building {site.name}: {' '.join(line.split())}", min(steps / EXPECTED_STEPS, 0.99))
                    else:
                        lines.append(line)
                status = process.wait()
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
    finally:
        LEDGER.settle(mark)
    if status:
        raise CapabilityError(
            f"kernel {site.name}", f"{first_error(lines)} (log: {site.log})", "give another source with --source PATH"
        )


def _environment(tree: Path) -> Mapping[str, str]:
    """For make: nothing that changes what it builds, no date or name that differs from one build to the next."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    date = time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime((tree / "Makefile").stat().st_mtime))
    who = {f"KBUILD_BUILD_{what}": "keepalive-harness" for what in ("USER", "HOST")}
    return {**kept, **who, "KBUILD_BUILD_VERSION": "1", "KBUILD_BUILD_TIMESTAMP": date, "LC_ALL": "C"}


def first_error(lines: Sequence[str]) -> str:
    """Why a make failed: the first error of compiler or linker, else of Kconfig, else of make, else its last line."""
    for pattern in (r"\berror: |undefined reference to", r"^[\w./-]+:\d+: (?!warning)", r"\*\*\* "):
        for line in lines:
            if re.search(pattern, line):
                return line.strip()
    return lines[-1].strip() if lines else "make failed and said nothing"
