from __future__ import annotations

import gc

import pytest


@pytest.fixture(scope="session", autouse=True)
def _privileges(privileges: None) -> None:
    """Every test here builds labs."""


def pytest_collection_finish() -> None:
    """What a session holds until its end is none of the garbage that each test looks for in what it held."""
    gc.collect()
    gc.freeze()
