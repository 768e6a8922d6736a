"""A whole pytest session in virtual time: the same arguments, in a guest, with its files where they belong."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.lab.ledger import state_folder
from harness.venue import vtime
from harness.venue.kernel import find

if TYPE_CHECKING:
    import pytest


def run(config: pytest.Config) -> vtime.Ended:
    """Run pytest there with the arguments that it was given here. Raises UsageError, CapabilityError, GuestError.

    What it writes below its root folder, the working directory, --harness-out and --write is written here too; its
    JUnit file and coverage data are copied out at the end where they lie elsewhere.
    """
    options = config.option
    folders = _folders(config)
    reports = [Path(options.xmlpath)] if getattr(options, "xmlpath", None) else []
    data = os.environ.get("COVERAGE_FILE")
    patterns = [*map(_absolute, reports), *([_absolute(Path(data)) + "*"] if data else [])]
    return vtime.run(
        find(options.kernel),
        [sys.executable, "-m", "pytest", *map(str, config.invocation_params.args)],
        write=[*folders, *options.write],
        bring=[pattern for pattern in patterns if not any(Path(pattern).is_relative_to(folder) for folder in folders)],
        wall_limit_s=options.wall_limit,
    )


def _folders(config: pytest.Config) -> list[Path]:
    """Where a session writes by itself, the outermost alone; a folder that nobody may write is not among them."""
    wanted = [config.rootpath, config.invocation_params.dir, state_folder() / "runs"]
    out = config.option.harness_out
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        wanted.append(out)
    found: list[Path] = []
    for folder in sorted({path.resolve() for path in wanted}):
        usable = folder.is_dir() and folder != Path("/") and os.access(folder, os.W_OK)
        if usable and not any(folder.is_relative_to(outer) for outer in found):
            found.append(folder)
    return found


def _absolute(path: Path) -> str:
    return str(path.expanduser().absolute())
