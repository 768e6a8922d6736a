"""Outages during which nothing is sent, in guests: the connection survives them, and that proves
nothing.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.venue.kernel import Kernel
from tests.live.command import harness

pytestmark = [pytest.mark.live, pytest.mark.virtual]

FAULTS = {
    "link-down": 'on = "server"',
    "carrier-loss": 'on = "server"',
    "address-removed": 'on = "server"',
    "route": 'on = "server"\nbecomes = "lost"',
    "process-freeze": "",
    "own-link-down": 'on = "client"',
}
SILENT = """
[client.keepalive]
idle_s = 60
interval_s = 1
count = 3

[[faults]]
kind = "{kind}"
at_s = 5
for_s = 10
{keys}

[expect]
outcome = "survives"
bound_s = 40
"""


def test_an_outage_that_met_no_packet_is_no_pass(kernel: Kernel, tmp_path: Path) -> None:
    """Whatever takes the path away between two probes, and however well its state was read back."""
    del kernel
    for name, keys in FAULTS.items():
        text = SILENT.format(kind=name.removeprefix("own-"), keys=keys)
        (tmp_path / f"{name}.scenario.toml").write_text(text)
    files = [f"{name}.scenario.toml" for name in FAULTS]
    ended = harness(tmp_path, "run", "--clock", "virtual", *files, "--json", "verdicts.json")
    assert ended.status == 3, ended
    results = json.loads((tmp_path / "verdicts.json").read_text())["scenarios"]
    assert {result["name"]: result["cause"] for result in results} == dict.fromkeys(
        FAULTS, "fault-met-nothing"
    )
