"""Scenario files to Scenario values, and names to files.

A scenario file is TOML, named `*.scenario.toml`. Its name is its path under the catalogue (`scenarios/`) without that
suffix, or for a file elsewhere its bare file name. Every mistake becomes one ScenarioError that names the file, the
key, the value found and what was expected; nothing is built before all files are read.
"""

from __future__ import annotations

import errno
import os
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness import durations
from harness.errors import MISSING, ScenarioError, ScenarioErrors, UsageError
from harness.scenario import Expect, Scenario
from harness.spelling import did_you_mean
from harness.validation import check

T = TypeVar("T")
R = TypeVar("R")

SUFFIX = ".scenario.toml"
SUITES = "libraries"
"""The catalogue's folder of suites, see `harness.suite`."""
_READING = {errno.EISDIR: "a directory", errno.ENOENT: "no such file"}
_PART = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_NAME = re.compile(f"{_PART}(/{_PART})*")


def catalogue() -> Path:
    """The folder of shipped scenarios: beside the package in a checkout, inside it when installed from a wheel.

    Raises UsageError when neither is there.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "_scenarios", package.parent / "scenarios"):
        if folder.is_dir():
            return folder
    raise UsageError(f"expected the scenario catalogue beside or inside {package}, found none; reinstall the package")


ABOUT_FILE = "about.txt"


def abouts() -> dict[str, str]:
    """A line about each topic of the catalogue, by the topic's name."""
    root = catalogue()
    return {file.parent.relative_to(root).as_posix(): file.read_text().strip() for file in root.rglob(ABOUT_FILE)}


# --- values ------------------------------------------------------------------------------------------


LONGEST_NAME = 200
RUN_FILES = frozenset({"plan.json", "timeline.jsonl", "client.pcapng", "server.pcapng", "verdict.json", "attempts"})
"""What lies in a run directory, which is named after its scenario."""


def load_file(path: Path, name: str | None = None) -> Scenario:
    """Read one scenario file; `name` is for one that gives itself none. Raises ScenarioError."""
    scenario = _read(path)
    return scenario if scenario.name else _named(scenario, _bare_name(path) if name is None else name, path)


def _read(path: Path) -> Scenario:
    """The scenario in a file, without a name where the file gives it none. Raises ScenarioError."""
    source = shown(path)
    return placed(from_mapping(read_tables(path, source), source), path.resolve().parent)


def _bare_name(path: Path) -> str:
    return path.name.removesuffix(".toml").removesuffix(".scenario")


def _named(scenario: Scenario, name: str, path: Path) -> Scenario:
    _check_name(name, shown(path))
    return msgspec.structs.replace(scenario, name=name)


def placed(scenario: Scenario, folder: Path) -> Scenario:
    """The same scenario with the folder of its file where its commands have {scenario}."""
    for key, _, command in scenario.commands:
        here = {
            "argv": tuple(word.replace("{scenario}", str(folder)) for word in command.argv),
            "env": {name: value.replace("{scenario}", str(folder)) for name, value in command.env.items()},
            "folder": command.folder.replace("{scenario}", str(folder)),
        }
        table = msgspec.structs.replace(getattr(scenario, key), command=msgspec.structs.replace(command, **here))
        scenario = msgspec.structs.replace(scenario, **{key: table})
    return scenario


def check_claim(scenario: Scenario) -> None:
    """Raise ScenarioError for a scenario that could not fail: with neither a fault nor an expectation."""
    if not scenario.faults and scenario.expect == Expect():
        claim = "a claim: without a fault and an expectation nothing is proven"
        raise ScenarioError(f"scenario {scenario.name}", "expect", MISSING, claim)


