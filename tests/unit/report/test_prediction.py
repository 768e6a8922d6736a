"""Predictions in words and as JSON."""

from __future__ import annotations

import json
import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.faults import Blackhole, FirewallIdle, LinkDown, ProcessKill
from harness.model.programs import Command, Detects, OwnProxy, Ready, Standby
from harness.model.topology import Topology
from harness.plan import predict
from harness.plan.planner import make
from harness.report import prediction
from harness.scenario.schema import Endpoint, Expect, Scenario
from tests.unit.timelines import MACHINE, flap, planned, unreachable


def test_linux_default_in_words() -> None:
    """2 h 11 min 15 s is never kept: the window, its bounds in hours, the errno, the probes and the
    reason are told.
    """
    text = prediction.describe(predict.of_options(7200, 75, 9, 0.0, 250))
    assert "keepalive idle 7200 s, interval 75 s, count 9, HZ=250 (--hz)" in text
    assert "7881.984 to 8013.056 s after arming, 2 h 11 min 21.98 s to 2 h 13 min 33.06 s" in text
    assert "(idle + interval * count would be 7875 s)" in text
    assert "ETIMEDOUT, because 9 probes unanswered" in text
    assert [f" probe {n} " in text for n in (1, 5, 9, 10)] == [True, True, True, False]
    assert "7200.000 to 7331.072 s  probe 1    idle 7200 s, in buckets of 131.072 s" in text
    assert "7881.984 to 8013.056 s  ETIMEDOUT  9 probes unanswered" in text
    assert "one RST is sent" in text
    assert "user timeout" not in text
    assert "131.072 s for this idle time, 2.048 s for this interval" in text


def test_a_table_that_is_cut_says_so() -> None:
    """The probes beyond those whose windows are listed have one line."""
    text = prediction.describe(predict.of_options(1, 1, 127, 0.0, 250))
    assert "33.768 to 131.080 s" not in text
    assert "33.768 to 130.056 s  probes 33 to 127  1.024 s apart" in text


def test_user_timeout_in_words() -> None:
    """It is named among the settings and in the reason."""
    text = prediction.describe(predict.of_options(10, 5, 3, 12.5, 1000))
    assert "user timeout 12.5 s, HZ=1000" in text
    assert "TCP_USER_TIMEOUT of 12.5 s passed" in text
    assert "(without the user timeout: idle + interval * count = 25 s, rounded up)" in text
    assert "The user timeout replaces the count" in text


def test_this_machines_hz_is_the_default() -> None:
    """Without --hz the kernel's own counts, and the source says how that was found."""
    found = predict.of_options(10, 5, 3, 0.0, None)
    assert found.hz_source.startswith("clock_getres(CLOCK_MONOTONIC_COARSE) = ")
    assert f"HZ={found.hz} (clock_getres" in prediction.describe(found)


def test_as_json() -> None:
    """Seconds after arming, with everything that the prediction rests on."""
    document = json.loads(prediction.as_json(predict.of_options(2, 1, 3, 0.0, 250)))
    assert document.pop("kernel")
    assert document == {
        "idle_s": 2,
        "interval_s": 1,
        "count": 3,
        "user_timeout_s": 0.0,
        "hz": 250,
        "hz_source": "--hz",
        "origin": "armed",
        "window_s": [5.072, 5.104],
        "nominal_s": 5,
        "errno": "ETIMEDOUT",
        "probes": [3, 3],
        "probe_windows_s": [[2.0, 2.032], [3.024, 3.056], [4.048, 4.08]],
        "rst": True,
        "why": "3 probes unanswered",
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"idle_s": 0},
            "--idle: expected a whole number from 1 to 32767 (the kernel's limits), found 0",
        ),
        ({"interval_s": 32768}, "--interval: expected a whole number from 1 to 32767"),
        ({"count": 128}, "--count: expected a whole number from 1 to 127"),
        ({"user_timeout_s": -1.0}, "--user-timeout: expected 0 to 2147483 seconds, found -1"),
        ({"user_timeout_s": math.nan}, "--user-timeout: expected 0 to 2147483 seconds, found nan"),
        (
            {"user_timeout_s": 0.0005},
            "--user-timeout: expected seconds in whole milliseconds, found 0.0005",
        ),
        ({"hz": 0}, "--hz: expected a kernel's HZ, such as 100, 250, 300 or 1000, found 0"),
    ],
)
def test_what_the_kernel_would_refuse(changes: dict[str, float], words: str) -> None:
    """Each number out of range is refused with its option's name and the range."""
    options = {
        "idle_s": 10,
        "interval_s": 5,
        "count": 3,
        "user_timeout_s": 0.0,
        "hz": 250,
        **changes,
    }
    with pytest.raises(UsageError) as caught:
        predict.of_options(**options)  # type: ignore[arg-type]
    assert words in str(caught.value)


@settings(deadline=None)
@given(
    st.integers(1, 32767),
    st.integers(1, 32767),
    st.integers(1, 127),
    st.just(0) | st.integers(1, 200_000),
    st.sampled_from((100, 250, 300, 1000)),
)
def test_all_settings_have_one_prediction(
    idle: int, interval: int, count: int, timeout: int, hz: int
) -> None:
    """Whatever the kernel takes has one outcome with a window, in words and as JSON."""
    timeout_s = min(
        timeout * interval / 1000, 2_147_483.0
    )  # of as many probes as keepalive itself can have, and some more
    found = predict.of_options(idle, interval, count, timeout_s, hz)
    assert len(found.prediction.outcomes) == 1
    lo, hi = json.loads(prediction.as_json(found))["window_s"]
    assert idle <= lo + 1e-6 < hi
    assert f"{lo:.3f} to {hi:.3f} s after arming" in prediction.describe(found)


