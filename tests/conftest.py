"""What tests of more than one folder share."""

from __future__ import annotations

import os

import pytest

from harness import capabilities
from harness.errors import CapabilityError
from harness.lab.namespace import ensure_privileges
from harness.venue.kernel import Kernel, find

pytest.register_assert_rewrite("tests.conformance.traces")


ASKED_FOR = frozenset([*os.environ.get("REQUIRE", "").split(), *(["toxiproxy-server"] if os.environ.get("CI") else [])])
"""What must be there: "docker", "toxiproxy-server"; on a CI machine the latter always. Tests that need what is missing
fail then, or else say so."""


@pytest.fixture(autouse=True)
def _needs(request: pytest.FixtureRequest) -> None:
    """Leave out, with the reason, what needs something that this machine lacks; fail where it was asked for."""
    for mark in request.node.iter_markers("needs"):
        found = next(each for each in (capabilities.docker(), capabilities.toxiproxy()) if each.name == mark.args[0])
        reason = "" if found.available else f"{found.name}: {found.found}. Mend: {found.mend}"
        if capabilities.clock() == "virtual" and found.name == "docker":
            pytest.skip("there are no containers in a guest")
        if reason and found.name in ASKED_FOR:
            pytest.fail(f"asked for by REQUIRE, and missing: {reason}", pytrace=False)
        if reason:
            pytest.skip(reason)


@pytest.fixture(scope="session")
def privileges() -> None:
    """Labs need root or a user namespace; without either the tests are left out, with the reason."""
    try:
        ensure_privileges()
    except CapabilityError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def kernel() -> Kernel:
    """The newest kernel for virtual time that is built."""
    if capabilities.clock() == "virtual":
        pytest.skip("this is a guest already: there are none within one")
    try:
        return find(None)
    except CapabilityError as reason:
        pytest.skip(f"virtual time is left out: {reason}")
