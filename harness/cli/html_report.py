"""`--html FILE`: the page of a command's results, and the command lines that it shows."""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.system import oserrors
from harness.system.passwords import without_password

if TYPE_CHECKING:
    from harness.judge.result import Result
    from harness.report.html.page import Grid, Page, RunDetail

MOST_NAMED = 3
"""So many names stand in a title."""


def write_html(path: str, page: Page) -> None:
    """Write the page to a file that the user named. Raises UsageError."""
    oserrors.write(Path(path), as_bytes(page))


def of_runs(
    options: argparse.Namespace,
    results: Sequence[Result],
    title: str,
    *,
    grid: Grid | None = None,
    wall_s: float | None = None,
) -> dict[str | None, bytes]:
    """The page about runs by the file that it is for; empty where no page is asked for."""
    if options.html is None:
        return {}
    from harness.report import text
    from harness.report.html.page import Page

    others = any(result.verdict.origin != "armed" for result in results)
    times = [text.circumstances(result.verdict, elsewhere=others) for result in results]
    took = [] if wall_s is None else [f"The runs took {wall_s:.1f} s of real time."]
    page = Page(
        title=title,
        command=command_line(options),
        results=tuple(results),
        grid=grid,
        notes=(*(f"Times are {each}." for each in dict.fromkeys(times)), *took),
        details=details(options, results),
        made=made(),
    )
    return {options.html: as_bytes(page)}


def what(words: Sequence[str]) -> str:
    """What a command line names, for a title."""
    if not words:
        return "the whole catalogue"
    named = [without_password(word) for word in words[:MOST_NAMED]]
    return f"{', '.join(named)}{', …' if len(words) > MOST_NAMED else ''}"


def as_bytes(page: Page) -> bytes:
    """The page as the content of a file."""
    from harness.report.html.render import render

    return render(page).encode()


def command_line(options: argparse.Namespace) -> str:
    """The command line as it was given, in a form that a shell takes, without passwords."""
    given: Sequence[str] = getattr(options, "given", ())
    return shlex.join(["harness", *(without_password(word) for word in given)])


def made() -> str:
    """When the page was made."""
    return f"Made on {time.strftime('%Y-%m-%d at %H:%M %Z')}."


def details(options: argparse.Namespace, results: Sequence[Result]) -> tuple[RunDetail, ...]:
    """How to run each result again, as far as a name or a file says it."""
    from harness.report.html.page import RunDetail

    named = _words_of(options, results)
    return tuple(
        RunDetail(again=_again(named.get(result.plan.name), result, options)) for result in results
    )


def _again(word: str | None, result: Result, options: argparse.Namespace) -> str:
    if word is None:
        return ""
    machine = result.plan.machine
    words = ["harness", "run", word]
    if machine.clock == "virtual":
        words += ["--clock", "virtual"]
        words += ["--kernel", options.kernel] if getattr(options, "kernel", None) else []
        words += ["--seed", str(machine.seed)] if machine.seed else []
    if machine.lab == "docker":
        words += ["--lab", "docker"]
    return shlex.join(words)


def _words_of(options: argparse.Namespace, results: Sequence[Result]) -> dict[str, str]:
    """By the scenario's name the word that names it alone: its name in the catalogue, or a file."""
    from harness.scenario import catalogue
    from harness.scenario.loader import bare_name

    files: dict[str, set[str]] = {}
    for word in getattr(options, "words", None) or ():
        try:
            paths = catalogue.files_of(word) if Path(word).exists() else []
        except UsageError:  # the results say more than a word that names nothing any more
            continue
        for path in paths:
            files.setdefault(bare_name(path), set()).add(_nearest(path, word))
    found = {}
    for result in results:
        name = result.plan.name
        given = files.get(name.rpartition("/")[2], set())
        if len(given) == 1:
            found[name] = next(iter(given))
        elif _is_in_catalogue(name):
            found[name] = name
    return found


def _nearest(path: Path, word: str) -> str:
    """The file as the word names it, below the folder where it names one."""
    given = Path(word)
    return word if given.is_file() else str(given / path.relative_to(given.resolve()))


def _is_in_catalogue(name: str) -> bool:
    from harness.scenario import catalogue

    try:
        return bool(catalogue.files_of(name))
    except UsageError:
        return False
