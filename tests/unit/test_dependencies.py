"""What every installation has: a policy may name files of any format."""

from __future__ import annotations

import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def test_yaml_is_read_without_an_extra() -> None:
    """A commit hook and a CI job install the package alone."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert any(each.startswith("ruamel.yaml") for each in project["dependencies"])
    assert "yaml" not in project["optional-dependencies"]


def test_pages_are_made_without_an_extra() -> None:
    """`--html` is for everyone, and only it imports Jinja2."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert any(each.startswith("jinja2") for each in project["dependencies"])
