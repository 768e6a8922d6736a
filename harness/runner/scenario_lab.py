"""The lab that a scenario needs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from harness.faults.host import NewHost
from harness.lab.factory import built
from harness.lab.host import Lab
from harness.lab.watched import Watched, between_ends
from harness.model.programs import Separate
from harness.model.topology import SIDES, LabKind, Layout
from harness.runner.watched_connections import known_connections
from harness.scenario.schema import Scenario
from harness.subjects.tcp_driver import PORT
from harness.timeline import Event


def realised(scenario: Scenario, kind: LabKind) -> AbstractContextManager[Lab]:
    """A lab for a scenario, to be entered: with what takes rebooted hosts' places, if
    containers.
    """
    images: dict[str, str] = {
        side: scenario.endpoint(side).image for side in SIDES if scenario.endpoint(side).image
    }
    spares = [fault.on for fault in scenario.faults if isinstance(fault, NewHost)]
    return built(scenario.topology, kind, images, _folders(scenario), spares)


def watched_in(scenario: Scenario, layout: Layout, events: Sequence[Event] = ()) -> Watched:
    """The connection that a scenario is about, as far as the events so far tell it.

    Heartbeats of their own are on another one, at any port, and count.
    """
    if isinstance(scenario.client.heartbeat, Separate):
        return between_ends(layout, None)
    known = known_connections(layout, events, later=later_counts(scenario))
    return msgspec.structs.replace(between_ends(layout, PORT), known=known)


def later_counts(scenario: Scenario) -> bool:
    """Whether a connection that takes the lost one's place counts: where a claim is about it, and
    where there is none.
    """
    claims = [scenario.expect.of(side) for side in scenario.judged]
    return any(
        claim.outcome == "any" or claim.reconnects_s is not None or claim.recovers_s is not None
        for claim in claims
    )


def _folders(scenario: Scenario) -> set[Path]:
    """Where the files are that a scenario's commands name, and the folders in which they run."""
    found = set()
    for _, _, command in scenario.commands:
        for word in (*command.argv, *command.env.values(), command.folder):
            path = Path(word)
            if path.is_absolute() and path.exists():
                found.add(path if path.is_dir() else path.parent)
    return {folder for folder in found if len(folder.parts) > 1}
