"""Every fault a scenario can name. A new one: its file in this folder and its name in the union below."""

from __future__ import annotations

from harness.faults.address import AddressRemoved
from harness.faults.base import Evidence, Fault
from harness.faults.blackhole import Blackhole
from harness.faults.carrier import CarrierLoss
from harness.faults.container import ContainerKill, ContainerPause, ContainerRestart, NetworkDisconnect
from harness.faults.firewall import FirewallFlush, FirewallIdle
from harness.faults.host import Failover, HostSuspend, PeerReboot
from harness.faults.icmp import IcmpReject
from harness.faults.link import LinkDown
from harness.faults.nat import NatRebinding
from harness.faults.neighbour import NeighbourDeath
from harness.faults.netem import Delay, Duplicate, Loss, Rate, Reorder
from harness.faults.pmtu import PmtuBlackhole
from harness.faults.process import ProcessFreeze, ProcessKill, StopsReading
from harness.faults.route import Route
from harness.faults.tcp_segment import FinSwallowed, RstInjected, SynackDrop, SynDrop
from harness.faults.toxiproxy import (
    ProxyDown,
    ToxicBandwidth,
    ToxicLatency,
    ToxicLimitData,
    ToxicResetPeer,
    ToxicSlicer,
    ToxicSlowClose,
    ToxicTimeout,
)

AnyFault = (
    AddressRemoved
    | Blackhole
    | CarrierLoss
    | ContainerKill
    | ContainerPause
    | ContainerRestart
    | Delay
    | Duplicate
    | Failover
    | FinSwallowed
    | FirewallFlush
    | FirewallIdle
    | HostSuspend
    | IcmpReject
    | LinkDown
    | Loss
    | NatRebinding
    | NeighbourDeath
    | NetworkDisconnect
    | PeerReboot
    | PmtuBlackhole
    | ProcessFreeze
    | ProcessKill
    | ProxyDown
    | Rate
    | Reorder
    | Route
    | RstInjected
    | StopsReading
    | SynDrop
    | SynackDrop
    | ToxicBandwidth
    | ToxicLatency
    | ToxicLimitData
    | ToxicResetPeer
    | ToxicSlicer
    | ToxicSlowClose
    | ToxicTimeout
)

__all__ = [
    "AddressRemoved",
    "AnyFault",
    "Blackhole",
    "CarrierLoss",
    "ContainerKill",
    "ContainerPause",
    "ContainerRestart",
    "Delay",
    "Duplicate",
    "Evidence",
    "Failover",
    "Fault",
    "FinSwallowed",
    "FirewallFlush",
    "FirewallIdle",
    "HostSuspend",
    "IcmpReject",
    "LinkDown",
    "Loss",
    "NatRebinding",
    "NeighbourDeath",
    "NetworkDisconnect",
    "PeerReboot",
    "PmtuBlackhole",
    "ProcessFreeze",
    "ProcessKill",
    "ProxyDown",
    "Rate",
    "Reorder",
    "Route",
    "RstInjected",
    "StopsReading",
    "SynDrop",
    "SynackDrop",
    "ToxicBandwidth",
    "ToxicLatency",
    "ToxicLimitData",
    "ToxicResetPeer",
    "ToxicSlicer",
    "ToxicSlowClose",
    "ToxicTimeout",
]
