"""The trial of a kernel that was just built: whether guests boot with it on this machine, and their
clock jumps.

Not every release that can be built runs on every processor. Up to Linux 6.15, User-Mode Linux hands
registers to its processes by ptrace(2); Debian's 6.1 panics so on processors with AMX, whose
registers take more room than it has.
"""

from __future__ import annotations

import time

from harness.errors import CapabilityError, GuestError
from harness.system import fixes
from harness.venue import first_boot
from harness.venue.guest_process import LOOK_S, boot
from harness.venue.kernel import Kernel
from harness.venue.kernel_source import version_key

LIMIT_S = 120.0
"""So many seconds of wall time a boot may take, which takes less than one where nothing else
runs.
"""
SECCOMP_SINCE = "6.16"


def try_out(kernel: Kernel) -> bool:
    """Boot a guest and let an hour of virtual time pass.

    Returns whether this machine's kernel confined it.

    Raises CapabilityError, with the guest's last words.
    """
    with boot(kernel, {"module": first_boot.__name__}, []) as guest:
        until_s = time.monotonic() + LIMIT_S
        while not guest.over and time.monotonic() < until_s:
            guest.read(LOOK_S)
        try:
            status = guest.status() if guest.over else None
        except GuestError as error:
            raise _unfit(kernel, str(error)) from error
        confined = guest.is_confined()
    if status is None:
        raise _unfit(
            kernel, f"the guest did not end in {LIMIT_S:g} s of wall time; {guest.last_words()}"
        )
    if status != 0:
        raise _unfit(
            kernel,
            f"its clock did not jump over an hour that a process slept; {guest.last_words()}",
        )
    return confined


def _unfit(kernel: Kernel, found: str) -> CapabilityError:
    release = kernel.manifest.release
    if version_key(release) < version_key(SECCOMP_SINCE):
        fix = (
            f"give a newer source, Linux {SECCOMP_SINCE} or later: {fixes.KERNEL_BUILD} --source "
            "PATH"
        )
    else:
        fix = f"give another source: {fixes.KERNEL_BUILD} --source PATH"
    return CapabilityError(
        f"kernel {kernel.name}", f"a guest with it does not work here: {found}", fix
    )
