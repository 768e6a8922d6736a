"""The lab of the kind that is asked for, of what a scenario needs of it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.lab.topology import SIDES
from harness.scenario import NEW_HOSTS, Scenario

if TYPE_CHECKING:
    from harness.lab.host import Lab
    from harness.plan import LabKind


def realised(scenario: Scenario, kind: LabKind) -> AbstractContextManager[Lab]:
    """A lab for a scenario, to be entered. What only one kind takes is imported with it."""
    if kind == "netns":
        from harness.lab.netns import NetnsLab

        return NetnsLab(scenario.topology)
    from harness.lab.docker import DockerLab

    images: dict[str, str] = {side: scenario.endpoint(side).image for side in SIDES if scenario.endpoint(side).image}
    spares = [fault.on for fault in scenario.faults if isinstance(fault, NEW_HOSTS)]
    return DockerLab(scenario.topology, images, _folders(scenario), spares)


def _folders(scenario: Scenario) -> set[Path]:
    """Where the files are that a scenario's commands name, and the folders in which they run."""
    found = set()
    for side in SIDES:
        command = scenario.endpoint(side).command
        for word in () if command is None else (*command.argv, *command.env.values(), command.folder):
            path = Path(word)
            if path.is_absolute() and path.exists():
                found.add(path if path.is_dir() else path.parent)
    return {folder for folder in found if len(folder.parts) > 1}
