"""Every fault a scenario can name. A new one: its file in this folder and its name in the union below."""

from __future__ import annotations

from harness.faults.base import Evidence, Fault, Misplaced
from harness.faults.blackhole import Blackhole
from harness.faults.firewall import FirewallFlush, FirewallIdle
from harness.faults.host import Failover, HostSuspend, PeerReboot
from harness.faults.link import LinkDown
from harness.faults.nat import NatRebinding
from harness.faults.process import ProcessFreeze, ProcessKill, StopsReading
from harness.faults.quality import Delay, Duplicate, Loss, Rate, Reorder
from harness.faults.segment import FinSwallowed, RstInjected, SynackDrop, SynDrop

AnyFault = (
    Blackhole
    | Delay
    | Duplicate
    | Failover
    | FinSwallowed
    | FirewallFlush
    | FirewallIdle
    | HostSuspend
    | LinkDown
    | Loss
    | NatRebinding
    | PeerReboot
    | ProcessFreeze
    | ProcessKill
    | Rate
    | Reorder
    | RstInjected
    | StopsReading
    | SynDrop
    | SynackDrop
)

__all__ = [
    "AnyFault",
    "Blackhole",
    "Delay",
    "Duplicate",
    "Evidence",
    "Failover",
    "Fault",
    "FinSwallowed",
    "FirewallFlush",
    "FirewallIdle",
    "HostSuspend",
    "LinkDown",
    "Loss",
    "Misplaced",
    "NatRebinding",
    "PeerReboot",
    "ProcessFreeze",
    "ProcessKill",
    "Rate",
    "Reorder",
    "RstInjected",
    "StopsReading",
    "SynDrop",
    "SynackDrop",
]
