from __future__ import annotations

import pytest

from harness.errors import CapabilityError
from harness.lab.namespace import ensure_privileges

pytest.register_assert_rewrite("tests.conformance.traces")


@pytest.fixture(scope="session", autouse=True)
def _privileges() -> None:
    """Labs need root or a user namespace; without either the tests are left out, with the reason."""
    try:
        ensure_privileges()
    except CapabilityError as reason:
        pytest.skip(str(reason))
