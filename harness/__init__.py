"""Proves when, and with which error, a networked program notices that its peer is gone.

The public names; each is loaded when it is first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.errors import HarnessError
    from harness.faults import (
        AddressRemoved,
        Blackhole,
        CarrierLoss,
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
    from harness.judge import Verdict
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
    from harness.scenario import Endpoint, Expect, Keepalive, Scenario

__version__ = "0.1.0"

_HOMES = {
    "AddressRemoved": "harness.faults",
    "Blackhole": "harness.faults",
    "CarrierLoss": "harness.faults",
    "Command": "harness.programs",
    "Delay": "harness.faults",
    "Detects": "harness.programs",
    "Duplicate": "harness.faults",
    "Endpoint": "harness.scenario",
    "Expect": "harness.scenario",
    "Failover": "harness.faults",
    "FinSwallowed": "harness.faults",
    "FirewallFlush": "harness.faults",
    "FirewallIdle": "harness.faults",
    "HarnessError": "harness.errors",
    "HostSuspend": "harness.faults",
    "IcmpReject": "harness.faults",
    "IdleState": "harness.programs",
    "IdleTimer": "harness.programs",
    "Keepalive": "harness.scenario",
    "LinkDown": "harness.faults",
    "Loss": "harness.faults",
    "NatRebinding": "harness.faults",
    "NeighbourDeath": "harness.faults",
    "PeerReboot": "harness.faults",
    "Plan": "harness.plan",
    "PmtuBlackhole": "harness.faults",
    "ProcessFreeze": "harness.faults",
    "ProcessKill": "harness.faults",
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
}

__all__ = [
    "AddressRemoved",
    "Blackhole",
    "CarrierLoss",
    "Command",
    "Delay",
    "Detects",
    "Duplicate",
    "Endpoint",
    "Expect",
    "Failover",
    "FinSwallowed",
    "FirewallFlush",
    "FirewallIdle",
    "HarnessError",
    "HostSuspend",
    "IcmpReject",
    "IdleState",
    "IdleTimer",
    "Keepalive",
    "LinkDown",
    "Loss",
    "NatRebinding",
    "NeighbourDeath",
    "PeerReboot",
    "Plan",
    "PmtuBlackhole",
    "ProcessFreeze",
    "ProcessKill",
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
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
