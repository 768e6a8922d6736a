"""The modules in a package."""

from __future__ import annotations

import pkgutil

from harness.policy import formats, rules
from harness.system import submodules


def test_they_are_those_that_python_knows() -> None:
    """Without the package itself."""
    for package in (formats, rules):
        known = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
        assert submodules.names(package) == known
        assert len(known) > 1
