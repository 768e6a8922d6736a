"""Both ends judged in one run, and recovery as a claim, with real programs in guests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.venue.kernel import Kernel
from tests.live.command import harness

pytestmark = [pytest.mark.live, pytest.mark.virtual]

CLIENT = '''
"""A request each second; connects again a second after each loss: client.py HOST PORT WAIT_S."""
import socket, sys, time

def talk():
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2) as s:
        print("connected", flush=True)
        s.settimeout(float(sys.argv[3]))
        while True:
            s.sendall(b"?")
            if not s.recv(1):
                raise OSError("closed")
            time.sleep(1)

while True:
    try:
        talk()
    except OSError as error:
        print("lost:", error, flush=True)
    if sys.argv[4:] == ["once"]:
        sys.stdin.read()
    time.sleep(1)
'''
SERVER = '''
"""Answers each octet, gives up after 12 s of silence: server.py PORT [first: connection alone]."""
import socket, sys, threading

def serve(connection, number):
    connection.settimeout(12)
    try:
        while connection.recv(1):
            if number == 0 or sys.argv[2:] != ["first"]:
                connection.sendall(b"!")
    except TimeoutError:
        print("silent", flush=True)
        connection.close()
    except OSError as error:
        print("lost:", error, flush=True)

listener = socket.create_server(("", int(sys.argv[1])))
for number in range(99):
    threading.Thread(target=serve, args=(listener.accept()[0], number), daemon=True).start()
'''
SCENARIO = """
summary = "A client that connects again"

[client.command]
argv = ["{{python}}", "{{scenario}}/client.py", "{{server}}", "{{port}}", {client}]
ready = {{ prints = "^connected" }}
detects = {{ prints = "{prints}" }}

[server.command]
argv = ["{{python}}", "{{scenario}}/server.py", "{{port}}"{server}]
ready = {{ listens = true }}
detects = {{ prints = "^silent" }}

[[faults]]
kind = "blackhole"
at_s = 10.5
for_s = 20
{more}
"""
RESET = '[[faults]]\nkind = "rst-injected"\ntoward = "client"\nat_s = 33'
BOTH = """
[expect.client]
outcome = "noticed"
origin = "fault"
window_s = [4, 6.5]
reports = "timed out"
recovers_s = [0, 8]

[expect.server]
outcome = "noticed"
origin = "fault"
window_s = [11, {latest}]
"""
AGAIN = "[expect]\nrecovers_s = [0, 8]"
CASES: dict[str, tuple[dict[str, str], tuple[str, str]]] = {
    "both": ({"more": BOTH.format(latest=13)}, ("pass", "confirmed")),
    "server-late": ({"more": BOTH.format(latest=11.2)}, ("fail", "noticed-too-late")),
    "again": ({"more": AGAIN}, ("pass", "confirmed")),
    "same-connection": ({"client": '"60"', "more": AGAIN}, ("pass", "confirmed")),
    "stuck": ({"server": ', "first"', "more": AGAIN}, ("fail", "reconnected-without-data")),
    "once": ({"client": '"5", "once"', "more": AGAIN}, ("fail", "never-recovered")),
    "second-fault": (
        {"client": '"60"', "more": f"{RESET}\n{AGAIN}"},
        ("fail", "recovered-after-another-fault"),
    ),
    "ready-again": (
        {
            "prints": "^(connected|lost)",
            "more": '[expect]\noutcome = "noticed"\norigin = "fault"\nwindow_s = [4, 6.5]',
        },
        ("pass", "confirmed"),
    ),
}


@pytest.fixture(scope="module")
def folder(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all of them were run, once."""
    del kernel
    made = tmp_path_factory.mktemp("both-ends")
    (made / "client.py").write_text(CLIENT)
    (made / "server.py").write_text(SERVER)
    for name, (parts, _) in CASES.items():
        words = {"client": '"5"', "server": "", "prints": "^lost: (.*)", **parts}
        (made / f"{name}.scenario.toml").write_text(SCENARIO.format(**words))
    files = [f"{name}.scenario.toml" for name in CASES]
    options = ["--clock", "virtual", "--json", "run.json", "--junit", "run.xml", "--out", "out"]
    ended = harness(made, "run", *files, *options)
    assert ended.status == 1, ended
    (made / "printed").write_text(ended.out)
    return made


def results(folder: Path, name: str = "run.json") -> dict[str, dict[str, Any]]:
    """By the scenario's name."""
    found = json.loads((folder / name).read_text())["scenarios"]
    return {result["name"]: result for result in found}


def test_each_claim_is_judged(folder: Path) -> None:
    """With the cause that programs branch on."""
    found = {name: (each["verdict"], each["cause"]) for name, each in results(folder).items()}
    assert found == {name: verdict for name, (_, verdict) in CASES.items()}


def test_both_ends_have_their_measurements(folder: Path) -> None:
    """In the document, in the table and in the test report; the run went on for the later one."""
    both, late = (results(folder)[name] for name in ("both", "server-late"))
    client, server = both["ends"]
    assert 4 < client["detected_s"] < 6.5
    assert 11 < server["detected_s"] < 13
    assert (client["reports"], server["reports"]) == ("timed out", "output")
    assert 0 < client["recovered_s"] < 8
    assert (late["side"], late["reason"].partition(":")[0]) == ("server", "server")
    printed = (folder / "printed").read_text()
    assert "server-late (client)" in printed
    assert "server-late (server)" in printed
    assert 'message="server: detected' in (folder / "run.xml").read_text()


def test_a_recovery_is_told_from_what_is_none(folder: Path) -> None:
    """In words, too."""
    found = results(folder)
    assert found["again"]["recovered_s"] < found["same-connection"]["recovered_s"] < 8
    assert "another connection stood" in found["stuck"]["reason"]
    assert "and no other connection" in found["once"]["reason"]
    assert "until fault 1 (rst-injected) was injected" in found["second-fault"]["reason"]


def test_saved_runs_are_judged_alike(folder: Path) -> None:
    """By their plans and timelines alone."""
    for name in ("server-late", "second-fault"):
        ended = harness(folder, "judge", f"out/{name}", "--json", "again.json")
        assert ended.status == 1, ended
        assert results(folder, "again.json")[name] == results(folder)[name]
