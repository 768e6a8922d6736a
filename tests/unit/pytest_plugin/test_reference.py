"""The reference of the fixtures and of the Python API: complete, and its types can be imported."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import harness
from harness.pytest_plugin import labs, options, services

pytest_plugins = ["pytester"]

README = (Path(options.__file__).parent / "README.md").read_text()
FIXTURES = [
    "attach",
    "compose_project",
    "lab",
    "toxiproxy",
    "toxiproxy_address",
    "toxiproxy_server",
]
TYPES = [
    "AttachFixture",
    "Attachment",
    "Detection",
    "Expected",
    "Host",
    "Injection",
    "LabFixture",
    "Link",
    "Program",
]


def test_every_fixture_is_in_it() -> None:
    """Those of the plugin's modules, no more and no fewer."""
    defined = [
        name
        for module in (labs, services)
        for name, value in vars(module).items()
        if type(value).__name__ == "FixtureFunctionDefinition"
    ]
    assert sorted(defined) == FIXTURES
    for name in FIXTURES:
        assert f"\n| `{name}` |" in README


@pytest.mark.parametrize("name", [*TYPES, "Workbench"])
def test_every_type_can_be_imported(name: str) -> None:
    """From the package itself, under the name that it has in the reference."""
    assert inspect.isclass(getattr(harness, name))
    assert f"`{name}`" in README or f"harness.{name}`" in README


@pytest.mark.parametrize("name", ["Workbench", "Link"])
def test_every_method_is_in_it(name: str) -> None:
    """With those that are for tests, and without those for the harness itself."""
    internal = {"lab", "plan", "expected", "gaps_s"}
    methods = {each for each in vars(getattr(harness, name)) if not each.startswith("_")} - internal
    assert methods
    for method in methods:
        assert f"\n| `{method}" in README


def test_every_option_is_in_it(pytester: pytest.Pytester) -> None:
    """With its ini option."""
    found = pytester.parseconfig().getini
    for name in ("clock", "lab", "out", "kernel", "wall_limit", "seed", "write"):
        assert not found(f"harness_{name}")
        assert f" | `harness_{name}` | " in README
