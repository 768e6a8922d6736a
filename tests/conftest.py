"""What tests of more than one folder share."""

from __future__ import annotations

import pytest

from harness import capabilities
from harness.errors import CapabilityError
from harness.lab.namespace import ensure_privileges
from harness.venue.kernel import Kernel, find

pytest.register_assert_rewrite("tests.conformance.traces")


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
