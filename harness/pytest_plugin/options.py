"""The plugin's options, on the command line and as ini options; what the command line says goes first."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import pytest

from harness.venue import DEFAULT_SEED, WALL_LIMIT_S, seed, wall_limit

if TYPE_CHECKING:
    from harness.model.topology import LabKind
    from harness.system.kernel_clock import Clock

CLOCKS = ("real", "virtual")
LABS = ("netns", "docker")
FLAG = "--harness-"
"""What the options begin with that are the plugin's alone."""
Value = TypeVar("Value")


class Options(NamedTuple):
    """What holds for a session. `wall_limit_s`: 0 for none. `out`: None for a new folder below the state folder.

    `seed`: None where nobody asked for one.
    """

    clock: Clock
    lab: LabKind
    out: Path | None
    kernel: str | None
    wall_limit_s: float
    seed: int | None
    write: tuple[Path, ...]
    no_commands: bool = False


def add(parser: pytest.Parser) -> None:
    """Add each option with its ini option; None as default tells what is not given."""
    group = parser.getgroup("keepalive-harness")

    def option(flag: str, ini: str, text: str, kind: Any = "string", **how: Any) -> None:
        group.addoption(flag, default=None, help=f"{text} (ini option: {ini})", **how)
        parser.addini(ini, text, type=kind, default={"string": None, "bool": False}.get(kind, []))

    option(
        "--clock",
        "harness_clock",
        "virtual: run the whole session in a User-Mode Linux guest whose clock jumps; default: real",
        choices=CLOCKS,
    )
    option(
        "--lab",
        "harness_lab",
        "create the hosts of scenarios and of the `lab` fixture as network namespaces (netns) or "
        "containers (docker); default: netns",
        choices=LABS,
    )
    option(
        "--harness-out",
        "harness_out",
        "keep plans, timelines and captures of scenario files in DIR; default: a state folder",
        kind="paths",
        metavar="DIR",
        type=Path,
    )
    option(
        "--harness-kernel",
        "harness_kernel",
        "kernel of the guest, see `harness kernel list`; default: the newest",
        metavar="NAME",
    )
    option(
        "--harness-wall-limit",
        "harness_wall_limit",
        f"end the guest after S seconds of real time, 0: never; default: {WALL_LIMIT_S:g}",
        metavar="S",
        type=wall_limit,
    )
    option(
        "--harness-seed",
        "harness_seed",
        f"with --clock=virtual: seed of the random numbers that programs draw; default: {DEFAULT_SEED}",
        metavar="N",
        type=seed,
    )
    option(
        "--harness-write",
        "harness_write",
        "with --clock=virtual: let tests write to DIR outside of the project (repeatable)",
        kind="paths",
        metavar="DIR",
        type=Path,
        action="append",
    )
    option(
        "--no-commands",
        "harness_no_commands",
        "refuse scenario files that run commands or images of their own",
        kind="bool",
        dest="harness_no_commands",
        action="store_true",
    )


def of(config: pytest.Config) -> Options:
    """The options of a session: command line, else ini file, else default. Raises pytest.UsageError."""
    return Options(
        clock=cast("Clock", _choice(config, "clock", CLOCKS)),
        lab=cast("LabKind", _choice(config, "lab", LABS)),
        out=config.getoption("harness_out") or _out(config),
        kernel=config.getoption("harness_kernel") or config.getini("harness_kernel") or None,
        wall_limit_s=_number(config, "harness_wall_limit", wall_limit, WALL_LIMIT_S),
        seed=_number(config, "harness_seed", seed, None),
        no_commands=bool(config.getoption("harness_no_commands") or config.getini("harness_no_commands")),
        write=tuple(config.getoption("harness_write") or config.getini("harness_write")),
    )


def _choice(config: pytest.Config, name: str, choices: tuple[str, ...]) -> str:
    """The first choice is the default."""
    given = config.getoption(name) or config.getini(f"harness_{name}") or choices[0]
    if given not in choices:
        raise _bad(config, f"harness_{name}", f"expected {' or '.join(choices)}, found {given!r}")
    return str(given)


def _out(config: pytest.Config) -> Path | None:
    """One folder, relative to the ini file as pytest's own paths are."""
    folders: list[Path] = config.getini("harness_out")
    if len(folders) > 1:
        raise _bad(config, "harness_out", f"expected one folder, found {' '.join(path.name for path in folders)}")
    return folders[0] if folders else None


def _number(config: pytest.Config, name: str, parse: Callable[[str], Value], default: Value) -> Value:
    given: Value | None = config.getoption(name)
    if given is not None:
        return given
    text = config.getini(name)
    if not text:
        return default
    try:
        return parse(text)
    except argparse.ArgumentTypeError as error:
        raise _bad(config, name, str(error)) from error


def _bad(config: pytest.Config, name: str, complaint: str) -> pytest.UsageError:
    return pytest.UsageError(f"ini option {name} in {config.inipath}: {complaint}")
