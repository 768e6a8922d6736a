"""Scenarios with heartbeats as plans, and `harness predict --heartbeat`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.cli.main import main
from harness.faults import AnyFault, Blackhole, LinkDown, PeerReboot
from harness.model.machine import MachineFacts
from harness.model.programs import AnyHeartbeat, IdleState, Reaper, Separate, Simple
from harness.model.topology import Kind
from harness.plan.plan import Plan
from harness.report.plan_text import describe_plan
from harness.scenario.schema import Endpoint, Keepalive
from tests.unit import timelines

GUEST = MachineFacts(kernel="6.18.0", hz=1000, hz_source="given", cpus=2, clock="virtual")


def planned(
    *faults: AnyFault,
    client: Endpoint | None = None,
    server: AnyHeartbeat | None = None,
    kind: Kind = "routed",
    **expect: Any,
) -> Plan:
    """A plan; `simple` on both ends by default."""
    simple = Endpoint(heartbeat=Simple())
    peer = simple if server is None else Endpoint(heartbeat=server)
    return timelines.planned(
        *faults, client=client or simple, server=peer, machine=GUEST, kind=kind, **expect
    )


SEPARATE = Endpoint(heartbeat=Separate())
BY_HAND: Any = {"outcome": "never", "bound_s": 300}


def test_a_plan_says_when_the_program_gives_up() -> None:
    """From arming and from the last data, and it is watched for that long."""
    plan = planned(Blackhole(at_s=130))
    said = describe_plan(plan)
    assert "client      heartbeat=simple (idle_s=60, wait_s=10, misses=3)" in said
    assert (
        "prediction  given up 210.000 to 210.000 s after arming; 90.000 to 90.000 s after "
        "the last data came"
    ) in said
    assert plan.watch_ns > 212_000_000_000


def test_a_reconnection_is_part_of_the_plan() -> None:
    """Where another server is there at once: what happens concerns the first one alone."""
    two = Endpoint(heartbeat=IdleState(servers=("server", "router")))
    plan = planned(LinkDown(on="server", at_s=70), client=two, server=Reaper())
    assert "connected again 1.000 to 1.000 s later" in describe_plan(plan)
    assert plan.reconnects_within_ns > 1_000_000_000
    assert planned(Blackhole(at_s=70), client=two, server=Reaper()).reconnects_within_ns == 0
    alone = Endpoint(heartbeat=IdleState(servers=("server",)))
    assert (
        planned(LinkDown(on="server", at_s=70), client=alone, server=Reaper()).reconnects_within_ns
        == 0
    )


def test_a_blackhole_of_the_data_alone_is_masked() -> None:
    """Heartbeats on a connection of their own do not meet it; data that waits is TCP's business."""
    aimed = Blackhole(at_s=70, port=7000)
    (outcome,) = planned(aimed, client=SEPARATE, server=Separate()).expected
    assert outcome.kind == "quiet"
    writing = planned(
        aimed,
        client=Endpoint(heartbeat=Separate(), writes_at_s=(80,)),
        server=Separate(),
        **BY_HAND,
    )
    assert writing.unpredictable == "data waits on a connection that the heartbeats say nothing of"
    assert planned(aimed, **BY_HAND).unpredictable == "the blackhole is for one port alone"


def test_nobody_connects_back_through_a_nat() -> None:
    """A live server is given up."""
    (outcome,) = planned(kind="nat", client=SEPARATE, server=Separate()).expected
    assert outcome.kind == "noticed"


def test_what_waits_in_a_buffer_is_not_predicted() -> None:
    """A heartbeat behind it may be late, or hang."""
    full = Endpoint(
        heartbeat=Simple(blocking=True),
        writes_at_s=(65,),
        write_bytes=1 << 20,
        send_buffer_bytes=4096,
    )
    assert "heartbeats wait behind it" in (
        planned(Blackhole(at_s=62), client=full, **BY_HAND).unpredictable or ""
    )


def test_keepalive_is_first_where_it_has_the_time() -> None:
    """Its verdict is predicted as on any idle connection, with its probes."""
    short, long = (
        Keepalive(idle_s=10, interval_s=5, count=3),
        Keepalive(idle_s=50, interval_s=5, count=3),
    )
    first = planned(Blackhole(at_s=5), client=Endpoint(heartbeat=Simple(), keepalive=short))
    (outcome,) = first.expected
    assert (outcome.errno, outcome.probes_seen) == ("ETIMEDOUT", (3, 3))
    assert "3 probes on the wire" in describe_plan(first)
    race = planned(Blackhole(at_s=130), client=Endpoint(heartbeat=Simple(), keepalive=long))
    assert [each.kind for each in race.expected] == ["noticed"]
    rebooted = planned(
        PeerReboot(at_s=130), client=Endpoint(heartbeat=Simple(), keepalive=long), **BY_HAND
    )
    assert rebooted.unpredictable == "keepalive may decide before the next heartbeat is sent"


@pytest.mark.parametrize("faults", [(), (Blackhole(at_s=119, for_s=3),)])
def test_data_passes_at_the_end_of_what_is_survived(faults: tuple[AnyFault, ...]) -> None:
    """An outage that ended leaves a connection that works."""
    assert planned(*faults, bound_s=250).must_echo


def test_predict_prints_both_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    """With the reasons, in words and as JSON."""
    assert main(["predict", "--heartbeat", "simple", "--side", "server"]) == 0
    said = capsys.readouterr().out
    assert "100 s after the last input: 70 s without input, then 3 x 10 s" in said
    assert "more than 40 s, at most 100 s after the fault" in said
    assert (
        main(
            [
                "predict",
                "--heartbeat",
                "idle-timer",
                "--side",
                "server",
                "--set",
                "silence_s=90",
                "--json",
            ]
        )
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert found["since_input_s"] == [90, 91]
    assert found["since_fault_s"] == [65, 91]
    assert found["server"]["design"] == "reaper"


def test_predict_warns_of_false_alarms(capsys: pytest.CaptureFixture[str]) -> None:
    """A client that reads nothing for shorter than it is silent itself."""
    main(["predict", "--heartbeat", "idle-state", "--set", "read_idle_s=20"])
    assert "and so are live peers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--heartbeat", "reaper"], "whose servers are reapers: --side server, found reaper"),
        (
            ["--heartbeat", "simple", "--set", "tries=3"],
            "--set: expected KEY=VALUE with one of idle_s, wait_s",
        ),
        (
            ["--heartbeat", "simple", "--set", "idle_s=x"],
            "--set: expected a number, or a duration such as 90s",
        ),
        (["--heartbeat", "simple", "--set", "idle_s=-1"], "--set: Expected `float` > 0.0: idle_s"),
        (["--heartbeat", "simple", "--idle", "5"], "--idle: expected none with --heartbeat"),
        (["--side", "server"], "--side: expected --heartbeat with it"),
    ],
)
def test_predict_says_what_it_expected(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, with exit status 2."""
    assert main(["predict", *arguments]) == 2
    assert complaint in capsys.readouterr().err
