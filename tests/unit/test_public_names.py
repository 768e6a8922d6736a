"""The package's face: what `import harness` gives, and what it costs."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import harness
from harness import pytest_plugin
from harness.faults import FAULTS

NAMES = harness._public()
HEAVY = {"asyncio", "msgspec", "pyroute2", "pytest", "rich", "hypothesis", "docker"}


def loaded_by(code: str) -> set[str]:
    """The modules that are loaded after some code in a fresh interpreter."""
    script = f"{code}\nimport sys\nprint(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_public_names_are_sorted_and_said_once() -> None:
    """`__all__` is in order, without repeats."""
    assert sorted(set(NAMES)) == NAMES
    assert list(harness._HOMES) == sorted(harness._HOMES)


def test_every_fault_is_a_public_name() -> None:
    """What a scenario file can name, Python can too."""
    assert {fault.__name__ for fault in FAULTS.values()} <= set(NAMES)
    everything: dict[str, object] = {}
    exec("from harness import *", everything)  # noqa: S102 - what is meant to be shown
    assert set(NAMES) <= set(everything)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_can_be_had(name: str) -> None:
    """Each is what its home calls by that name, documented, and shown by dir()."""
    value = getattr(harness, name)
    assert value is getattr(
        importlib.import_module(harness._HOMES.get(name, "harness.faults")), name
    )
    assert value.__doc__
    assert name in dir(harness)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="module 'harness' has no attribute 'Nonsense'"):
        harness.Nonsense  # noqa: B018


def test_importing_the_package_costs_next_to_nothing() -> None:
    """It loads nothing of what the package depends on, and no asyncio."""
    assert not HEAVY & loaded_by("import harness")


def test_describing_a_scenario_loads_no_network_library() -> None:
    """Scenarios and faults are plain data: netlink, event loops and containers are for what carries
    them out.
    """
    loaded = loaded_by(
        "from harness import Blackhole, Scenario, ToxicTimeout; Scenario(name='a', "
        "faults=(Blackhole(),))"
    )
    assert not (HEAVY - {"msgspec"} | {"ssl", "toxiproxy"}) & loaded


def test_the_command_line_loads_little() -> None:
    """`--help` needs none of it either."""
    code = (
        "import harness.cli.main\ntry:\n    harness.cli.main.main(['--help'])\nexcept "
        "SystemExit:\n    pass"
    )
    assert not HEAVY & loaded_by(code)


def test_checking_settings_loads_nothing_that_runs_anything() -> None:
    """The oracle and the rules alone: no lab, no fault, no library of the network."""
    call = "harness.cli.main.main(['check', '--idle', '340', '--path', 'aws-nlb'])"
    loaded = loaded_by(
        "import contextlib, io, harness.cli.main\nwith "
        f"contextlib.redirect_stdout(io.StringIO()): {call}"
    )
    assert "harness.policy.check" in loaded
    assert not (HEAVY - {"msgspec"}) & loaded
    layers = {name.split(".")[1] for name in loaded if name.startswith("harness.")}
    assert layers <= {
        "__main__",
        "cli",
        "errors",
        "model",
        "oracle",
        "policy",
        "report",
        "scenario",
        "system",
        "venue",
    }


def test_the_plugin_loads_nothing_but_pytest() -> None:
    """Every pytest session in the environment loads it, with the modules that it names as
    plugins.
    """
    plugins = pytest_plugin.pytest_plugins
    loaded = loaded_by(f"import {', '.join(plugins)}")
    assert not (HEAVY - {"pytest", "asyncio"}) & loaded
    assert {name for name in loaded if name.startswith("harness")} == {
        "harness",
        "harness.system",
        "harness.system.escapes",
        "harness.pytest_plugin",
        "harness.pytest_plugin.history",
        "harness.pytest_plugin.limits",
        "harness.pytest_plugin.options",
        "harness.venue",
        *plugins,
    }
