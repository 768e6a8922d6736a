"""The pictures and the trace of runs that a command line asks for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from harness.errors import UsageError
from harness.judge.result import Result
from harness.system.oserrors import in_words


def trace(file: str | None, results: Sequence[Result]) -> dict[str | None, bytes]:
    """The trace by its file, where one is asked for."""
    if file is None:
        return {}
    from harness.report import trace as trace_report

    return {file: trace_report.render(results)}


def pictures(options: argparse.Namespace, results: Sequence[Result]) -> dict[str | None, bytes]:
    """Each run's picture by its file, where they are asked for.

    Raises UsageError for several runs and one file, and for a folder that cannot be made.
    """
    if options.svg is None:
        return {}
    from harness.report import figure

    return {
        str(place): figure.run_svg(result).encode()
        for place, result in zip(_places(options, results), results, strict=True)
    }


def _places(options: argparse.Namespace, results: Sequence[Result]) -> list[Path]:
    """Where the picture of each run goes."""
    target = Path(options.svg)
    if not (target.is_dir() or options.svg.endswith("/")):
        if len(results) > 1:
            raise UsageError(
                f"--svg: expected one run for a file, found {len(results)} in {options.folder}; "
                f"name the folder of one of them, such as {_first(options.folder, results)}, or "
                f"end {options.svg} in / to get a folder with a file for each"
            )
        if not target.resolve().parent.is_dir():
            raise UsageError(f"--svg: expected a file that can be written, found {target}")
        return [target]
    places = [target / f"{result.plan.name}.svg" for result in results]
    try:
        for place in places:
            place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--svg: expected a folder that can be made, {in_words(error)}") from error
    return places


def _first(folder: Path, results: Sequence[Result]) -> Path:
    """The folder of the first run, where it is as `harness run` leaves it."""
    name = results[0].plan.name
    bases = (folder, *folder.resolve().parents)
    return next((base / name for base in bases if (base / name).is_dir()), folder / "NAME")
