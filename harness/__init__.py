"""Proves when, and with which error, a networked program detects that its peer is gone.

The public names; each is loaded when it is first used, so that importing the package costs next to
nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `as`: these names are for others
    from harness.api.container_session import Attachment as Attachment
    from harness.api.detection import Detection as Detection
    from harness.api.detection import Expected as Expected
    from harness.api.lab_session import Link as Link
    from harness.api.lab_session import Workbench as Workbench
    from harness.errors import HarnessError as HarnessError
    from harness.faults import *  # noqa: F403 - the faults, of which each is in a file of its own
    from harness.judge.verdict import Verdict as Verdict
    from harness.lab.host import Host as Host
    from harness.lab.process import Program as Program
    from harness.model.programs import Command as Command
    from harness.model.programs import Detects as Detects
    from harness.model.programs import IdleState as IdleState
    from harness.model.programs import IdleTimer as IdleTimer
    from harness.model.programs import Ready as Ready
    from harness.model.programs import Reaper as Reaper
    from harness.model.programs import Separate as Separate
    from harness.model.programs import Simple as Simple
    from harness.model.programs import Urgent as Urgent
    from harness.model.topology import Topology as Topology
    from harness.plan.plan import Plan as Plan
    from harness.pytest_plugin.fixtures import AttachFixture as AttachFixture
    from harness.pytest_plugin.fixtures import LabFixture as LabFixture
    from harness.runner.injection import Injection as Injection
    from harness.scenario.schema import Endpoint as Endpoint
    from harness.scenario.schema import Expect as Expect
    from harness.scenario.schema import Keepalive as Keepalive
    from harness.scenario.schema import Scenario as Scenario

__version__ = "0.1.0"

_HOMES = {
    "AttachFixture": "harness.pytest_plugin.fixtures",
    "Attachment": "harness.api.container_session",
    "Command": "harness.model.programs",
    "Detection": "harness.api.detection",
    "Detects": "harness.model.programs",
    "Endpoint": "harness.scenario.schema",
    "Expect": "harness.scenario.schema",
    "Expected": "harness.api.detection",
    "HarnessError": "harness.errors",
    "Host": "harness.lab.host",
    "IdleState": "harness.model.programs",
    "IdleTimer": "harness.model.programs",
    "Injection": "harness.runner.injection",
    "Keepalive": "harness.scenario.schema",
    "LabFixture": "harness.pytest_plugin.fixtures",
    "Link": "harness.api.lab_session",
    "Plan": "harness.plan.plan",
    "Program": "harness.lab.process",
    "Ready": "harness.model.programs",
    "Reaper": "harness.model.programs",
    "Scenario": "harness.scenario.schema",
    "Separate": "harness.model.programs",
    "Simple": "harness.model.programs",
    "Topology": "harness.model.topology",
    "Urgent": "harness.model.programs",
    "Verdict": "harness.judge.verdict",
    "Workbench": "harness.api.lab_session",
}


def _public() -> list[str]:
    """The names above and those of the faults, which are known once their modules are imported."""
    faults = importlib.import_module("harness.faults").FAULTS
    return sorted([*_HOMES, *(fault.__name__ for fault in faults.values())])


def __getattr__(name: str) -> object:
    if name == "__all__":
        return _public()
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name[:1].isupper() and name in _public():
        return getattr(importlib.import_module("harness.faults"), name)
    raise AttributeError(f"module 'harness' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_public()])
