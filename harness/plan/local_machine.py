"""The machine that scenarios will run on, as plans need to know it."""

from __future__ import annotations

import os
import platform

from harness.model.machine import MachineFacts
from harness.model.topology import LabKind
from harness.system.kernel_clock import clock, hz
from harness.system.kernel_seed import program_seed


def local_machine(lab: LabKind = "netns") -> MachineFacts:
    """The kernel that scenarios will run on, and the kind of lab."""
    found, source = hz()
    return MachineFacts(
        kernel=platform.release(),
        hz=found,
        hz_source=source,
        cpus=os.cpu_count() or 1,
        clock=clock(),
        lab=lab,
        seed=program_seed(),
    )
