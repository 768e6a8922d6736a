"""Baselines as test items: each cell of a `*.baseline.toml` file is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.pytest_plugin import options, scenarios
from harness.system.escapes import visible

if TYPE_CHECKING:
    from harness.scenario.schema import Scenario

SUFFIX = ".baseline.toml"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Files named *.baseline.toml are collected."""
    if file_path.name.endswith(SUFFIX):
        return BaselineFile.from_parent(parent, path=file_path)
    return None


class BaselineFile(pytest.File):
    """What `harness examine` measured: an item for each cell. What cannot be proven is skipped."""

    def collect(self) -> Iterator[pytest.Item]:
        """A file that cannot be loaded or planned is a collection error.

        What was measured in virtual time would take hours of real time, and is left out there.
        """
        from harness.errors import UsageError
        from harness.scenario import baselines

        try:
            found = baselines.load(self.path)
            for claim in baselines.claims(found):
                yield self._item(claim, found.clock)
            for name, why in baselines.unclaimed(found).items():
                yield scenarios.LeftOut.from_parent(self, name=name, reason=f"{name}: {why}")
        except UsageError as error:
            raise self.CollectError(visible(str(error))) from error

    def _item(self, claim: Scenario, clock: str) -> pytest.Item:
        """The item of one cell. Raises UsageError."""
        import msgspec

        from harness.plan import planner
        from harness.plan.local_machine import local_machine
        from harness.scenario import loader

        given = options.of(self.config)
        if given.no_commands:
            loader.refuse_programs(claim)
        leaf = claim.name.rpartition("/")[2]
        folder = scenarios.name_of(self.path, self.config.rootpath).removesuffix(SUFFIX)
        scenario = msgspec.structs.replace(claim, name=f"{folder}/{leaf}")
        machine = local_machine(given.lab)
        lacking = scenarios.lacking_in(scenario, machine)
        if clock == "virtual" and machine.clock != "virtual":
            lacking = "it was measured in virtual time: pytest --clock virtual"
        item: pytest.Item
        if lacking:
            item = scenarios.LeftOut.from_parent(self, name=leaf, reason=lacking)
        else:
            made = planner.make(scenario, machine)
            item = scenarios.ScenarioItem.from_parent(self, name=leaf, plan=made)
        for mark in scenarios.marks(scenario):
            item.add_marker(mark)
        return item
