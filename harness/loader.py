"""Scenario files to Scenario values, and names to files.

A scenario file is TOML, named `*.scenario.toml`. Its name is its path under the catalogue (`scenarios/`) without that
suffix, or for a file elsewhere its bare file name. Every mistake becomes one ScenarioError that names the file, the
key, the value found and what was expected; nothing is built before all files are read.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from harness.errors import MISSING, ScenarioError, UsageError
from harness.scenario import Scenario, check

SUFFIX = ".scenario.toml"


def catalogue() -> Path:
    """The folder of shipped scenarios: beside the package in a checkout, inside it when installed from a wheel.

    Raises UsageError when neither is there.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "_scenarios", package.parent / "scenarios"):
        if folder.is_dir():
            return folder
    raise UsageError(f"expected the scenario catalogue beside or inside {package}, found none; reinstall the package")


def load_file(path: Path, name: str | None = None) -> Scenario:
    """Read one scenario file. Raises ScenarioError."""
    source = _shown(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioError(source, "", str(error.strerror), "a readable file") from error
    except UnicodeDecodeError as error:
        raise ScenarioError(source, "", f"byte {error.object[error.start]:#04x}", "UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(source, "", str(error), "valid TOML") from error
    default = name if name is not None else path.name.removesuffix(SUFFIX).removesuffix(".toml")
    scenario = from_mapping(raw, source)
    if not scenario.name:
        scenario = msgspec.structs.replace(scenario, name=default)
    return scenario


def from_mapping(raw: dict[str, object], source: str = "<python>") -> Scenario:
    """Turn plain data (as from TOML or JSON) into a checked Scenario. Raises ScenarioError."""
    try:
        scenario = msgspec.convert(raw, Scenario)
    except msgspec.ValidationError as error:
        raise _explain(error, raw, source) from error
    if scenario.name and not re.fullmatch(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", scenario.name):
        raise ScenarioError(source, "name", scenario.name, "letters, digits, '.', '_', '-' in parts joined by '/'")
    check(scenario, source)
    return scenario


def find(words: Sequence[str]) -> list[Scenario]:
    """The scenarios that names, folders of the catalogue and paths ask for, in order, each once.

    No words at all: the whole catalogue. Raises ScenarioError (two scenarios of one name, bad files) and UsageError
    (nothing found under a word).
    """
    root = catalogue()
    files: dict[Path, str | None] = {}
    for word in words or [""]:
        for path, name in _files(word, root):
            files.setdefault(path, name)
    scenarios: dict[str, Path] = {}
    loaded = []
    for path, name in files.items():
        scenario = load_file(path, name)
        if scenario.name in scenarios:
            raise ScenarioError(
                _shown(path), "name", scenario.name, f"a name of its own; {_shown(scenarios[scenario.name])} has it too"
            )
        scenarios[scenario.name] = path
        loaded.append(scenario)
    return loaded


def _files(word: str, root: Path) -> list[tuple[Path, str | None]]:
    """The files behind one word, each with its catalogue name or None for a file elsewhere."""
    given = Path(word)
    if word and (word.endswith(".toml") or word.startswith((".", os.sep))):
        if given.is_dir():
            return _folder(given, given, word)
        if not given.exists():
            raise UsageError(f"expected a scenario file or folder, found nothing at {word}")
        return [(given.resolve(), _catalogue_name(given, root))]
    single = root / f"{word}{SUFFIX}"
    if word and single.is_file():
        return [(single, word)]
    if (root / word).is_dir():
        return _folder(root / word, root, word)
    if given.is_dir():
        return _folder(given, given, word)
    raise UsageError(_unknown(word, root))


def _folder(folder: Path, base: Path, word: str) -> list[tuple[Path, str | None]]:
    found = sorted(folder.rglob(f"*{SUFFIX}"))
    if not found:
        raise UsageError(f"expected scenario files (*{SUFFIX}) under {word or folder}, found none")
    return [(p.resolve(), p.relative_to(base).as_posix().removesuffix(SUFFIX)) for p in found]


def _catalogue_name(path: Path, root: Path) -> str | None:
    resolved = path.resolve()
    if resolved.is_relative_to(root.resolve()):
        return resolved.relative_to(root.resolve()).as_posix().removesuffix(SUFFIX)
    return None


def _unknown(word: str, root: Path) -> str:
    names = [p.relative_to(root).as_posix().removesuffix(SUFFIX) for p in root.rglob(f"*{SUFFIX}")]
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"expected a scenario's name, folder or file, found {word!r}{hint} `harness list` shows all names"


def _shown(path: Path) -> str:
    """A path as a reader would type it: relative where it lies below the working directory."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>[^`]*)`")
_MISSING = re.compile(r"Object missing required field `(?P<key>[^`]*)`")


def _explain(error: msgspec.ValidationError, raw: object, source: str) -> ScenarioError:
    """msgspec's complaint with the key spelled as in the file and the value that was found there."""
    match = _WHERE.match(str(error))
    assert match is not None
    what, path = match["what"], (match["path"] or "$").removeprefix("$").removeprefix(".")
    if unknown := _UNKNOWN.match(what):
        key = ".".join(filter(None, (path, unknown["key"])))
        return ScenarioError(source, key, _lookup(raw, key), "no such key here" + _known(raw, path))
    if missing := _MISSING.match(what):
        key = ".".join(filter(None, (path, missing["key"])))
        return ScenarioError(source, key, MISSING, "a value (the key is required)")
    expected = what.removeprefix("Expected ").split(", got ")[0]
    if what.startswith("Invalid value"):
        expected = "one of: " + _kinds() if path.endswith(".kind") else what.lower()
    value = _lookup(raw, path)
    return ScenarioError(source, path, value, expected.replace("`", ""))


def _lookup(raw: object, path: str) -> object:
    """The value at a dotted path with [n] indices, or MISSING."""
    for part in re.findall(r"[^.\[\]]+", path):
        if isinstance(raw, dict) and part in raw:
            raw = raw[part]
        elif isinstance(raw, list) and part.isdigit() and int(part) < len(raw):
            raw = raw[int(part)]
        else:
            return MISSING
    return raw


def _known(raw: object, path: str) -> str:
    fields = _fields(raw, path)
    return f"; the keys are {', '.join(fields)}" if fields else ""


def _fields(raw: object, path: str) -> Iterable[str]:
    """The keys that the table at `path` may have."""
    from harness.faults import AnyFault
    from harness.lab.topology import Topology
    from harness.scenario import Endpoint, Expect, Keepalive

    last = path.rsplit(".", 1)[-1]
    if last.startswith("faults["):
        table = _lookup(raw, path)
        kind = table.get("kind") if isinstance(table, dict) else None
        for fault in AnyFault.__args__:
            if fault.__struct_config__.tag == kind:
                return ("kind", *fault.__struct_fields__)
        return ()
    types: dict[str, type[msgspec.Struct]] = {
        "": Scenario,
        "topology": Topology,
        "client": Endpoint,
        "server": Endpoint,
        "keepalive": Keepalive,
        "expect": Expect,
    }
    return types[last].__struct_fields__ if last in types else ()


def _kinds() -> str:
    from harness.faults import AnyFault

    return ", ".join(sorted(str(fault.__struct_config__.tag) for fault in AnyFault.__args__))
