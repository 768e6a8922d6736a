from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.api.lab_session import Workbench
from harness.errors import LabError, UsageError
from harness.faults import Blackhole, FirewallIdle, PeerReboot, ProcessKill
from harness.model.programs import Command, Detects, Ready, Simple
from harness.model.topology import SIDES, Side
from harness.scenario.schema import Endpoint, Keepalive
from tests.conformance.traces import network_untouched, nothing_held

pytestmark = pytest.mark.timed

QUICK = Endpoint(keepalive=Keepalive(idle_s=1, interval_s=1, count=1))

PING = """
import os, socket, time
sock = socket.create_connection((os.environ["HARNESS_SERVER"], int(os.environ["HARNESS_PORT"])))
sock.settimeout(0.5)
print("connected", flush=True)
try:
    while sock.send(b"ping") and sock.recv(100):
        time.sleep(0.1)
except OSError as error:
    print("lost", type(error).__name__, flush=True)
time.sleep(1000)
"""


@pytest.fixture
def bench() -> Iterator[Workbench]:
    """A routed workbench that leaves nothing behind."""
    with nothing_held(), network_untouched(), Workbench() as built:
        yield built


def test_the_prediction_holds(bench: Workbench) -> None:
    """What is predicted while the fault stands, before anything is detected, is what is then
    seen.
    """
    link = bench.connect(QUICK)
    with bench.inject(Blackhole()):
        expected = link.predict()
        seen = link.wait()
    assert (seen.kind, seen.errno) == ("detected", "ETIMEDOUT")
    assert seen in expected
    ((least, most),) = expected.windows_s
    assert seen.after_armed_s is not None
    assert least <= seen.after_armed_s <= most + expected.allowance_s


@pytest.mark.parametrize("apart", [(), SIDES], ids=["inside", "processes"])
def test_connections_are_told_apart(bench: Workbench, apart: tuple[Side, ...]) -> None:
    """Of two connections between the same hosts, each echoes its own data and detects its own
    end.
    """
    first, second = bench.connect(processes=apart), bench.connect(QUICK, processes=apart)
    assert first.echo()
    assert second.echo()
    with bench.inject(Blackhole()):
        assert second.wait().errno == "ETIMEDOUT"
    assert first.wait(within_s=0).kind == "quiet"
    assert first.echo()
    assert not second.echo()


def test_a_heartbeat_is_waited_for(bench: Workbench) -> None:
    """As predicted from the faults so far; who gave up says how."""
    beat = Endpoint(heartbeat=Simple(idle_s=0.6, wait_s=0.3, misses=1))
    link = bench.connect(beat, beat)
    with bench.inject(Blackhole()):
        expected = link.predict()
        seen = link.wait()
    assert (seen.kind, seen.errno, seen.reports) == ("noticed", None, "heartbeat")
    assert seen in expected


def test_a_command_is_waited_for(bench: Workbench) -> None:
    """Any program as the client of the built-in server; what it must do is for the test to say."""
    command = Command(
        argv=("{python}", "-c", PING),
        ready=Ready(prints="^connected", within_s=20.0),
        detects=Detects(prints="^lost (\\w+)"),
    )
    link = bench.connect(Endpoint(command=command))
    assert not link.echo()
    with bench.inject(Blackhole()):
        seen = link.wait(within_s=10)
    assert (seen.kind, seen.reports) == ("noticed", "TimeoutError")


def test_data_to_a_rebooted_host_ends_the_wait_for_it(bench: Workbench) -> None:
    """An echo that can no longer come back is not waited for."""
    link = bench.connect()
    with bench.inject(PeerReboot()):
        assert not link.echo(within_s=3600)
    assert link.wait().errno == "ECONNRESET"


def test_a_program_goes_with_its_host(bench: Workbench) -> None:
    """The end of a program on a rebooted host is part of what happened, and its peer sees no more
    than RST.
    """
    link = bench.connect(QUICK, processes={"server"})
    with bench.inject(PeerReboot()):
        assert link.wait().errno == "ECONNRESET"
    (ended,) = [event for event in bench.timeline.events if event.kind == "subject.ended"]
    assert (ended.data["side"], ended.data["status"]) == ("server", -9)


def test_a_reboot_is_over_for_what_is_connected_after_it(bench: Workbench) -> None:
    """What was connected before is predicted to end in ECONNRESET, and does.

    What comes after is not affected.
    """
    before = bench.connect(QUICK)
    with bench.inject(PeerReboot()):
        after = bench.connect(QUICK)
    assert [outcome.errno for outcome in before.predict().outcomes] == ["ECONNRESET"]
    assert [outcome.kind for outcome in after.predict().outcomes] == ["quiet"]
    assert before.wait() in before.predict()
    assert after.echo()


def test_a_firewall_that_is_gone_is_not_predicted(bench: Workbench) -> None:
    """Only what was connected while a firewall stood is predicted to meet it."""
    with bench.inject(FirewallIdle(timeout_s=1)):
        inside = bench.connect(QUICK)
        assert [outcome.kind for outcome in inside.predict().outcomes] == ["detected"]
    outside = bench.connect(QUICK)
    assert [outcome.kind for outcome in outside.predict().outcomes] == ["quiet"]


def test_mistakes_say_what_to_write(bench: Workbench) -> None:
    """What is no fault or no family, and a fault of a program that is none of its own."""
    faults = (
        ("blackhole", "such as Blackhole[(][)] [(]did you mean Blackhole"),
        (Blackhole, "found <class"),
    )
    for fault, words in faults:
        with pytest.raises(UsageError, match=words), bench.inject(fault):  # type: ignore[arg-type]
            pass
    with pytest.raises(
        UsageError, match=r"expected socket\.AF_INET or socket\.AF_INET6, found 'ipv4'"
    ):
        bench.host("client").socket("ipv4")  # type: ignore[arg-type]
    bench.connect()
    kill = ProcessKill(on="server")
    with pytest.raises(UsageError, match=r'processes=\{"server"\}'), bench.inject(kill):
        pass
    assert bench.injections == []
    bench.connect(processes={"server"})
    with bench.inject(kill):
        pass


def test_unknown_hosts_and_unbuilt_labs_are_refused(bench: Workbench) -> None:
    """Mistakes are told with what was expected."""
    with pytest.raises(UsageError, match="client, router, server, found 'switch'"):
        bench.host("switch")
    with pytest.raises(LabError, match="enter the workbench"):
        Workbench().connect()
    with pytest.raises(
        UsageError, match=r"lab: expected netns or docker \(did you mean docker\?\), found 'dokcer'"
    ):
        Workbench(lab="dokcer")  # type: ignore[arg-type]
