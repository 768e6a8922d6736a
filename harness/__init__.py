"""Proves when, and with which error, a networked program notices that its peer is gone.

The public names; each is loaded when it is first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.attachment import Attachment
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
    from harness.injection import Injection
    from harness.judge import Verdict
    from harness.lab.host import Host
    from harness.lab.program import Program
    from harness.lab.topology import Topology
    from harness.plan import Plan
    from harness.programs import (
        Command,
        Detects,
        IdleState,
        IdleTimer,
        Ready,
        Reaper,
        Separate,
        Simple,
        Urgent,
    )
    from harness.pytest_plugin.fixtures import AttachFixture, LabFixture
    from harness.scenario import Endpoint, Expect, Keepalive, Scenario
    from harness.workbench import Detection, Expected, Link, Workbench

__version__ = "0.1.0"

_HOMES = {
    "AddressRemoved": "harness.faults",
    "AttachFixture": "harness.pytest_plugin.fixtures",
    "Attachment": "harness.attachment",
    "Blackhole": "harness.faults",
    "CarrierLoss": "harness.faults",
    "Command": "harness.programs",
    "ContainerKill": "harness.faults",
    "ContainerPause": "harness.faults",
    "ContainerRestart": "harness.faults",
    "Delay": "harness.faults",
    "Detection": "harness.workbench",
    "Detects": "harness.programs",
    "Duplicate": "harness.faults",
    "Endpoint": "harness.scenario",
    "Expect": "harness.scenario",
    "Expected": "harness.workbench",
    "Failover": "harness.faults",
    "FinSwallowed": "harness.faults",
    "FirewallFlush": "harness.faults",
    "FirewallIdle": "harness.faults",
    "HarnessError": "harness.errors",
    "Host": "harness.lab.host",
    "HostSuspend": "harness.faults",
    "IcmpReject": "harness.faults",
    "IdleState": "harness.programs",
    "IdleTimer": "harness.programs",
    "Injection": "harness.injection",
    "Keepalive": "harness.scenario",
    "LabFixture": "harness.pytest_plugin.fixtures",
    "Link": "harness.workbench",
    "LinkDown": "harness.faults",
    "Loss": "harness.faults",
    "NatRebinding": "harness.faults",
    "NeighbourDeath": "harness.faults",
    "NetworkDisconnect": "harness.faults",
    "PeerReboot": "harness.faults",
    "Plan": "harness.plan",
    "PmtuBlackhole": "harness.faults",
    "ProcessFreeze": "harness.faults",
    "ProcessKill": "harness.faults",
    "Program": "harness.lab.program",
    "ProxyDown": "harness.faults",
    "Rate": "harness.faults",
    "Ready": "harness.programs",
    "Reaper": "harness.programs",
    "Reorder": "harness.faults",
    "Route": "harness.faults",
    "RstInjected": "harness.faults",
    "Scenario": "harness.scenario",
    "Separate": "harness.programs",
    "Simple": "harness.programs",
    "StopsReading": "harness.faults",
    "SynDrop": "harness.faults",
    "SynackDrop": "harness.faults",
    "Topology": "harness.lab.topology",
    "ToxicBandwidth": "harness.faults",
    "ToxicLatency": "harness.faults",
    "ToxicLimitData": "harness.faults",
    "ToxicResetPeer": "harness.faults",
    "ToxicSlicer": "harness.faults",
    "ToxicSlowClose": "harness.faults",
    "ToxicTimeout": "harness.faults",
    "Urgent": "harness.programs",
    "Verdict": "harness.judge",
    "Workbench": "harness.workbench",
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
