"""nftables through libnftables, in-process: no fork, and the rules land in the calling thread's
namespace.

The JSON schema is libnftables-json(5). One context per call: its netlink socket belongs to the
namespace in which it was opened. Calls are made one at a time, since libnftables' scanner keeps
process-wide state; each takes about a millisecond.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import json
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import CapabilityError, LabError
from harness.system.file_descriptors import FLOOR

_OUTPUT_JSON = 1 << 4
_OUTPUT_NUMERIC = 0x3E0
_one_at_a_time = threading.Lock()
Rules = Mapping[str, Sequence[Sequence[Mapping[str, Any]]]]
"""Label to rules, each a list of nftables expressions (libnftables-json(5)).

Counters are summed by label.
"""
FIX = "apt-get install libnftables1 (Fedora: nftables-libs, Alpine: nftables)"


@functools.cache
def library() -> ctypes.CDLL:
    """libnftables, loaded once. Raises CapabilityError."""
    try:
        loaded = ctypes.CDLL("libnftables.so.1")
    except OSError as error:
        raise CapabilityError(
            "nftables", f"libnftables.so.1 cannot be loaded ({error})", FIX
        ) from error
    loaded.nft_ctx_new.restype = ctypes.c_void_p
    loaded.nft_ctx_new.argtypes = [ctypes.c_uint32]
    loaded.nft_ctx_free.argtypes = [ctypes.c_void_p]
    loaded.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(loaded, name).argtypes = [ctypes.c_void_p]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(loaded, name).argtypes = [ctypes.c_void_p]
        getattr(loaded, name).restype = ctypes.c_char_p
    loaded.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return loaded


def _check_descriptors() -> None:
    """Raise LabError where libnftables would be given a descriptor that it cannot wait on (see
    `descriptors`).
    """
    descriptor = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    os.close(descriptor)
    if descriptor > FLOOR - 32:
        raise LabError(
            f"expected free file descriptors below {FLOOR} for nftables, found them taken; "
            "use fewer --jobs"
        )


def run(*commands: dict[str, Any]) -> list[dict[str, Any]]:
    """Carry out commands as one transaction in the calling thread's namespace.

    Returns what they print.

    Raises LabError with nft's own words, and CapabilityError where the library is missing.
    """
    nft = library()
    _check_descriptors()
    text = json.dumps({"nftables": commands})
    with _one_at_a_time:
        context = nft.nft_ctx_new(0)
        try:
            nft.nft_ctx_output_set_flags(context, _OUTPUT_JSON | _OUTPUT_NUMERIC)
            nft.nft_ctx_buffer_output(context)
            nft.nft_ctx_buffer_error(context)
            status = nft.nft_run_cmd_from_buffer(context, text.encode())
            output = nft.nft_ctx_get_output_buffer(context) or b""
            complaint = nft.nft_ctx_get_error_buffer(context) or b""
        finally:
            nft.nft_ctx_free(context)
    if status != 0:
        raise LabError(
            f"expected nftables to take {text}, found: {complaint.decode(errors='replace').strip()}"
        )
    # One document a line: what was listed, then the commands themselves again.
    return [item for line in output.splitlines() for item in json.loads(line)["nftables"]]
