"""Building kernels for virtual time from source.

UML's Kconfig hard-wires HZ to 100. The source is not patched for another one: of several
definitions of a symbol Kconfig takes the first one's default, so the tree is configured through a
copy of its top Kconfig with that definition put first. Some files are changed (`kernel_recipe`),
and make finds the changed ones among what it builds before the originals: both also hold for a tree
that must not be written to.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from harness.errors import CapabilityError, UsageError
from harness.venue import kernel_recipe, kernel_source, trial
from harness.venue.kernel import (
    COMMAND,
    EXECUTABLE_FILE,
    MANIFEST_FILE,
    REQUIRED,
    Kernel,
    Manifest,
    check,
    installed,
    kernels_folder,
    name_of,
    parse_config,
    utc,
)
from harness.venue.kernel_make import Build, make, unreported
from harness.venue.kernel_source import Progress, Source

DEFAULT_HZ = 1000
FREE_BYTES = 1_500_000_000
"""Of which the unpacked tree takes 0.5 GB, what is built 0.15 GB, and a tarball and the package it
came in 0.33 GB.
"""

TOOLS = {
    **{name: name for name in ("gcc", "make", "flex", "bison", "bc", "tar")},
    "ld": "binutils",
    "xz": "xz-utils",
}
"""Programs that a build needs, with their packages.

Not libelf, of which kernel guides speak: UML has no objtool.
"""

_OTHER_ARCHITECTURES = (
    *(
        "alpha",
        "arc",
        "arm",
        "arm64",
        "csky",
        "hexagon",
        "loongarch",
        "m68k",
        "microblaze",
        "mips",
        "nios2",
    ),
    *("openrisc", "parisc", "powerpc", "riscv", "s390", "sh", "sparc", "xtensa"),
)
_IDLE_DRIVERS = (
    *(
        "accel",
        "clk",
        "crypto",
        "gpu",
        "hwmon",
        "iio",
        "infiniband",
        "input",
        "media",
        "mtd",
        "net/ethernet",
    ),
    *("net/wireless", "pinctrl", "platform", "scsi", "soc", "staging", "usb", "video"),
)
NOT_UNPACKED = (
    *(f"*/arch/{name}/{files}" for name in _OTHER_ARCHITECTURES for files in ("boot/*", "*.[chS]")),
    *(f"*/drivers/{name}/*.[ch]" for name in _IDLE_DRIVERS),
    *(f"*/Documentation/{name}" for name in ("ABI/*", "*.rst", "*.txt", "*.yaml")),
    *("*/sound/*/*.[ch]", "*/tools/perf/*", "*/tools/testing/*"),
)
"""Two thirds of the tree that nothing compiled here depends on.

