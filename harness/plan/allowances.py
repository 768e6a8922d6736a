"""How late things may be on a machine beyond the kernel's timers: declared for real time, nothing
in virtual time.
"""

from __future__ import annotations

from harness.model.machine import MachineFacts
from harness.oracle.prediction import Machine

ALLOWANCE_MS = 50
"""Real time: how late a program may be woken after the kernel has decided, and a fault be
injected.
"""
TIMER_ALLOWANCE_MS = 50
"""Real time: how late the kernel may run a timer's handler on a busy machine, beyond the jiffy that
SMP costs.

Virtual machines stand still for that long when their host is busy: 40 ms were seen with both of two
CPUs loaded.
"""
LONGEST_RTT_MS = 3
"""Real time: the longest round trip of a handshake between two namespaces, on a busy machine."""
VIRTUAL_INJECTION_NS = 5_000_000
"""Virtual time: how long the kernel itself may take to carry out a fault, waiting for its own grace
periods (RCU).
"""
VIRTUAL_WRITE_NS = 20_000
"""Virtual time: how late data may be written, as reading the clock takes some."""


def tolerances(machine: MachineFacts) -> Machine:
    """The uncertainties that this machine brings: in virtual time only what an injection waits
    for.
    """
    if machine.clock == "virtual":
        return Machine(hz=machine.hz, injection_ns=VIRTUAL_INJECTION_NS, write_ns=VIRTUAL_WRITE_NS)
    return Machine(
        hz=machine.hz,
        late_jiffies=1 if machine.cpus > 1 else 0,
        arming_lag_ns=ALLOWANCE_MS * 1_000_000,
        injection_ns=ALLOWANCE_MS * 1_000_000,
        rtt_ns=LONGEST_RTT_MS * 1_000_000,
        write_ns=ALLOWANCE_MS * 1_000_000,
    )
