"""How to get what is missing: commands that work in a checkout, and where a wheel was installed."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import harness
from harness.errors import CapabilityError
from harness.lab import toxiproxy_server
from harness.system import fixes

CHECKOUT = Path(__file__).parents[3]
PACKAGE = Path(harness.__file__).parent
FROM_A_WHEEL = "pip install|ci/(setup|libraries|kernel|demo)"
"""What a message may name in one of the two places only."""


def texts(pattern: str) -> Iterator[tuple[Path, str]]:
    """The strings of the package's code that match, with their files, but for docstrings."""
    for path in PACKAGE.rglob("*.py"):
        if not re.search(pattern, path.read_text()):
            continue
        tree = ast.parse(path.read_text())
        statements = (node.value for node in ast.walk(tree) if isinstance(node, ast.Expr))
        docs = {id(value) for value in statements if isinstance(value, ast.Constant)}
        for node in ast.walk(tree):
            if (
                not isinstance(node, ast.Constant)
                or not isinstance(node.value, str)
                or id(node) in docs
            ):
                continue
            if re.search(pattern, node.value):
                yield path, node.value


def test_every_extra_that_a_fix_names_exists() -> None:
    """Under its name in pyproject.toml, as an index has it.

    And each is in the one that has them all.
    """
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert project["name"] == fixes.DISTRIBUTION
    assert set(get_args(fixes.Extra)) == set(extras) - {"all"}
    assert extras["all"] == [f"{fixes.DISTRIBUTION}[{','.join(sorted(get_args(fixes.Extra)))}]"]


def test_all_such_words_come_from_one_place() -> None:
    """No other module names a script of the checkout, or how to install something."""
    found = {path.name for path, _ in texts(FROM_A_WHEEL)}
    assert found == {"fixes.py"}


def test_from_a_wheel_no_script_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """There is none; the package is installed into the environment that runs."""
    monkeypatch.setattr(fixes, "checkout", lambda: None)
    assert (
        fixes.install_extra("docker")
        == f"{sys.executable} -m pip install 'keepalive-harness[docker]'"
    )
    assert fixes.libraries().startswith("call ci/libraries in a checkout of keepalive-harness; ")
    assert fixes.toxiproxy_server().startswith(
        "put toxiproxy-server of https://github.com/Shopify/toxiproxy/releases"
    )
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(CapabilityError) as caught:
        toxiproxy_server.server()
    assert caught.value.fix == fixes.toxiproxy_server()


def test_in_a_checkout_its_scripts_are_named_with_their_paths(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that the command works from any folder, and for the environment that runs."""
    monkeypatch.setattr(sys, "prefix", str(CHECKOUT / ".venv"))
    setup = f"call {CHECKOUT / 'ci' / 'setup'}"
    assert fixes.checkout() == CHECKOUT
    assert (CHECKOUT / "ci" / "setup").is_file()
    assert (CHECKOUT / "ci" / "libraries").is_file()
    assert fixes.install_extra("fuzz") == setup
    assert fixes.libraries() == f"call {CHECKOUT / 'ci' / 'libraries'}"
    monkeypatch.setattr(sys, "prefix", "/usr")
    assert fixes.install_extra("fuzz") == f"{sys.executable} -m pip install '{CHECKOUT}[fuzz]'"
    assert fixes.toxiproxy_server().startswith(
        f"{setup} where there is Go or a docker daemon; or put "
    )


def test_an_installed_package_is_no_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever lies beside it."""
    monkeypatch.setattr(fixes, "__file__", str(tmp_path / "site-packages" / "harness" / "fixes.py"))
    assert fixes.checkout() is None


def test_one_figure_for_the_build_of_a_kernel() -> None:
    """In every text that names one."""
    files = [
        *CHECKOUT.glob("*.md"),
        *CHECKOUT.glob("harness/**/*.md"),
        *CHECKOUT.glob("harness/**/*.py"),
    ]
    files += [CHECKOUT / "ci" / name for name in ("demo", "kernel", "setup", "test")]
    said = {
        found
        for path in files
        for found in re.findall(r"\w+ \w+ minutes\s+on\s+(?:2|two)\s+cores", path.read_text())
    }
    assert said
    assert {" ".join(each.split()) for each in said} == {fixes.KERNEL_BUILD_TIME}
