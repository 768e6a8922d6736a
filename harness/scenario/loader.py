"""Scenario files to Scenario values, and names to files.

A scenario file is TOML, named `*.scenario.toml`. Its name is its path under the catalogue
(`scenarios/`) without that suffix, or for a file elsewhere its bare file name. Every mistake
becomes one ScenarioError that names the file, the key, the value found and what was expected;
nothing is built before all files are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness.errors import MISSING, ScenarioError, UsageError
from harness.model import durations
from harness.scenario.schema import Expect, Scenario
from harness.scenario.toml_file import read_tables
from harness.scenario.validation import check

T = TypeVar("T")
R = TypeVar("R")

SUFFIX = ".scenario.toml"
SUITES = "libraries"
"""The catalogue's folder of suites, see `harness.scenario.suites`."""
_PART = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_NAME = re.compile(f"{_PART}(/{_PART})*")


def catalogue() -> Path:
    """The folder of shipped scenarios: beside the package in a checkout, inside it when installed
    from a wheel.

    Raises UsageError when neither is there.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_scenarios", package.parent / "scenarios"):
        if folder.is_dir():
            return folder
    raise UsageError(
        f"expected the scenario catalogue beside or inside {package}, found none; reinstall "
        "the package"
    )


ABOUT_FILE = "about.txt"


def abouts() -> dict[str, str]:
    """A line about each topic of the catalogue, by the topic's name."""
    root = catalogue()
    return {
        file.parent.relative_to(root).as_posix(): file.read_text().strip()
        for file in root.rglob(ABOUT_FILE)
    }


# --- values -------------------------------------------------------------------------------------


LONGEST_NAME = 200
RUN_FILES = frozenset(
    {"plan.json", "timeline.jsonl", "client.pcapng", "server.pcapng", "verdict.json", "attempts"}
)
"""What lies in a run directory, which is named after its scenario."""


def load_file(path: Path, name: str | None = None) -> Scenario:
    """Read one scenario file; `name`: where the file states none. Raises ScenarioError."""
    scenario = read(path)
    return (
        scenario
        if scenario.name
        else named(scenario, bare_name(path) if name is None else name, path)
    )


def read(path: Path) -> Scenario:
    """The scenario in a file; its name is empty if the file states none. Raises ScenarioError."""
    source = shown(path)
    return placed(from_mapping(read_tables(path, source), source), path.resolve().parent)


def bare_name(path: Path) -> str:
    """The name of a scenario whose file states none: the file's, without its suffixes."""
    return path.name.removesuffix(".toml").removesuffix(".scenario")


def named(scenario: Scenario, name: str, path: Path) -> Scenario:
    """The scenario under that name.

    Raises ScenarioError for an invalid name. `path`: the file, for the message.
    """
    _check_name(name, shown(path))
    return msgspec.structs.replace(scenario, name=name)


def placed(scenario: Scenario, folder: Path) -> Scenario:
    """The same scenario, with {scenario} in its commands replaced by the folder of its file."""
    for key, _, command in scenario.commands:
        here = {
            "argv": tuple(word.replace("{scenario}", str(folder)) for word in command.argv),
            "env": {
                name: value.replace("{scenario}", str(folder))
                for name, value in command.env.items()
            },
            "folder": command.folder.replace("{scenario}", str(folder)),
        }
        table = msgspec.structs.replace(
            getattr(scenario, key), command=msgspec.structs.replace(command, **here)
        )
        scenario = msgspec.structs.replace(scenario, **{key: table})
    return scenario


def check_claim(scenario: Scenario) -> None:
    """Raise ScenarioError for a scenario without faults and expectation: it could not fail."""
    if not scenario.faults and scenario.expect == Expect():
        claim = "a claim: without a fault and an expectation nothing is proven"
        raise ScenarioError(f"scenario {scenario.name}", "expect", MISSING, claim)


def refuse_programs(scenario: Scenario) -> None:
    """Raise ScenarioError for a scenario that runs a program of its own: a command, or a
    container's image.
    """
    for key, words in scenario.programs:
        expected = "no program of the scenario's own, as --no-commands refuses them"
        raise ScenarioError(f"scenario {scenario.name}", key, " ".join(words), expected)


def from_mapping(raw: Mapping[str, object], source: str = "<python>") -> Scenario:
    """Turn plain data (as from TOML or JSON) into a checked Scenario. Raises ScenarioError.

    A fault with `every_s` becomes one fault for each onset. With a table of one end alone, what it
    says is said in [expect].
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
    if len(scenario.judged) == 1:
        scenario = scenario.seen_by(scenario.judged[0])
    return msgspec.structs.replace(scenario, faults=outages)


def _check_onsets(raw: Mapping[str, Any], scenario: Scenario, source: str) -> None:
    """Raise ScenarioError for a fault without `at_s`: 0 must be stated, too."""
    for index, fault in enumerate(scenario.faults):
        if not fault.standing and "at_s" not in raw["faults"][index]:
            expected = (
                f"the time at which {fault.kind} begins, in seconds after arming (0: at once)"
            )
            raise ScenarioError(source, f"faults[{index}].at_s", MISSING, expected)


def checked(scenario: Scenario, source: str = "<python>") -> Scenario:
    """The same scenario, validated like a file: msgspec checks neither types nor ranges in Python.

    Integers become floats where floats are expected, and lists tuples. Raises ScenarioError.
    """
    return from_mapping(_plain(scenario), source)


def _plain(value: Any) -> Any:
    """Structs as tables and sequences as lists, with all else, sound or not, left for the complaint
    to show.
    """
    if isinstance(value, msgspec.Struct):
        table = {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
        config = value.__struct_config__
        return {config.tag_field: config.tag, **table} if config.tag_field else table
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _check_name(name: str, source: str) -> None:
    if len(name) > LONGEST_NAME or RUN_FILES & set(name.split("/")):
        raise ScenarioError(
            source,
            "name",
            name,
            f"at most {LONGEST_NAME} characters and no part of {sorted(RUN_FILES)}",
        )
    if not _NAME.fullmatch(name):
        expected = (
            "letters, digits, '.', '_', '-' in parts joined by '/', none of which begins with '.'"
        )
        raise ScenarioError(source, "name", name, expected)


def explanation(
    raw: object, wanted: type[msgspec.Struct], source: str, technical: str
) -> ScenarioError:
    """The error of plain data that cannot become a scenario or a suite.

    `technical`: msgspec's message, used where no better one is found.
    """
    from harness.scenario.decode_errors import Plainly, complaints

    for complaint in complaints(raw, wanted):
        return ScenarioError(source, complaint.key, complaint.value, complaint.expected)
    return ScenarioError(source, "", Plainly(technical), f"a {wanted.__name__.lower()}")


def shown(path: Path) -> str:
    """A path as a reader would type it: relative where it lies below the working directory."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