def from_mapping(raw: Mapping[str, object], source: str = "<python>") -> Scenario:
    """Turn plain data (as from TOML or JSON) into a checked Scenario. Raises ScenarioError.

    A fault that comes again and again becomes as many faults.
    """
    try:
        scenario = msgspec.convert(durations.in_seconds(raw), Scenario)
    except msgspec.ValidationError as error:
        raise explanation(raw, Scenario, source, str(error)) from error
    if scenario.name:
        _check_name(scenario.name, source)
    topology = scenario.topology
    if scenario.proxy.command is not None and topology.kind == "proxied" and topology.proxy is None:
        topology = msgspec.structs.replace(topology, proxy="command")
        scenario = msgspec.structs.replace(scenario, topology=topology)
    check(scenario, source)
    _check_onsets(raw, scenario, source)
    outages = tuple(outage for fault in scenario.faults for outage in fault.outages())
    return msgspec.structs.replace(scenario, faults=outages)


def _check_onsets(raw: Mapping[str, Any], scenario: Scenario, source: str) -> None:
    """Raise ScenarioError for a fault whose time was forgotten: 0 is a time like any other, and is said."""
    for index, fault in enumerate(scenario.faults):
        if not fault.standing and "at_s" not in raw["faults"][index]:
            expected = f"when {fault.kind} sets in, in seconds after arming (0: at once)"
            raise ScenarioError(source, f"faults[{index}].at_s", MISSING, expected)


def checked(scenario: Scenario, source: str = "<python>") -> Scenario:
    """The same scenario, held to what holds for files: msgspec checks no types or ranges at construction.

    Integers where numbers are wanted become floats, lists tuples. Raises ScenarioError.
    """
    return from_mapping(_plain(scenario), source)


