from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def _privileges(privileges: None) -> None:
    """Every test here builds labs."""
