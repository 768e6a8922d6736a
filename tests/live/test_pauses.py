"""A harness that is stopped while it runs: whatever it says then, no claim is confirmed or refuted
wrongly.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from harness import timeline
from harness.api.lab_session import Workbench
from harness.errors import StallError
from harness.scenario.schema import Endpoint, Keepalive
from tests import pausing
from tests.live.command import COMMAND, environment

pytestmark = [pytest.mark.live]

CLIENT = """
import os, socket, sys, time
sock = socket.create_connection((os.environ["HARNESS_SERVER"], int(os.environ["HARNESS_PORT"])))
print("connected", flush=True)
for _ in range(9):
    sock.send(b"still there?")
    time.sleep(0.1)
print("lost", flush=True)
if sys.argv[1] == "exits":
    sys.exit()
while True:
    time.sleep(0.1)
    print("waiting", flush=True)
"""
BY_COMMAND = """
[client.command]
argv = ["{{python}}", "{{scenario}}/client.py", "{way}"]
ready = {{ prints = "^connected" }}
detects = {{ {sign} }}

[[faults]]
kind = "blackhole"
at_s = 0.2

[expect]
outcome = "noticed"
window_s = {window_s}
"""
BY_HEARTBEAT = """
[client.heartbeat]
design = "simple"
idle_s = 1
wait_s = 0.5
misses = 1

[server.heartbeat]
design = "simple"
idle_s = 1
wait_s = 0.5
misses = 2

[[faults]]
kind = "blackhole"
at_s = 0.2
"""
BY_THE_KERNEL = """
[client.keepalive]
idle_s = 1
interval_s = 1
count = 1

[[faults]]
kind = "peer-reboot"
at_s = 0.2

[expect]
errno = "ECONNRESET"
window_s = [1.4, 3]
"""
WRONG = {
    "line-before-window": BY_COMMAND.format(
        way="goes on", sign='prints = "lost"', window_s="[1.3, 4]"
    ),
    "exit-before-window": BY_COMMAND.format(way="exits", sign="exits = true", window_s="[1.3, 4]"),
    "reset-before-window": BY_THE_KERNEL,
}
"""Claims that do not hold: everything comes 0.9 to 1.1 s after arming."""
RIGHT = {
    "line-in-window": BY_COMMAND.format(
        way="goes on", sign='prints = "lost"', window_s="[0.5, 1.2]"
    ),
    "exit-in-window": BY_COMMAND.format(way="exits", sign="exits = true", window_s="[0.5, 1.2]"),
    "heartbeat": BY_HEARTBEAT,
}
"""Claims that hold."""
PAUSE = pausing.Pause(after_s=0.3, for_s=1.2)
"""From after the fault until after what comes."""


def test_a_stopped_harness_neither_confirms_nor_refutes(tmp_path: Path) -> None:
    """Stopped while everything comes, it sees all of it in the windows of wrong claims, and too
    late for right ones.
    """
    (tmp_path / "client.py").write_text(CLIENT)
    for name, text in {**WRONG, **RIGHT}.items():
        (tmp_path / f"{name}.scenario.toml").write_text(text)
    names = sorted([*WRONG, *RIGHT])

    def injected() -> bool:
        files = [tmp_path / "out" / name / timeline.FILE_NAME for name in names]
        return all(file.exists() and "fault.injected" in file.read_text() for file in files)

    arguments = (
        *(f"{name}.scenario.toml" for name in names),
        "--retries",
        "0",
        "--json",
        "said.json",
        "--out",
        "out",
    )
    argv = [*COMMAND, "run", *arguments]
    ended = pausing.run(
        argv, [PAUSE], first=injected, folder=tmp_path, env=environment(tmp_path / "state")
    )
    assert ended.pauses, ended.output
    said = {
        each["name"]: each for each in json.loads((tmp_path / "said.json").read_text())["scenarios"]
    }
    assert sorted(said) == names
    assert "pass" not in {said[name]["verdict"] for name in WRONG}, said
    assert "fail" not in {said[name]["verdict"] for name in RIGHT}, said
    assert "the harness did not run from" in said["heartbeat"]["reason"]
    assert said["heartbeat"]["cause"] == "machine-too-busy"


def test_no_assertion_of_a_test_hangs_on_a_pause() -> None:
    """The process of a hand-written test is stopped for longer than the allowance: no prediction is
    refuted.
    """
    with Workbench() as bench:
        link = bench.connect(Endpoint(keepalive=Keepalive(idle_s=1, interval_s=1, count=1)))
        expected = link.predict()
        pause = f"sleep 0.1; kill -STOP {os.getpid()}; sleep 0.2; kill -CONT {os.getpid()}"
        with subprocess.Popen(["/bin/sh", "-c", pause]):
            seen = link.wait(within_s=0.5)
    assert [outcome.kind for outcome in expected.outcomes] == [seen.kind] == ["quiet"]
    assert max(until_s - from_s for from_s, until_s in seen.gaps_s) > expected.allowance_s
    with pytest.raises(StallError):
        assert seen in msgspec.structs.replace(expected, outcomes=())
