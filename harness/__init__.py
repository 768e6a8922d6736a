"""Proves when, and with which error, a networked program notices that its peer is gone.

The public names; each is loaded when it is first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.errors import HarnessError
    from harness.faults import Blackhole, FirewallIdle, LinkDown, PeerReboot, ProcessFreeze, ProcessKill
    from harness.judge import Verdict
    from harness.lab.topology import Topology
    from harness.plan import Plan
    from harness.scenario import Endpoint, Expect, Keepalive, Scenario

__version__ = "0.1.0"

_HOMES = {
    "Blackhole": "harness.faults",
    "Endpoint": "harness.scenario",
    "Expect": "harness.scenario",
    "FirewallIdle": "harness.faults",
    "HarnessError": "harness.errors",
    "Keepalive": "harness.scenario",
    "LinkDown": "harness.faults",
    "PeerReboot": "harness.faults",
    "Plan": "harness.plan",
    "ProcessFreeze": "harness.faults",
    "ProcessKill": "harness.faults",
    "Scenario": "harness.scenario",
    "Topology": "harness.lab.topology",
    "Verdict": "harness.judge",
}

__all__ = [
    "Blackhole",
    "Endpoint",
    "Expect",
    "FirewallIdle",
    "HarnessError",
    "Keepalive",
    "LinkDown",
    "PeerReboot",
    "Plan",
    "ProcessFreeze",
    "ProcessKill",
    "Scenario",
    "Topology",
    "Verdict",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
