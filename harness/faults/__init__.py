"""Every fault that a scenario can name, found in the modules of this folder: a new fault is one new
file here.

A fault is a class with a tag of its own, its `kind` in scenario files (see README.md). `FAULTS` has
all of them by kind. Whatever needs every fault asks it: the decoding of scenarios, `harness list
--faults`, error messages, tests.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Union

from harness.faults.base import Evidence as Evidence
from harness.faults.base import Fault as Fault
from harness.system.spelling import nearest


def _derived(base: type[Fault]) -> Iterator[type[Fault]]:
    for each in base.__subclasses__():
        yield each
        yield from _derived(each)


def _registered() -> dict[str, type[Fault]]:
    """Import the modules of this folder, in the order of their names, and return what faults they
    have, by kind.
    """
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    found: dict[str, type[Fault]] = {}
    for fault in _derived(Fault):
        kind = fault.kind_name()
        if kind == fault.__name__:  # msgspec's default, for a class that other faults share
            continue
        if kind in found:
            raise TypeError(f"expected one fault of kind {kind}, found {found[kind]} and {fault}")
        found[kind] = fault
    return dict(sorted(found.items()))


FAULTS = _registered()
"""The classes of all faults, by kind."""


def meant(word: object, known: Collection[str] = FAULTS.keys()) -> list[str]:
    """The kinds, of those known, that have this other name.

    Or else the one that is spelled most like it.
    """
    named = [kind for kind, fault in FAULTS.items() if kind in known and word in fault.also_called]
    return named or nearest(word, known)


if TYPE_CHECKING:
    # Type checkers cannot run the search above, so that they have to be told the names. They are
    # not needed for anything else: a fault that is missing here can be imported from its own
    # module.
    AnyFault = Fault
    from harness.faults.address import AddressRemoved as AddressRemoved
    from harness.faults.blackhole import Blackhole as Blackhole
    from harness.faults.carrier import CarrierLoss as CarrierLoss
    from harness.faults.close_crossing import CloseCrossesRequest as CloseCrossesRequest
    from harness.faults.container import ContainerKill as ContainerKill
    from harness.faults.container import ContainerPause as ContainerPause
    from harness.faults.container import ContainerRestart as ContainerRestart
    from harness.faults.container import NetworkDisconnect as NetworkDisconnect
    from harness.faults.data_swallowed import DataSwallowed as DataSwallowed
    from harness.faults.firewall import FirewallFlush as FirewallFlush
    from harness.faults.firewall import FirewallIdle as FirewallIdle
    from harness.faults.host import Failover as Failover
    from harness.faults.host import HostSuspend as HostSuspend
    from harness.faults.host import PeerReboot as PeerReboot
    from harness.faults.icmp import IcmpReject as IcmpReject
    from harness.faults.link import LinkDown as LinkDown
    from harness.faults.nat import NatRebinding as NatRebinding
    from harness.faults.neighbour import NeighbourDeath as NeighbourDeath
    from harness.faults.netem import Delay as Delay
    from harness.faults.netem import Duplicate as Duplicate
    from harness.faults.netem import Loss as Loss
    from harness.faults.netem import Rate as Rate
    from harness.faults.netem import Reorder as Reorder
    from harness.faults.pmtu import PmtuBlackhole as PmtuBlackhole
    from harness.faults.process import ProcessFreeze as ProcessFreeze
    from harness.faults.process import ProcessKill as ProcessKill
    from harness.faults.process import StopsReading as StopsReading
    from harness.faults.proxy_down import ProxyDown as ProxyDown
    from harness.faults.route import Route as Route
    from harness.faults.tcp_segment import FinSwallowed as FinSwallowed
    from harness.faults.tcp_segment import RstInjected as RstInjected
    from harness.faults.tcp_segment import SynackDrop as SynackDrop
    from harness.faults.tcp_segment import SynDrop as SynDrop
    from harness.faults.toxiproxy import ToxicBandwidth as ToxicBandwidth
    from harness.faults.toxiproxy import ToxicLatency as ToxicLatency
    from harness.faults.toxiproxy import ToxicLimitData as ToxicLimitData
    from harness.faults.toxiproxy import ToxicResetPeer as ToxicResetPeer
    from harness.faults.toxiproxy import ToxicSlicer as ToxicSlicer
    from harness.faults.toxiproxy import ToxicSlowClose as ToxicSlowClose
    from harness.faults.toxiproxy import ToxicTimeout as ToxicTimeout
    from harness.faults.wall_clock import WallClock as WallClock
else:
    AnyFault = Union[tuple(FAULTS.values())]  # noqa: UP007 - of a tuple that is not known beforehand
    _BY_NAME = {fault.__name__: fault for fault in FAULTS.values()}
    globals().update(_BY_NAME)
    __all__ = ["FAULTS", "AnyFault", "Evidence", "Fault", "meant", *_BY_NAME]  # noqa: PLE0604 - they are strings
