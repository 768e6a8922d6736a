"""The runs that prove what `harness check` predicts: the worst ones, within the bounds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.batch import proof_scenarios
from harness.errors import HarnessError
from harness.faults import Blackhole, FirewallIdle
from harness.model.machine import MachineFacts
from harness.model.programs import IdleTimer, Reaper, Simple
from harness.oracle.timerwheel import tick_ns
from harness.plan.plan import Plan
from harness.policy import proof
from harness.policy.proof import Claim
from tests.unit.policy.policies import connection
from tests.unit.strategies import sweep

KEEPALIVE: dict[str, Any] = {"idle_s": 340, "interval_s": 10, "count": 3}


def tried(kind: proof.Kind, hz: int = 1000, **keys: Any) -> tuple[Claim, Plan]:
    """A claim about a connection with these keys, and the run that proves it."""
    found = {each.question.kind: each for each in proof.claims([connection(hz=[hz], **keys)])}
    machine = MachineFacts(kernel="7.2.13", hz=hz, hz_source="", cpus=1, seed=0, clock="virtual")
    return found[kind], proof_scenarios.plan(found[kind].question, "x", machine)


def latest_ns(made: Plan) -> int:
    """When it ends, after arming."""
    ((_, latest),) = [each.window_ns for each in made.expected if each.window_ns is not None]
    return latest


def last_heard_ns(made: Plan) -> int:
    """When the peer is heard for the last time: its data or its answer to a probe, soon after which
    the path is cut; 0 where the path is cut at once.
    """
    (cut,) = made.scenario.faults
    assert cut.at_s is not None
    return (
        0
        if cut.at_s == proof_scenarios.CUT_S
        else round((cut.at_s - proof_scenarios.AFTER_S) * 1e9)
    )


@sweep(3, exhaustively=200)
@given(st.integers(21, 900), st.integers(1, 10), st.integers(1, 9), st.sampled_from((100, 1000)))
def test_the_latest_detection_is_run(idle_s: int, interval_s: int, count: int, hz: int) -> None:
    """To the jiffy, where the interval is less than half of the idle time.

    The claim counts from the moment when the peer was heard for the last time.
    """
    claim, made = tried("idle", hz, idle_s=idle_s, interval_s=interval_s, count=count)
    assert claim.window is not None
    late_ns = claim.window.high_ns - (latest_ns(made) - last_heard_ns(made))
    assert 0 <= late_ns <= tick_ns(hz)


def test_after_an_answered_probe_the_next_one_comes_an_interval_later() -> None:
    """So that 5/10/2 takes 30.72 s: the path is cut after the first probe."""
    _, made = tried("idle", idle_s=5, interval_s=10, count=2)
    (cut,) = made.scenario.faults
    assert cut.at_s > 5
    assert latest_ns(made) / 1e9 - cut.at_s == pytest.approx(30.72, abs=0.1)


def test_a_late_first_probe_meets_rst() -> None:
    """340/10/3 behind a load balancer that forgets after 350 s; 300/10/3 is kept."""
    _, made = tried("path", **KEEPALIVE, path=["aws-nlb"])
    (outcome,) = made.expected
    assert (outcome.kind, outcome.errno) == ("detected", "ECONNRESET")
    assert latest_ns(made) / 1e9 == pytest.approx(372.767, abs=0.001)
    _, kept = tried("path", **{**KEEPALIVE, "idle_s": 300}, path=["aws-nlb"])
    assert [each.kind for each in kept.expected] == ["quiet"]
    assert kept.must_echo
    assert kept.watch_ns > 4 * 332 * 1e9


@pytest.mark.parametrize(("survive_s", "kind"), [(20, "quiet"), (21, "detected")])
def test_an_outage_begins_just_before_the_first_probe(survive_s: float, kind: str) -> None:
    """60/10/3 survives 20.24 s."""
    claim, made = tried("outage-idle", idle_s=60, interval_s=10, count=3, survive_s=survive_s)
    (outage,) = made.scenario.faults
    assert isinstance(outage, Blackhole)
    assert [each.kind for each in made.expected] == [kind]
    assert claim.ends == ("kept" if kind == "quiet" else "may-be-lost")
    assert made.prediction is not None
    first_s = made.prediction.probe_windows_ns[0][0] / 1e9
    assert 0 < first_s - outage.at_s < 0.03


def test_data_is_written_into_an_outage() -> None:
    """A user timeout of 25 s does not survive 20 s, one of 30 s does."""
    _, lost = tried("outage-in-flight", user_timeout_s=25, survive_s=20)
    assert [each.kind for each in lost.expected] == ["detected"]
    _, kept = tried("outage-in-flight", user_timeout_s=60, survive_s=20)
    assert [each.kind for each in kept.expected] == ["quiet"]
    assert kept.must_echo


def test_an_idle_connection_that_nothing_watches_is_watched_for_a_day() -> None:
    """And one behind a device has to send something to learn that it is forgotten."""
    _, never = tried("idle")
    assert never.watch_ns >= 86_400 * 1e9
    _, late = tried("path", path=["azure-lb"])
    assert late.scenario.client.writes_at_s == (241.0,)


def test_the_device_of_the_path_is_built() -> None:
    """On the side from which packets do not make it known again."""
    _, made = tried("path", **KEEPALIVE, path=["gcp-vpc"], side="server")
    (device,) = made.scenario.faults
    assert isinstance(device, FirewallIdle)
    assert (device.limit_s, device.late, device.how) == (600, "drop", "outbound")
    assert made.scenario.server.keepalive_settings is not None
    assert made.scenario.expect.side == "server"


def test_heartbeats_are_the_built_in_ones() -> None:
    """With a timer of its own where that is so."""
    beat = {"every_s": 30, "timeout_s": 10, "misses": 2}
    _, made = tried("idle", heartbeat=beat)
    assert made.scenario.client.heartbeat == Simple(idle_s=30, wait_s=10, misses=2)
    _, apart = tried("in-flight", heartbeat=beat | {"apart": True})
    assert apart.scenario.client.heartbeat == IdleTimer(idle_s=30, retry_s=10, tries=2)
    assert isinstance(apart.scenario.server.heartbeat, Reaper)
    with pytest.raises(HarnessError, match="side = client"):
        tried("path", heartbeat=beat, side="server", path=["gcp-vpc"])


def test_the_host_has_the_retries_of_the_settings() -> None:
    """With 8 data in flight is given up after 106 s."""
    claim, made = tried("in-flight", retries2=8)
    assert made.scenario.client.retries2 == 8
    assert claim.window is not None
    assert claim.window.low_ns <= latest_ns(made) - 250_000_000 <= claim.window.high_ns
    assert latest_ns(made) / 1e9 == pytest.approx(106, abs=2)


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("idle", "noticed"),
        ("in-flight", "noticed"),
        ("path", "survives"),
        ("outage-idle", "survives"),
    ],
)
def test_what_the_oracle_does_not_cover_is_watched(kind: proof.Kind, outcome: str) -> None:
    """A heartbeat beside keepalive with a user timeout: as long as the heartbeat takes at least."""
    beat = {"every_s": 30, "timeout_s": 10, "misses": 2, "apart": True}
    keys = {**KEEPALIVE, "user_timeout_s": 60, "heartbeat": beat}
    _, made = tried(kind, **keys, path=["aws-nlb"], survive_s=20)
    assert made.prediction is None
    assert made.scenario.expect.outcome == outcome
    assert made.watch_ns > (50 if outcome == "noticed" else 250) * 1e9