Kconfig and Makefiles stay: make reads them all.
"""


def build(
    hz: int = DEFAULT_HZ,
    source: Path | None = None,
    jobs: int | None = None,
    progress: Progress = unreported,
) -> Kernel:
    """Build a kernel, or find it built from the same source and configuration already.

    1. look for the tools  2. locate the source  3. wait for whoever builds the same  4. unpack  5.
       configure, and see
    that what is needed was understood  6. compile  7. ask the kernel what it is  8. try it out  9.
    put it into the cache in one move

    Raises UsageError (HZ, source), CapabilityError (tools, source, room, options, a failed
    compilation or trial).
    """
    if not 100 <= hz <= 1000:
        raise UsageError(f"--hz: expected 100 to 1000, what Linux is built with, found {hz}")
    check_tools(source)
    folder = _room()
    found = kernel_source.locate(source, folder / "sources", progress)
    key = key_of(found, hz)
    with kernel_source.locked(
        folder / f".lock-{key}", lambda: progress("waiting for another build of it", None)
    ):
        for kernel in installed():
            if kernel.manifest.key == key:
                progress(f"{kernel.name} is built already", 1.0)
                return kernel
        work = folder / f".build-{key}"
        shutil.rmtree(work, ignore_errors=True)  # of a build that was killed
        try:
            final = _build(work, found, key, hz, jobs or len(os.sched_getaffinity(0)), progress)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        kernel = next(kernel for kernel in installed() if kernel.path.parent == final)
    progress(f"{kernel.name} is built", 1.0)
    return kernel


def key_of(source: Source, hz: int) -> str:
    """What tells builds apart: source, recipe and HZ, as eight hexadecimal digits."""
    return kernel_recipe.digest(source.sha256, kernel_recipe.recipe(), str(hz))


def check_tools(source: Path | None = None) -> None:
    """Raises CapabilityError with all that is missing and one command that brings it."""
    if platform.machine() != "x86_64":
        found = f"User-Mode Linux is a program for x86_64, this machine is {platform.machine()}"
        raise CapabilityError("building a kernel", found, "stay with real time here")
    spare = (
        {"tar", "xz"}
        if source and source.is_dir()
        else {"xz"}
        if source and source.suffix != ".xz"
        else set()
    )
    missing = [tool for tool in TOOLS if tool not in spare and shutil.which(tool) is None]
    packages = [TOOLS[tool] for tool in missing]
    if "gcc" not in missing and not _compiles():
        missing.append("the C library's headers")
        packages.append("libc6-dev")
    if missing:
        command = (
            "apt-get install"
            if shutil.which("apt-get")
            else "with the system's package manager, install"
        )
        raise CapabilityError(
            "building a kernel", f"missing {', '.join(missing)}", f"{command} {' '.join(packages)}"
        )


def _compiles() -> bool:
    """Whether the C library can be compiled against: UML is a program of the host."""
    program = "#include <stdlib.h>\n#include <linux/seccomp.h>\nint main(void) { return 0; }\n"
    command = ["gcc", "-x", "c", "-fsyntax-only", "-"]
    return (
        subprocess.run(command, input=program.encode(), capture_output=True, check=False).returncode
        == 0
    )


def _room() -> Path:
    """The cache, made, with room for a build. Raises CapabilityError."""
    folder = kernels_folder()
    fix = "set XDG_CACHE_HOME to a folder with 1.5 GB of room, and no space or colon in its path"
    try:
        (folder / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CapabilityError("the kernel cache", f"{folder}: {error.strerror}", fix) from error
    if os.statvfs(folder).f_flag & os.ST_NOEXEC:
        raise CapabilityError("the kernel cache", f"{folder} is mounted noexec", fix)
    if re.search(r"[\s:]", str(folder)):
        raise CapabilityError("the kernel cache", f"make cannot work in {str(folder)!r}", fix)
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES:
        raise CapabilityError("the kernel cache", f"{free / 1e9:.1f} GB free at {folder}", fix)
    return folder


def _build(work: Path, source: Source, key: str, hz: int, jobs: int, progress: Progress) -> Path:
    """Make the kernel's folder and move it to its place, which is returned."""
    started = time.monotonic()
    (work / "objects").mkdir(parents=True)
    tree = _unpack(source, work, progress)
    release = release_of((tree / "Makefile").read_text(encoding="utf-8"))
    folder_name = f"{name_of(release, hz)}-{key}"
    site = Build(work, tree, name_of(release, hz), work.parent / "logs" / f"{folder_name}.log")
    site.log.unlink(missing_ok=True)
    progress(f"configuring {site.name}", None)
    lacks = [*_configure(site, hz), *kernel_recipe.put_changed_files(site.tree, site.objects)]
    if lacks:
        progress(f"{site.name} goes without {', '.join(lacks)}", None)
    _compile(site, jobs, progress)
    manifest = _product(site, source, key, lacks, time.monotonic() - started)
    progress(f"booting {site.name}", None)
    product = work / "product"
    trial.try_out(Kernel(site.name, product / EXECUTABLE_FILE, manifest))
    final = work.parent / folder_name
    shutil.rmtree(
        final, ignore_errors=True
    )  # one that is not whole: a whole one would have been found
    product.rename(final)
    return final


