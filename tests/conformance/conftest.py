from __future__ import annotations

import gc

import pytest

from harness.model.topology import Topology
from harness.system import kernel_clock
from tests.conformance.halves import Placed, clock_of, sample
from tests.running import EXHAUSTIVE


@pytest.fixture(scope="session", autouse=True)
def _privileges(privileges: None) -> None:
    """Every test here builds labs."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests of the other clock to it, but in an exhaustive run, and where a single test
    is named.
    """
    if EXHAUSTIVE or any("::" in argument for argument in config.args):
        return
    placed = {item: place for item in items if (place := _placed(item))}
    if kernel_clock.clock() == "virtual":
        chosen = sample(placed.values())
    else:
        chosen = {test.name for test in placed.values() if clock_of(*test) == "real"}
    others = {item for item, test in placed.items() if test.name not in chosen}
    config.hook.pytest_deselected(items=list(others))
    items[:] = [item for item in items if item not in others]


def _placed(item: pytest.Item) -> Placed | None:
    """The test with its topology.

    None where it runs on both clocks: without a topology, or of containers or guests.
    """
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return None
    if any(item.get_closest_marker(mark) for mark in ("virtual", "containers", "alone", "quiet")):
        return None
    values = item.callspec.params.values()
    places = [getattr(value, "topology", value) for value in values]
    place = next((place for place in places if isinstance(place, Topology)), None)
    return None if place is None else Placed(item.nodeid, place.kind, place.family)


def pytest_collection_finish() -> None:
    """What a session holds until its end is none of the garbage that each test looks for in what it
    held.
    """
    gc.collect()
    gc.freeze()
