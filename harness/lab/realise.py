"""The lab of the kind that is asked for, of what a scenario needs of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.lab.topology import SIDES, Topology
from harness.scenario import NEW_HOSTS, Scenario

if TYPE_CHECKING:
    from harness.lab.host import Lab
    from harness.plan import LabKind


def realised(scenario: Scenario, kind: LabKind) -> AbstractContextManager[Lab]:
    """A lab for a scenario, to be entered: with what takes rebooted hosts' places, if containers."""
    images: dict[str, str] = {side: scenario.endpoint(side).image for side in SIDES if scenario.endpoint(side).image}
    spares = [fault.on for fault in scenario.faults if isinstance(fault, NEW_HOSTS)]
    return built(scenario.topology, kind, images, _folders(scenario), spares)


def built(
    topology: Topology,
    kind: LabKind,
    images: Mapping[str, str] | None = None,
    shown: Collection[Path] = (),
    spares: Collection[str] = (),
) -> AbstractContextManager[Lab]:
    """A lab of a topology, to be entered; `images`, `shown` and `spares` are the docker lab's. Raises UsageError."""
    if kind == "docker":
        from harness.lab.docker import DockerLab

        return DockerLab(topology, images, shown, spares)
    if images:
        raise UsageError(f"images: expected none without containers, found {', '.join(images.values())}")
    from harness.lab.netns import NetnsLab

    return NetnsLab(topology)


def _folders(scenario: Scenario) -> set[Path]:
    """Where the files are that a scenario's commands name, and the folders in which they run."""
    found = set()
    for _, _, command in scenario.commands:
        for word in (*command.argv, *command.env.values(), command.folder):
            path = Path(word)
            if path.is_absolute() and path.exists():
                found.add(path if path.is_dir() else path.parent)
    return {folder for folder in found if len(folder.parts) > 1}
