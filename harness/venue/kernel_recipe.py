"""How this version of the harness builds a kernel: the configuration, and the changed files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.venue import kernel_calls, kernel_files, kernel_patch, kernel_random

CONFIG = Path(__file__).with_name("kernel.config")

CHANGES: Mapping[str, Mapping[str, Callable[[str], str | None]]] = {
    "an exact clock": {kernel_patch.FILE: kernel_patch.with_exact_clock},
    "seeded random numbers": {
        kernel_random.RANDOM_FILE: kernel_random.with_seeded_reads,
        kernel_random.START_FILE: kernel_random.with_seeded_start,
    },
    "time for system calls": {
        kernel_calls.TIME_FILE: kernel_calls.with_charge,
        kernel_calls.CALL_FILE: kernel_calls.with_charged_calls,
    },
    "read-only files of the host": {
        kernel_files.MAIN_FILE: kernel_files.with_confinement,
        kernel_files.HEADER_FILE: kernel_files.as_it_is,
        kernel_files.HOSTFS_FILE: kernel_files.with_seal,
    },
}
"""What the harness changes in a source, by what a kernel has by it: each file with what becomes of
it.
"""


def recipe() -> str:
    """The configuration and the changes, as eight hexadecimal digits."""
    changes = (kernel_patch.CHANGE, kernel_random.CHANGE, kernel_calls.CHANGE, kernel_files.CHANGE)
    return digest(CONFIG.read_text(encoding="utf-8"), *changes)


def digest(*parts: str) -> str:
    """Of texts, as eight hexadecimal digits."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]


def put_changed_files(tree: Path, objects: Path) -> list[str]:
    """Put changed files where make looks for them first.

    Returns what is lacking where one is not as expected.
    """
    lacks = []
    changed: dict[str, str] = {}
    for what, files in CHANGES.items():
        texts = {
            name: change(changed.get(name) or _read(tree / name)) for name, change in files.items()
        }
        if None in texts.values():
            lacks.append(what)
        else:
            changed |= {name: text for name, text in texts.items() if text is not None}
    for name, text in changed.items():
        target = objects / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return lacks


def _read(original: Path) -> str:
    """A file of the source; "" where there is none, in which no change finds what it expects."""
    return original.read_text(encoding="utf-8") if original.is_file() else ""
