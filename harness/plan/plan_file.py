"""A plan in its run's folder: what a saved run is judged by later."""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.errors import UsageError
from harness.plan.plan import FORMAT, Plan
from harness.system import plain_files

FILE_NAME = "plan.json"


def save(plan: Plan, folder: Path) -> None:
    """Write the plan into a run's folder: all of it or, where the harness is killed meanwhile,
    nothing.
    """
    unfinished = folder / f"{FILE_NAME}.new"
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(plan), indent=1) + b"\n")
    unfinished.rename(folder / FILE_NAME)


def load(folder: Path) -> Plan:
    """Read a saved plan. Raises UsageError."""
    path = folder / FILE_NAME
    try:
        data = plain_files.read(path)
        found = msgspec.json.decode(data, type=_Format).format
        if found != FORMAT:
            fix = (
                "judge it with the version of keepalive-harness that wrote it, or run the "
                "scenario again"
            )
            raise UsageError(
                f"{path}: expected a plan of format {FORMAT}, found format {found}; {fix}"
            )
        return msgspec.json.decode(data, type=Plan)
    except OSError as error:
        raise UsageError(f"expected a run's plan, found {error.strerror} at {path}") from error
    except msgspec.DecodeError as error:
        raise UsageError(f"{path}: expected a plan of format {FORMAT}, found {error}") from error


class _Format(msgspec.Struct):
    """The one field that plans of all formats have."""

    format: int
