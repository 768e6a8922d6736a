"""Find the scenarios that a command line names: in the catalogue, by path, or in a suite."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TypeVar

from harness.errors import ScenarioError, ScenarioErrors, UsageError
from harness.faults import FAULTS
from harness.scenario import baselines, suites
from harness.scenario.loader import (
    SUFFIX,
    SUITES,
    bare_name,
    catalogue,
    check_claim,
    named,
    read,
    shown,
)
from harness.scenario.schema import Scenario
from harness.system.passwords import without_password
from harness.system.spelling import did_you_mean

T = TypeVar("T")
R = TypeVar("R")


def find(
    words: Sequence[str],
    *,
    containers: bool = False,
    guests: bool = False,
    claimed: bool = False,
) -> list[Scenario]:
    """The scenarios that names, folders of the catalogue and paths ask for, in order, each once.

    A word that begins with "." or "/" or ends in ".toml" is a path; any other is looked up in the
    catalogue first. A path that ends in ".baseline.toml" stands for the claims of a baseline. No
    words at all: the whole catalogue but for the suites of libraries, which are found by their
    names alone, and for what needs `containers` or `guests`, where these are not to be had. Files
    of one bare name are told apart by their folders. `claimed`: each must claim something. Raises
    ScenarioError or ScenarioErrors (two scenarios of one name, bad files) and UsageError (nothing
    found under a word).
    """
    root = catalogue()
    files: dict[Path, str | None] = {}
    if "" in words:
        raise UsageError(
            "expected a scenario's name, folder or file, found an empty word; no words at "
            "all mean all"
        )
    from_suites: dict[str, Scenario] = {}
    for word in words or [""]:
        cells = _cells(word)
        from_suites |= {cell.name: cell for cell in cells}
        if cells:
            continue
        for path, name in _files(word, root):
            files.setdefault(path, name)
    loaded = _load(files, claimed=claimed)
    kept = [
        scenario
        for scenario in loaded
        if words
        or ((containers or not scenario.of_containers) and (guests or not scenario.of_guests))
    ]
    return [*kept, *from_suites.values()]


def files_of(word: str) -> list[Path]:
    """The files of a name, folder or path; of a library's cell the file of its suite.

    Raises UsageError.
    """
    if word.endswith(baselines.SUFFIX):
        return [Path(word)]
    if _cells(word):
        return [
            Path(found.folder) / (Path(found.name).name + suites.SUFFIX)
            for found in suites.find([word])
        ]
    return [path for path, _ in _files(word, catalogue())]


def _load(files: Mapping[Path, str | None], *, claimed: bool) -> list[Scenario]:
    """Read files that are given with their names. Raises all that is wrong with any of them."""
    done: dict[Path, Scenario] = {}

    def add(path: Path) -> None:
        done[path] = read(path)

    def finish(path: Path) -> Scenario:
        scenario = done[path] if done[path].name else named(done[path], names[path], path)
        owner = owners.setdefault(scenario.name, path)
        if owner != path:
            expected = f"a name of its own, as {shown(owner)} already has this one"
            raise ScenarioError(shown(path), "name", scenario.name, expected)
        if claimed:
            check_claim(scenario)
        return scenario

    bad = _complaints_of(files, add)[1]
    defaults = {
        path: files[path] or bare_name(path) for path, scenario in done.items() if not scenario.name
    }
    names = _told_apart(defaults, {scenario.name for scenario in done.values()} - {""})
    owners: dict[str, Path] = {}
    finished, unfinished = _complaints_of(done, finish)
    _refuse([*bad, *unfinished])
    return finished


def for_each(items: Iterable[T], do: Callable[[T], R]) -> list[R]:
    """The result of `do` for each item.

    Raises ScenarioError, or ScenarioErrors where `do` raised it for several items.
    """
    done, bad = _complaints_of(items, do)
    _refuse(bad)
    return done


def _complaints_of(items: Iterable[T], do: Callable[[T], R]) -> tuple[list[R], list[ScenarioError]]:
    done: list[R] = []
    bad: list[ScenarioError] = []
    for item in items:
        try:
            done.append(do(item))
        except ScenarioError as error:
            bad.append(error)
    return done, bad


def _refuse(bad: Sequence[ScenarioError]) -> None:
    if len(bad) == 1:
        raise bad[0]
    if bad:
        raise ScenarioErrors(bad)


def _told_apart(defaults: Mapping[Path, str], taken: AbstractSet[str]) -> dict[Path, str]:
    """A unique name for each file.

    Equal names get as many parent folders in front as it takes. Files of the catalogue keep theirs.
    """
    root = catalogue().resolve()
    names = dict(defaults)
    for name, number in Counter([*defaults.values(), *taken]).items():
        if number == 1:
            continue
        alike = [
            path for path in defaults if defaults[path] == name and not path.is_relative_to(root)
        ]
        others = {*taken, *(names[path] for path in names if path not in alike)}
        deepest = min((len(path.parts) - 1 for path in alike), default=0)
        for length in range(name.count("/") + 2, deepest + 1):
            tails = {path: "/".join([*path.parts[-length:-1], bare_name(path)]) for path in alike}
            if len(set(tails.values())) == len(alike) and not others & set(tails.values()):
                names |= tails
                break
    return names


def _cells(word: str) -> list[Scenario]:
    """The cells of the library suites that a word names, or of a baseline. Raises ScenarioError."""
    if word.endswith(baselines.SUFFIX):
        return list(baselines.claims(baselines.load(Path(word))))
    if word.split("/", maxsplit=1)[0] != SUITES:
        return []
    return suites.scenarios([word])


def _files(word: str, root: Path) -> list[tuple[Path, str | None]]:
    """The files behind one word, each with its name in the catalogue or folder, None for a single
    file elsewhere.
    """
    given = Path(word)
    if not (word.endswith(".toml") or word.startswith((".", os.sep))):
        inside = root / word
        if inside.resolve().is_relative_to(root.resolve()):
            single = inside.with_name(inside.name + SUFFIX)
            if word and single.is_file():
                return [(single.resolve(), word)]
            if inside.is_dir():
                return _folder(inside, root)
    if given.is_dir():
        return _folder(given, root)
    if given.exists():
        return [(given.resolve(), _catalogue_name(given, root))]
    raise UsageError(_nothing_under(word, root))


def _folder(folder: Path, root: Path) -> list[tuple[Path, str | None]]:
    found = sorted(folder.rglob(f"*{SUFFIX}"))
    if not found:
        raise UsageError(f"expected scenario files (*{SUFFIX}) under {shown(folder)}, found none")
    return [(path.resolve(), _catalogue_name(path, root) or _stem(path, folder)) for path in found]


def _catalogue_name(path: Path, root: Path) -> str | None:
    path, root = path.resolve(), root.resolve()
    return _stem(path, root) if path.is_relative_to(root) else None


def _stem(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix().removesuffix(SUFFIX)


def _nothing_under(word: str, root: Path) -> str:
    if word == "faults" or word in FAULTS:
        what = "" if word == "faults" else ", which is a fault"
        return (
            f"expected a scenario's name, folder or file, found {word!r}{what}; `harness list "
            "--faults` shows all faults, `harness list` all scenarios"
        )
    names = [_stem(path, root) for path in root.rglob(f"*{SUFFIX}")]
    hint = did_you_mean(word, [*names, *{name.rpartition("/")[0] for name in names}], most=3)
    found = without_password(word, f"{word!r}{hint}")
    return (
        f"expected a scenario's name, folder or file, found {found}; `harness list` shows all names"
    )
