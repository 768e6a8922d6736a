"""Which seed decides the random numbers that programs in a guest get, and how its kernel is
told.
"""

from __future__ import annotations

from harness.errors import CapabilityError
from harness.system.kernel_seed import SEED_WORD
from harness.venue import DEFAULT_SEED
from harness.venue.kernel import COMMAND, Kernel

_SAME_ADDRESSES = "norandmaps"
"""Each program finds its memory where it was the last time: addresses may decide an order, as in a
set of Python's.
"""


def chosen(kernel: Kernel, seed: int | None, option: str = "--seed") -> int | None:
    """The seed that was asked for, or else `DEFAULT_SEED`; None where the kernel takes none.

    `option`: the option that asks for it, for messages. Raises CapabilityError where the kernel
    takes no seed and one was asked for.
    """
    if kernel.manifest.seeded:
        return DEFAULT_SEED if seed is None else seed
    if seed is None:
        return None
    found = f"kernel {kernel.name} takes no seed: another version of the harness built it"
    raise CapabilityError(option, found, COMMAND)


def words(kernel: Kernel, seed: int | None = None, option: str = "--seed") -> list[str]:
    """For the kernel's command line. Raises CapabilityError."""
    found = chosen(kernel, seed, option)
    return [] if found is None else [_SAME_ADDRESSES, f"{SEED_WORD}{found}"]
