"""Every fault a scenario can name. A new one: its file in this folder and its name in the union below."""

from __future__ import annotations

from harness.faults.base import Evidence, Fault, Misplaced
from harness.faults.blackhole import Blackhole
from harness.faults.firewall import FirewallIdle
from harness.faults.host import PeerReboot, ProcessFreeze, ProcessKill
from harness.faults.link import LinkDown
from harness.faults.segment import FinSwallowed, RstInjected, SynackDrop, SynDrop

AnyFault = (
    Blackhole
    | FinSwallowed
    | FirewallIdle
    | LinkDown
    | PeerReboot
    | ProcessFreeze
    | ProcessKill
    | RstInjected
    | SynDrop
    | SynackDrop
)

__all__ = [
    "AnyFault",
    "Blackhole",
    "Evidence",
    "Fault",
    "FinSwallowed",
    "FirewallIdle",
    "LinkDown",
    "Misplaced",
    "PeerReboot",
    "ProcessFreeze",
    "ProcessKill",
    "RstInjected",
    "SynDrop",
    "SynackDrop",
]
