"""Runs make on a kernel's source tree: environment, progress, log, and the first error of a build
that fails.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from harness.errors import CapabilityError
from harness.lab.ledger import LEDGER
from harness.lab.processes import MARK_VARIABLE
from harness.venue.kernel_source import Progress

EXPECTED_STEPS = 1470
"""Lines that make prints for Linux 7.2 with this configuration.

Another version's count differs by some percent.
"""


def unreported(text: str, fraction: float | None) -> None:
    """Progress that is not shown."""


class Build(msgspec.Struct, frozen=True):
    """One build: its folder, the source tree, the kernel's name, and the file for make's output."""

    work: Path
    tree: Path
    name: str
    log: Path

    @property
    def objects(self) -> Path:
        """The folder for what is built."""
        return self.work / "objects"


_MAKE_WORDS = ("LOCALVERSION=", "RUSTC=false", "PAHOLE=false")
"""No suffix to the release, and no trace in the configuration of tools that are on PATH but not
used.
"""


def make(site: Build, words: Sequence[str], progress: Progress = unreported) -> None:
    """Run make, its output into the log. Raises CapabilityError with the first complaint."""
    command = [
        "make",
        "-C",
        str(site.tree),
        f"O={site.objects}",
        "ARCH=um",
        f"KBUILD_KCONFIG={site.work / 'Kconfig'}",
    ]
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
                        progress(
                            f"building {site.name}: {' '.join(line.split())}",
                            min(steps / EXPECTED_STEPS, 0.99),
                        )
                    else:
                        lines.append(line)
                status = process.wait()
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
    finally:
        LEDGER.abandon(mark)
    if status:
        raise CapabilityError(
            f"kernel {site.name}",
            f"{first_error(lines)} (log: {site.log})",
            "give another source with --source PATH",
        )


def _environment(tree: Path) -> Mapping[str, str]:
    """For make: nothing that changes what it builds, no date or name that differs from one build to
    the next.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    date = time.strftime(
        "%a %b %d %H:%M:%S UTC %Y", time.gmtime((tree / "Makefile").stat().st_mtime)
    )
    who = {f"KBUILD_BUILD_{what}": "keepalive-harness" for what in ("USER", "HOST")}
    return {
        **kept,
        **who,
        "KBUILD_BUILD_VERSION": "1",
        "KBUILD_BUILD_TIMESTAMP": date,
        "LC_ALL": "C",
    }


def first_error(lines: Sequence[str]) -> str:
    """Why a make failed: the first error of compiler or linker, else of Kconfig, else of make, else
    its last line.
    """
    for pattern in (r"\berror: |undefined reference to", r"^[\w./-]+:\d+: (?!warning)", r"\*\*\* "):
        for line in lines:
            if re.search(pattern, line):
                return line.strip()
    return lines[-1].strip() if lines else "make failed without any output"