def _product(
    site: Build, source: Source, key: str, lacks: Sequence[str], took_s: float
) -> Manifest:
    """Put what the cache will have into a folder `product`. Raises CapabilityError."""
    product = site.work / "product"
    product.mkdir()
    executable, config = product / EXECUTABLE_FILE, product / "config"
    shutil.copy2(site.objects / "linux", executable)
    shutil.copyfile(site.objects / ".config", config)
    manifest = msgspec.structs.replace(
        check(executable),
        built=utc(time.time()),
        took_s=round(took_s, 1),
        key=key,
        recipe=kernel_recipe.recipe(),
        config_sha256=kernel_source.sha256(config),
        lacks=tuple(lacks),
        source=source,
    )
    if name_of(manifest.release, manifest.hz) != site.name:
        found = f"the executable says that it is {name_of(manifest.release, manifest.hz)}"
        raise CapabilityError(
            f"kernel {site.name}", found, "give another source with --source PATH"
        )
    (product / MANIFEST_FILE).write_bytes(
        msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"
    )
    return manifest


def _unpack(source: Source, work: Path, progress: Progress) -> Path:
    """The tree to build from: unpacked for this build alone, or the given one, which is only
    read.
    """
    path = Path(source.path)
    if path.is_dir():
        return path
    progress(f"unpacking {path.name}", None)
    tree = work / "tree"
    tree.mkdir()
    command = [
        "tar",
        "--extract",
        "--file",
        str(path),
        "--directory",
        str(tree),
        "--strip-components=1",
    ]
    command += ["--no-same-owner", *(f"--exclude={pattern}" for pattern in NOT_UNPACKED)]
    environment = {**os.environ, "XZ_DEFAULTS": "--threads=0"}
    answer = subprocess.run(
        command, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    if answer.returncode or not (tree / "arch/um/Kconfig").is_file():
        found = (answer.stderr.splitlines() or ["there is no arch/um in it"])[0]
        raise UsageError(f"expected a tarball of a kernel tree at {path}, found: {found}")
    return tree


def release_of(makefile: str) -> str:
    """The release that a tree's top Makefile declares, as in "7.2.13" or "7.3.0-rc1"."""
    fields: dict[str, str] = dict(
        re.findall(r"(?m)^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION) *= *(\S*)", makefile)
    )
    numbers = ".".join(fields.get(name, "0") for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
    return numbers + fields.get("EXTRAVERSION", "")


def with_hz(kconfig: str, hz: int) -> str:
    """A tree's top Kconfig in which HZ is defined first, and so has this default (only `mainmenu`
    may come before).
    """
    definition = f"\nconfig HZ\n\tint\n\tdefault {hz}\n"
    head = re.search(r"(?m)^mainmenu .*\n", kconfig)
    at = head.end() if head else 0
    return kconfig[:at] + definition + kconfig[at:]


def _configure(site: Build, hz: int) -> list[str]:
    """Write .config; returns the options that were asked for in vain.

    Raises CapabilityError for those we need.
    """
    kconfig = (site.tree / "Kconfig").read_text(encoding="utf-8")
    (site.work / "Kconfig").write_text(with_hz(kconfig, hz), encoding="utf-8")
    make(site, [f"KCONFIG_ALLCONFIG={kernel_recipe.CONFIG}", "allnoconfig"])
    config = parse_config((site.objects / ".config").read_text(encoding="utf-8"))
    asked = parse_config(kernel_recipe.CONFIG.read_text(encoding="utf-8"))
    lacking = [option for option in REQUIRED if config.get(option) != "y"]
    if config.get("HZ") != str(hz):
        lacking.append(f"HZ={hz}")
    if lacking:
        fix = f"use a newer source: {COMMAND} --source PATH"
        raise CapabilityError(
            f"kernel {site.name}", f"configuring it left out {', '.join(lacking)}", fix
        )
    return [option for option, value in asked.items() if config.get(option, "n") != value]


def _compile(site: Build, jobs: int, progress: Progress) -> None:
    """Build the executable; the steps that make prints are counted for the fraction."""
    make(site, [f"-j{jobs}", "linux"], progress)
    if not os.access(site.objects / "linux", os.X_OK):
        raise CapabilityError(
            f"kernel {site.name}", f"make built no executable; log: {site.log}", "see the log"
        )
