"""What a plan must know of a machine."""

from __future__ import annotations

import msgspec

from harness.model.topology import LabKind
from harness.system.kernel_clock import Clock


class MachineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a prediction needs to know of the kernel that will run the scenario, and where each fact
    came from.

    `lab`: how its hosts are made. `seed`: decides the random
    numbers that programs in a guest get; None where chance does.
    """

    kernel: str
    hz: int
    hz_source: str
    cpus: int
    seed: int | None = None
    clock: Clock = "real"
    lab: LabKind = "netns"
