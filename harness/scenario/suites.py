"""Suites: one library with its server, crossed with faults and loads; each cell becomes a scenario.

A suite file is TOML, named `*.suite.toml`, in the catalogue's folder `libraries`. It says once how
client and server are started, and for each cell what the library's documentation promises. The
faults are the same for all libraries; they set in `FAULT_AT_S` after the client was ready.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from harness.errors import CapabilityError, ScenarioError
from harness.model import durations
from harness.model.programs import Load
from harness.model.values import Duration, Seconds
from harness.scenario.loader import SUITES, catalogue, explanation, from_mapping, placed, shown
from harness.scenario.schema import Scenario
from harness.scenario.toml_file import read_tables
from harness.system import fixes
from harness.system.user_dirs import libraries_folder

SUFFIX = ".suite.toml"
FAULT_AT_S = 109.3
"""After arming: what happens after a connection was made, and never again, is over by then."""
FIREWALL_S = 45
"""The firewall's idle timeout: shorter than a minute, which many a heartbeat takes."""

SHARED = frozenset({"topology", "client", "server"})
"""What a suite says once of its scenarios; all else is each cell's."""

FaultName = Literal["blackhole", "frozen", "rebooted", "firewall", "proxied"]
_FAULTS: dict[FaultName, tuple[dict[str, Any], ...]] = {
    "blackhole": ({"kind": "blackhole", "at_s": FAULT_AT_S},),
    "frozen": ({"kind": "process-freeze", "on": "server", "at_s": FAULT_AT_S},),
    "rebooted": ({"kind": "peer-reboot", "on": "server", "at_s": FAULT_AT_S},),
    "firewall": ({"kind": "firewall-idle", "timeout_s": FIREWALL_S, "then": "reset"},),
    "proxied": ({"kind": "link-down", "on": "server", "at_s": FAULT_AT_S},),
}
FAULT_WORDS: dict[FaultName, str] = {
    "blackhole": "packets vanish both ways",
    "frozen": "the server's program stands still, its kernel answers",
    "rebooted": "the server's host comes back and knows nothing",
    "firewall": (
        f"a firewall drops its state after {FIREWALL_S} s of silence and answers with RST"
    ),
    "proxied": "the server's link is dead, behind a TCP proxy that lives",
}


class Cell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault under one load, with the documented behaviour."""

    fault: FaultName
    """What goes wrong, the same for all libraries."""
    load: Load
    """What the client sends meanwhile."""
    documented_s: tuple[Seconds, Seconds] | None = None
    """[best, worst] in seconds from the fault; with "firewall", which is there from the beginning,
    from when the client was ready; left out where nothing is promised.
    """
    documents: str
    """The promise in words."""
    source: str = ""
    """Where the promise stands."""
    bound_s: Duration = 3600.0
    """How long to look, from when the client was ready."""
    known_failure: str = ""
    """What was measured instead, where the promise is known not to hold, as of a scenario."""


class Suite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A library with its server, and the documented behaviour for each fault and load.

    `name` and `folder` come from the path of the file.
    """

    library: str
    """Its folder below {libraries}."""
    package: str
    """The distribution whose version counts."""
    server_version: tuple[str, ...] = ()
    """The command with which the server tells its version."""
    summary: str
    """What is tested, in one line."""
    scenario: dict[str, dict[str, Any]]
    """What is the same in all cells, as in a scenario."""
    cells: Annotated[tuple[Cell, ...], msgspec.Meta(min_length=1)]
    """Each fault under each load."""
    name: str = ""
    folder: str = ""


def load(path: Path) -> Suite:
    """Read one suite file. Raises ScenarioError."""
    source = shown(path)
    raw = read_tables(path, source)
    try:
        suite = msgspec.convert(durations.in_seconds(raw), Suite)
    except msgspec.ValidationError as error:
        raise explanation(raw, Suite, source, str(error)) from error
    for key in suite.scenario.keys() - SHARED:
        raise ScenarioError(
            source, f"scenario.{key}", suite.scenario[key], f"one of {', '.join(sorted(SHARED))}"
        )
    known = set()
    for index, cell in enumerate(suite.cells):
        if (cell.fault, cell.load) in known:
            raise ScenarioError(
                source, f"cells[{index}]", f"{cell.fault}, {cell.load}", "each cell once"
            )
        known.add((cell.fault, cell.load))
    stem = path.name.removesuffix(SUFFIX)
    return msgspec.structs.replace(
        suite, name=f"{SUITES}/{stem}", folder=str(path.resolve().parent)
    )


def find(words: Sequence[str]) -> list[Suite]:
    """The suites that words name: "libraries" all, "libraries/NAME" or a cell's name one.

    Raises ScenarioError.
    """
    files = sorted((catalogue() / SUITES).glob(f"*{SUFFIX}"))
    wanted = [path for path in files if any(_names(word, path) for word in words)]
    return [load(path) for path in wanted]


def _names(word: str, path: Path) -> bool:
    whole = f"{SUITES}/{path.name.removesuffix(SUFFIX)}"
    return word.rstrip("/") in (SUITES, whole) or word.startswith(f"{whole}/")


def scenarios(words: Sequence[str]) -> list[Scenario]:
    """The cells that words name, as scenarios. Raises ScenarioError."""
    found = [scenario for suite in find(words) for scenario in cells(suite)]
    whole = {word.rstrip("/") for word in words}
    return [each for each in found if {each.name, each.name.rpartition("/")[0], SUITES} & whole]


def cells(suite: Suite) -> Iterator[Scenario]:
    """Each cell of a suite as a scenario. Raises ScenarioError."""
    for cell in suite.cells:
        source = f"{suite.name}, {cell.fault}, {cell.load}"
        yield placed(from_mapping(_as_mapping(suite, cell), source), Path(suite.folder))


def _as_mapping(suite: Suite, cell: Cell) -> dict[str, Any]:
    # A copy, all the way down.
    raw: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(suite.scenario))
    raw["name"] = name_of(suite, cell)
    raw["summary"] = f"{suite.summary}: {cell.fault}, {cell.load}: {cell.documents}"
    raw.setdefault("client", {}).setdefault("command", {})["load"] = cell.load
    raw["faults"] = list(_FAULTS[cell.fault])
    if cell.fault == "proxied":
        raw["topology"] = {**raw.get("topology", {}), "kind": "proxied", "proxy": "relay"}
    origin = "armed" if cell.fault == "firewall" else "fault"
    expect: dict[str, Any] = {
        "bound_s": cell.bound_s,
        "source": cell.source,
        "outcome": "never",
        "origin": origin,
    }
    if cell.documented_s is not None:
        expect |= {"outcome": "noticed", "window_s": list(cell.documented_s)}
    raw["expect"] = expect
    raw["known_failure"] = cell.known_failure
    return raw


def name_of(suite: Suite, cell: Cell) -> str:
    """The cell's name among scenarios."""
    return f"{suite.name}/{cell.fault}-{cell.load}"


def version(suite: Suite) -> str:
    """The library's version as it is installed. Raises CapabilityError where it is not."""
    site = libraries_folder() / suite.library
    stem = suite.package.replace("-", "_").lower()
    for info in sorted(site.glob("lib/python*/site-packages/*.dist-info")):
        name, _, number = info.name.removesuffix(".dist-info").partition("-")
        if name.lower() == stem:
            return number
    raise CapabilityError(
        f"library {suite.library}", f"no {suite.package} below {site}", fixes.libraries()
    )
