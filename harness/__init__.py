"""Proves when, and with which error, a networked program notices that its peer is gone.

The public names; each is loaded when it is first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.api.container_session import Attachment
    from harness.api.detection import Detection, Expected
    from harness.api.lab_session import Link, Workbench
    from harness.errors import HarnessError
    from harness.faults import (
        AddressRemoved,
        Blackhole,
        CarrierLoss,
        ContainerKill,
        ContainerPause,
        ContainerRestart,
        Delay,
        Duplicate,
        Failover,
        FinSwallowed,
        FirewallFlush,
        FirewallIdle,
        HostSuspend,
        IcmpReject,
        LinkDown,
        Loss,
        NatRebinding,
        NeighbourDeath,
        NetworkDisconnect,
        PeerReboot,
        PmtuBlackhole,
        ProcessFreeze,
        ProcessKill,
        ProxyDown,
        Rate,
        Reorder,
        Route,
        RstInjected,
        StopsReading,
        SynackDrop,
        SynDrop,
        ToxicBandwidth,
        ToxicLatency,
        ToxicLimitData,
        ToxicResetPeer,
        ToxicSlicer,
        ToxicSlowClose,
        ToxicTimeout,
    )
    from harness.judge.verdict import Verdict
    from harness.lab.host import Host
    from harness.lab.process import Program
    from harness.model.programs import Command, Detects, IdleState, IdleTimer, Ready, Reaper, Separate, Simple, Urgent
    from harness.model.topology import Topology
    from harness.plan.plan import Plan
    from harness.pytest_plugin.fixtures import AttachFixture, LabFixture
    from harness.runner.injection import Injection
    from harness.scenario.schema import Endpoint, Expect, Keepalive, Scenario

__version__ = "0.1.0"

_HOMES = {
    "AddressRemoved": "harness.faults",
    "AttachFixture": "harness.pytest_plugin.fixtures",
    "Attachment": "harness.api.container_session",
    "Blackhole": "harness.faults",
    "CarrierLoss": "harness.faults",
    "Command": "harness.model.programs",
    "ContainerKill": "harness.faults",
    "ContainerPause": "harness.faults",
    "ContainerRestart": "harness.faults",
    "Delay": "harness.faults",
    "Detection": "harness.api.detection",
    "Detects": "harness.model.programs",
    "Duplicate": "harness.faults",
    "Endpoint": "harness.scenario.schema",
    "Expect": "harness.scenario.schema",
    "Expected": "harness.api.detection",
    "Failover": "harness.faults",
    "FinSwallowed": "harness.faults",
    "FirewallFlush": "harness.faults",
    "FirewallIdle": "harness.faults",
    "HarnessError": "harness.errors",
    "Host": "harness.lab.host",
    "HostSuspend": "harness.faults",
    "IcmpReject": "harness.faults",
    "IdleState": "harness.model.programs",
    "IdleTimer": "harness.model.programs",
    "Injection": "harness.runner.injection",
    "Keepalive": "harness.scenario.schema",
    "LabFixture": "harness.pytest_plugin.fixtures",
    "Link": "harness.api.lab_session",
    "LinkDown": "harness.faults",
    "Loss": "harness.faults",
    "NatRebinding": "harness.faults",
    "NeighbourDeath": "harness.faults",
    "NetworkDisconnect": "harness.faults",
    "PeerReboot": "harness.faults",
    "Plan": "harness.plan.plan",
    "PmtuBlackhole": "harness.faults",
    "ProcessFreeze": "harness.faults",
    "ProcessKill": "harness.faults",
    "Program": "harness.lab.process",
    "ProxyDown": "harness.faults",
    "Rate": "harness.faults",
    "Ready": "harness.model.programs",
    "Reaper": "harness.model.programs",
    "Reorder": "harness.faults",
    "Route": "harness.faults",
    "RstInjected": "harness.faults",
    "Scenario": "harness.scenario.schema",
    "Separate": "harness.model.programs",
    "Simple": "harness.model.programs",
    "StopsReading": "harness.faults",
    "SynDrop": "harness.faults",
    "SynackDrop": "harness.faults",
    "Topology": "harness.model.topology",
    "ToxicBandwidth": "harness.faults",
    "ToxicLatency": "harness.faults",
    "ToxicLimitData": "harness.faults",
    "ToxicResetPeer": "harness.faults",
    "ToxicSlicer": "harness.faults",
    "ToxicSlowClose": "harness.faults",
    "ToxicTimeout": "harness.faults",
    "Urgent": "harness.model.programs",
    "Verdict": "harness.judge.verdict",
    "Workbench": "harness.api.lab_session",
}

__all__ = [
    "AddressRemoved",
    "AttachFixture",
    "Attachment",
    "Blackhole",
    "CarrierLoss",
    "Command",
    "ContainerKill",
    "ContainerPause",
    "ContainerRestart",
    "Delay",
    "Detection",
    "Detects",
    "Duplicate",
    "Endpoint",
    "Expect",
    "Expected",
    "Failover",
    "FinSwallowed",
    "FirewallFlush",
    "FirewallIdle",
    "HarnessError",
    "Host",
    "HostSuspend",
    "IcmpReject",
    "IdleState",
    "IdleTimer",
    "Injection",
    "Keepalive",
    "LabFixture",
    "Link",
    "LinkDown",
    "Loss",
    "NatRebinding",
    "NeighbourDeath",
    "NetworkDisconnect",
    "PeerReboot",
    "Plan",
    "PmtuBlackhole",
    "ProcessFreeze",
    "ProcessKill",
    "Program",
    "ProxyDown",
    "Rate",
    "Ready",
    "Reaper",
    "Reorder",
    "Route",
    "RstInjected",
    "Scenario",
    "Separate",
    "Simple",
    "StopsReading",
    "SynDrop",
    "SynackDrop",
    "Topology",
    "ToxicBandwidth",
    "ToxicLatency",
    "ToxicLimitData",
    "ToxicResetPeer",
    "ToxicSlicer",
    "ToxicSlowClose",
    "ToxicTimeout",
    "Urgent",
    "Verdict",
    "Workbench",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
