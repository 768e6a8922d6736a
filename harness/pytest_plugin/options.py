"""The plugin's options, on the command line and as ini options.

What the command line says goes first.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, cast

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
    """What holds for a session.

    `wall_limit_s`: 0 for none. `out`: None for a new folder below the state folder.

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


class _Option(NamedTuple):
    """An option of the command line with its ini option.

    `how`: arguments of argparse's add_argument.
    """

    flag: str
    ini: str
    text: str
    how: dict[str, Any]
    kind: Literal["string", "paths", "bool"] = "string"


_OPTIONS = (
    _Option(
        "--clock",
        "harness_clock",
        "virtual: run the whole session in a User-Mode Linux guest, which skips the time in "
        "which nothing happens; "
        "default: real",
        {"choices": CLOCKS},
    ),
    _Option(
        "--lab",
        "harness_lab",
        "create the hosts of scenarios and of the `lab` fixture as network namespaces (netns) or "
        "containers (docker); default: netns",
        {"choices": LABS},
    ),
    _Option(
        "--harness-out",
        "harness_out",
        "write plans, timelines and captures of scenario files to DIR; default: a new folder in "
        "~/.local/state/keepalive-harness",
        {"metavar": "DIR", "type": Path},
        "paths",
    ),
    _Option(
        "--harness-kernel",
        "harness_kernel",
        (
            "the kernel to boot in the guest, by its name in `harness kernel list`; default: the "
            "newest"
        ),
        {"metavar": "NAME"},
    ),
    _Option(
        "--harness-wall-limit",
        "harness_wall_limit",
        f"stop the guest after S seconds of real time, 0: never; default: {WALL_LIMIT_S:g}",
        {"metavar": "S", "type": wall_limit},
    ),
    _Option(
        "--harness-seed",
        "harness_seed",
        (
            "with --clock=virtual: seed of the random numbers that programs get; default: "
            f"{DEFAULT_SEED}"
        ),
        {"metavar": "N", "type": seed},
    ),
    _Option(
        "--harness-write",
        "harness_write",
        "with --clock=virtual: let tests write to DIR outside of the project (repeatable)",
        {"metavar": "DIR", "type": Path, "action": "append"},
        "paths",
    ),
    _Option(
        "--no-commands",
        "harness_no_commands",
        "refuse scenario files that run commands or container images",
        {"dest": "harness_no_commands", "action": "store_true"},
        "bool",
    ),
)


def add(parser: pytest.Parser) -> None:
    """Add each option with its ini option; None as default tells what is not given."""
    group = parser.getgroup("keepalive-harness")
    defaults: dict[str, Any] = {"string": None, "bool": False, "paths": []}
    for each in _OPTIONS:
        group.addoption(
            each.flag, default=None, help=f"{each.text} (ini option: {each.ini})", **each.how
        )
        parser.addini(each.ini, each.text, type=each.kind, default=defaults[each.kind])


def of(config: pytest.Config) -> Options:
    """The options of a session: command line, else ini file, else default.

    Raises pytest.UsageError.
    """
    return Options(
        clock=cast("Clock", _choice(config, "clock", CLOCKS)),
        lab=cast("LabKind", _choice(config, "lab", LABS)),
        out=config.getoption("harness_out") or _out(config),
        kernel=config.getoption("harness_kernel") or config.getini("harness_kernel") or None,
        wall_limit_s=_number(config, "harness_wall_limit", wall_limit, WALL_LIMIT_S),
        seed=_number(config, "harness_seed", seed, None),
        no_commands=bool(
            config.getoption("harness_no_commands") or config.getini("harness_no_commands")
        ),
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
        raise _bad(
            config,
            "harness_out",
            f"expected one folder, found {' '.join(path.name for path in folders)}",
        )
    return folders[0] if folders else None


def _number(
    config: pytest.Config, name: str, parse: Callable[[str], Value], default: Value
) -> Value:
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
