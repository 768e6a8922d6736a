"""The lab that a scenario needs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from harness.faults.host import NewHost
from harness.lab.factory import built
from harness.lab.host import Lab
from harness.lab.watched import Watched, between_ends
from harness.model.programs import Separate
from harness.model.topology import SIDES, LabKind, Layout
from harness.scenario.schema import Scenario
from harness.subjects.tcp_driver import PORT


def realised(scenario: Scenario, kind: LabKind) -> AbstractContextManager[Lab]:
    """A lab for a scenario, to be entered: with what takes rebooted hosts' places, if
    containers.
    """
    images: dict[str, str] = {
        side: scenario.endpoint(side).image for side in SIDES if scenario.endpoint(side).image
    }
    spares = [fault.on for fault in scenario.faults if isinstance(fault, NewHost)]
    return built(scenario.topology, kind, images, _folders(scenario), spares)


def watched_in(scenario: Scenario, layout: Layout) -> Watched:
    """The connection that a scenario is about.

    Heartbeats of their own are on another one, at any port, and count.
    """
    separate = isinstance(scenario.client.heartbeat, Separate)
    return between_ends(layout, None if separate else PORT)


def _folders(scenario: Scenario) -> set[Path]:
    """Where the files are that a scenario's commands name, and the folders in which they run."""
    found = set()
    for _, _, command in scenario.commands:
        for word in (*command.argv, *command.env.values(), command.folder):
            path = Path(word)
            if path.is_absolute() and path.exists():
                found.add(path if path.is_dir() else path.parent)
    return {folder for folder in found if len(folder.parts) > 1}