def _plain(value: Any) -> Any:
    """Structs as tables and sequences as lists, with all else, sound or not, left for the complaint to show."""
    if isinstance(value, msgspec.Struct):
        table = {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
        config = value.__struct_config__
        return {config.tag_field: config.tag, **table} if config.tag_field else table
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def read_tables(path: Path, source: str) -> dict[str, object]:
    """The file's tables. Raises ScenarioError, with the line where there is one."""
    data = b""
    try:
        data = path.read_bytes()
        return tomllib.loads(data.decode("utf-8-sig"))
    except OSError as error:
        found, expected = _READING.get(error.errno or 0) or str(error.strerror).lower(), "a readable file"
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found, expected = f"byte {data[error.start]:#04x} in line {line}", "UTF-8 text"
    except RecursionError:
        found, expected = "tables or arrays within each other without end", "valid TOML"
    except ValueError as error:  # TOMLDecodeError, and integers with thousands of digits
        what, at, where = str(error).rpartition(" (at ")
        where = where.removesuffix(")").replace("end of document", f"the end, line {len(data.splitlines())}")
        found, expected = f"{where}: {what}" if at else str(error), "valid TOML"
    from harness.complaints import Plainly

    raise ScenarioError(source, "", Plainly(found), expected)


def _check_name(name: str, source: str) -> None:
    if len(name) > LONGEST_NAME or RUN_FILES & set(name.split("/")):
        raise ScenarioError(
            source, "name", name, f"at most {LONGEST_NAME} characters and no part of {sorted(RUN_FILES)}"
        )
    if not _NAME.fullmatch(name):
        expected = "letters, digits, '.', '_', '-' in parts joined by '/', none of which begins with '.'"
        raise ScenarioError(source, "name", name, expected)


def explanation(raw: object, wanted: type[msgspec.Struct], source: str, technical: str) -> ScenarioError:
    """What is wrong with plain data that was to become a scenario or a suite, whose `technical` complaint is known."""
    from harness.complaints import Plainly, complaints

    for complaint in complaints(raw, wanted):
        return ScenarioError(source, complaint.key, complaint.value, complaint.expected)
    return ScenarioError(source, "", Plainly(technical), f"a {wanted.__name__.lower()}")


# --- names -------------------------------------------------------------------------------------------


def find(words: Sequence[str], *, containers: bool = False, claimed: bool = False) -> list[Scenario]:
    """The scenarios that names, folders of the catalogue and paths ask for, in order, each once.

    A word that begins with "." or "/" or ends in ".toml" is a path; any other is looked up in the catalogue first.
    No words at all: the whole catalogue but for the suites of libraries, which are found by their names alone, and,
    unless `containers` are to be had, for what needs them. Files of one bare name are told apart by their folders.
    `claimed`: each must claim something. Raises ScenarioError or ScenarioErrors (two scenarios of one name, bad files)
    and UsageError (nothing found under a word).
    """
    root = catalogue()
    files: dict[Path, str | None] = {}
    if "" in words:
        raise UsageError("expected a scenario's name, folder or file, found an empty word; no words at all mean all")
    from_suites: dict[str, Scenario] = {}
    for word in words or [""]:
        cells = _cells(word)
        from_suites |= {cell.name: cell for cell in cells}
        if cells:
            continue
        for path, name in _files(word, root):
            files.setdefault(path, name)
    loaded = _load(files, claimed=claimed)
    kept = [scenario for scenario in loaded if words or containers or not scenario.of_containers]
    return [*kept, *from_suites.values()]


def files_of(word: str) -> list[Path]:
    """The files behind a name, folder or path; of a library's cell that of its suite. Raises UsageError."""
    if _cells(word):
        from harness import suite

        return [Path(found.folder) / (Path(found.name).name + suite.SUFFIX) for found in suite.find([word])]
    return [path for path, _ in _files(word, catalogue())]


def _load(files: Mapping[Path, str | None], *, claimed: bool) -> list[Scenario]:
    """Read files that are given with their names. Raises all that is wrong with any of them."""
    read: dict[Path, Scenario] = {}

    def add(path: Path) -> None:
        read[path] = _read(path)

    def finish(path: Path) -> Scenario:
        scenario = read[path] if read[path].name else _named(read[path], names[path], path)
        owner = owners.setdefault(scenario.name, path)
        if owner != path:
            expected = f"a name of its own, as {shown(owner)} has that one"
            raise ScenarioError(shown(path), "name", scenario.name, expected)
        if claimed:
            check_claim(scenario)
        return scenario

    bad = _complaints_of(files, add)[1]
    defaults = {path: files[path] or _bare_name(path) for path, scenario in read.items() if not scenario.name}
    names = _told_apart(defaults, {scenario.name for scenario in read.values()} - {""})
    owners: dict[str, Path] = {}
    finished, unfinished = _complaints_of(read, finish)
    _refuse([*bad, *unfinished])
    return finished


def for_each(items: Iterable[T], do: Callable[[T], R]) -> list[R]:
    """What `do` makes of each item. Raises ScenarioError or ScenarioErrors with all that it raised."""
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
    """Names for files by their defaults; those that are not alone in one get as many folders before it as it takes.

    Files of the catalogue keep theirs.
    """
    root = catalogue().resolve()
    names = dict(defaults)
    for name, number in Counter([*defaults.values(), *taken]).items():
        alike = [path for path in defaults if defaults[path] == name and not path.is_relative_to(root)]
        others = {*taken, *(names[path] for path in names if path not in alike)}
        deepest = min((len(path.parts) - 1 for path in alike), default=0)
        for length in range(name.count("/") + 2, deepest + 1 if number > 1 else 0):
            tails = {path: "/".join([*path.parts[-length:-1], _bare_name(path)]) for path in alike}
            if len(set(tails.values())) == len(alike) and not others & set(tails.values()):
                names |= tails
                break
    return names


def _cells(word: str) -> list[Scenario]:
    """What a word names of the suites of libraries."""
    if word.split("/", maxsplit=1)[0] != SUITES:
        return []
    from harness import suite

    return suite.scenarios([word])


def _files(word: str, root: Path) -> list[tuple[Path, str | None]]:
    """The files behind one word, each with its name in the catalogue or folder, None for a single file elsewhere."""
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
    names = [_stem(path, root) for path in root.rglob(f"*{SUFFIX}")]
    hint = did_you_mean(word, [*names, *{name.rpartition("/")[0] for name in names}], most=3)
    return f"expected a scenario's name, folder or file, found {word!r}{hint}; `harness list` shows all names"


def shown(path: Path) -> str:
    """A path as a reader would type it: relative where it lies below the working directory."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