def test_a_plan_in_words() -> None:
    """Machine, topology, faults, claim, prediction and the length of the watch, each on its
    line.
    """
    assert prediction.describe_plan(unreachable(window_s=(5.0, 5.4))).splitlines() == [
        "by/hand: ",
        "  machine     Linux 6.18.0, HZ=250 (given), 2 CPUs, real time",
        "  topology    routed, ipv4; the client observes",
        "  client      keepalive idle_s=2 interval_s=1 count=3",
        "  fault       blackhole at_s=0.5, direction=both",
        "  evidence    it must act: what is injected during a run must act",
        "  claim       detected ETIMEDOUT 5 to 5.4 s after arming",
        (
            "  prediction  ETIMEDOUT 5.072 to 5.108 s after arming; 3 probes on the wire; 3 "
            "probes unanswered"
        ),
        (
            "  watched for 7.400 s at most, allowance 50 ms; predicted with a jiffy (4 ms) that "
            "timers may run late on SMP"
        ),
    ]


def test_a_plan_says_what_evidence_a_standing_fault_must_leave() -> None:
    """A firewall that keepalive keeps open must be in place; one that drops its state must act."""
    for timeout_s, words in (
        (5, "it must be in place: the oracle predicts the same without it"),
        (1, "it must act"),
    ):
        plan = planned(
            FirewallIdle(timeout_s=timeout_s, then="reset"), LinkDown(on="server", at_s=9)
        )
        lines = prediction.describe_plan(plan).splitlines()
        at = next(number for number, line in enumerate(lines) if "firewall-idle" in line)
        assert lines[at + 1].startswith(f"  evidence    {words}")


def test_a_plan_of_survival_in_words() -> None:
    """Nothing detected is said as such, and the bound of the claim is named."""
    text = prediction.describe_plan(flap())
    assert "  claim       survives within 8 s after arming" in text
    counted = prediction.describe_plan(unreachable(origin="fault"))
    assert "  claim       detected ETIMEDOUT (times count from the fault)" in counted
    assert "  prediction  nothing detected; 4 probes on the wire" in text


def test_a_plan_names_what_decides() -> None:
    """State, both sides' options and an exact window, where they are not as ever."""
    scenario = Scenario(
        client=Endpoint(user_timeout_s=2.5, writes_at_s=(0.5, 1), write_bytes=99),
        server=Endpoint(keepalive=True, receive_buffer_bytes=2048, reads=False),
        expect=Expect(outcome="never", bound_s=3, window="exact", phase_ns=7),
    )
    lines = prediction.describe_plan(make(scenario, MACHINE)).splitlines()
    assert "  client      user_timeout_s=2.5, writes_at_s=[0.5, 1], write_bytes=99" in lines
    assert (
        "  server      keepalive idle_s=7200 interval_s=75 count=9, "
        "receive_buffer_bytes=2048, reads=false"
    ) in lines
    assert any("  claim " in line and "(window=exact, phase_ns=7)" in line for line in lines)
    connecting = Scenario(state="connecting", faults=(Blackhole(at_s=0),))
    assert "  state       connecting" in prediction.describe_plan(make(connecting, MACHINE))


def test_a_plan_names_every_command() -> None:
    """Those of the ends, and what runs in between, with what is said of them.

    And what is claimed after a healing.
    """
    client = Command(
        argv=("./client", "{server}"), ready=Ready(prints="^on"), detects=Detects(reconnects=True)
    )
    scenario = Scenario(
        topology=Topology(kind="proxied"),
        client=Endpoint(command=client),
        proxy=OwnProxy(command=Command(argv=("haproxy", "-f", "a file"))),
        faults=(ProcessKill(on="proxy", at_s=1, for_s=2),),
        expect=Expect(outcome="noticed", origin="healed", reconnects_s=(0, 1.5)),
    )
    text = prediction.describe_plan(make(scenario, MACHINE))
    assert (
        "  client      command=./client '{server}' (ready prints '^on'; detects reconnects)\n"
        in text
    )
    assert "  proxy       command=haproxy -f 'a file'\n" in text
    assert (
        "  claim       noticed and connected again 0 to 1.5 s after the healing of the last fault\n"
        in text
    )
    standby = Standby(on="router", command=Command(argv=("server",)))
    other = Scenario(standby=standby, faults=(Blackhole(at_s=0.5),))
    assert "  standby     on=router, command=server\n" in prediction.describe_plan(
        make(other, MACHINE)
    )


def test_nothing_is_predicted_of_a_proxy_of_ones_own() -> None:
    """Not even of what the oracle knows of the others: it is killed, and its kernel says FIN."""
    killed = Scenario(
        topology=Topology(kind="proxied", proxy="relay"),
        faults=(ProcessKill(on="proxy", at_s=1),),
        expect=Expect(outcome="eof"),
    )
    assert make(killed, MACHINE).prediction is not None
    own = OwnProxy(command=Command(argv=("haproxy",)))
    plan = make(
        msgspec.structs.replace(killed, topology=Topology(kind="proxied"), proxy=own), MACHINE
    )
    assert plan.unpredictable == "a proxy of one's own answers for the other end in its own way"


def test_a_plan_without_a_prediction_says_why() -> None:
    """The limit of the model is a note."""
    faults = Blackhole(at_s=0.5), ProcessKill(at_s=1.0)
    plan = planned(*faults, outcome="detected", errno="ETIMEDOUT", window_s=(5.0, 9.0))
    text = prediction.describe_plan(plan)
    assert "  note        not predicted: the peer's FIN is sent while the path is cut" in text
    assert "  prediction" not in text
