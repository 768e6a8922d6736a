"""Labs on a machine whose network settings were changed: a guest, as this machine's own are left
alone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from harness.venue.kernel import Kernel
from tests.live import tuned_host
from tests.live.command import harness

pytestmark = [pytest.mark.live, pytest.mark.virtual]
MACHINES = {
    "tcp_congestion_control",
    "tcp_max_tw_buckets",
    "tcp_rmem",
    "tcp_wmem",
    "temp_valid_lft",
}
"""Settings whose default hangs on the kernel's version or configuration, or on how much memory
there is.
"""


def test_labs_take_nothing_over_from_a_tuned_machine(tmp_path: Path, kernel: Kernel) -> None:
    """All of /proc/sys/net on every host of a lab is as on an untuned machine, where labs change
    next to nothing.
    """
    del kernel
    ended = harness(tmp_path, "vtime", sys.executable, tuned_host.__file__)
    assert ended.status == 0, ended.err
    found = json.loads(ended.out)
    assert found["reached"] > 200, "the settings that were changed reach a new namespace"
    assert found["read"] > 3000
    assert found["differing"] == {}
    assert {name.rpartition(".")[2] for name in found["set_untuned"]} <= MACHINES
