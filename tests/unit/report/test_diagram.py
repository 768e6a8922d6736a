"""The picture of a run: lanes of text that fit a terminal, for every kind of run."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.faults import Blackhole, FirewallIdle, LinkDown, PeerReboot, ProcessFreeze, ProcessKill
from harness.plan.plan import Plan
from harness.report import diagram
from harness.scenario.schema import Endpoint, Keepalive
from harness.timeline import Event
from tests.unit.judging import window
from tests.unit.timelines import (
    ALIVE,
    SECOND,
    as_foreseen,
    at,
    flap,
    moved,
    planned,
    unreachable,
    without,
)

WIDEST = 78
"""A terminal of 80 columns, and an indentation of two."""
QUICK = Endpoint(keepalive=Keepalive(idle_s=1, interval_s=1, count=2))
PLANS = {
    "detection": unreachable(window_s=(5.0, 5.4)),
    "eof": planned(ProcessKill(at_s=0.5), outcome="eof", window_s=(0.0, 0.1), origin="fault"),
    "quiet": planned(outcome="survives", bound_s=6),
    "no probes": planned(LinkDown(on="client", at_s=0.5)),
    "firewall": planned(
        FirewallIdle(timeout_s=5, then="reset"), client=QUICK, outcome="survives", bound_s=6
    ),
    "healed": flap(),
    "reset": planned(PeerReboot(at_s=0.5)),
    "without keepalive": planned(
        PeerReboot(at_s=0.5), client=Endpoint(), outcome="never", bound_s=5
    ),
    "two hours": planned(
        ProcessFreeze(at_s=0.5, for_s=1), Blackhole(at_s=2), client=Endpoint(keepalive=Keepalive())
    ),
}


def lanes(plan: Plan, events: list[Event]) -> dict[str, str]:
    """The picture by label; the legend has none."""
    drawn = diagram.draw(plan, events)
    return {line[: diagram.LABEL_WIDTH].strip(): line[diagram.LABEL_WIDTH :] for line in drawn}


@pytest.mark.parametrize("name", PLANS)
def test_a_picture_fits_a_terminal(name: str) -> None:
    """No line of any kind of run is wider than 78 columns, and none ends in blanks."""
    drawn = diagram.draw(PLANS[name], as_foreseen(PLANS[name]))
    assert max(len(line) for line in drawn) <= WIDEST
    assert all(line == line.rstrip() for line in drawn)


def test_detection() -> None:
    """Fault, probes, RST, both windows and what was detected stand at their times."""
    assert diagram.draw(PLANS["detection"], as_foreseen(PLANS["detection"])) == [
        "seconds    0          1          2          3          4           5",
        "fault           ┣━ blackhole ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━",
        "probes                           ●           ●          ●           ✕",
        "claimed                                           5.000 to 5.400 s █████",
        "predicted                               ETIMEDOUT 5.072 to 5.108 s ██",
        "detected                                          ETIMEDOUT 5.090 s ▲",
        "           ● probe, ✕ RST; seconds after arming",
    ]


def test_end_of_file() -> None:
    """The end of the stream is spelled out; a claimed window says what it counts from."""
    drawn = lanes(PLANS["eof"], as_foreseen(PLANS["eof"]))
    assert drawn["detected"].split() == ["end", "of", "file", "0.025", "s", "▲"]
    assert "0.000 to 0.100 s ███" in drawn["claimed"]
    assert "end of file 0.000 to 0.050 s ███" in drawn["predicted"]
    assert drawn["seconds"].split()[:2] == ["-0.5", "-0.4"]
    assert drawn[""] == "seconds after the fault"
    assert drawn["probes"] == "none on the wire"


def test_quiet() -> None:
    """Answered probes are marked as such, and the lanes say that nothing was foreseen and nothing
    was detected.
    """
    drawn = lanes(PLANS["quiet"], as_foreseen(PLANS["quiet"]))
    assert drawn["probes"].count("◉") == 2
    assert "◉ answered probe" in drawn[""]
    assert drawn["predicted"] == "nothing, until 6.000 s"
    assert drawn["detected"] == "nothing, until the end of the watch"


def test_no_probes() -> None:
    """Where nothing left the host, the lane says so, and the legend has no marks."""
    drawn = lanes(PLANS["no probes"], as_foreseen(PLANS["no probes"]))
    assert drawn["probes"] == "none on the wire"
    assert drawn[""] == "seconds after arming"


def test_one_origin_for_all_lanes() -> None:
    """Axis, windows and what was detected count from the fault, 70 s after arming, where the claim
    does.
    """
    plan = planned(
        Blackhole(at_s=70),
        outcome="detected",
        errno="ETIMEDOUT",
        window_s=(0.0, 9.0),
        origin="fault",
    )
    drawn, (low, high) = lanes(plan, as_foreseen(plan)), window(plan)
    assert drawn["seconds"].split()[-2:] == ["0", "10"]
    assert drawn["fault"].index("┣") == drawn["seconds"].index(" 0") + 1
    assert f"{low / 1e9 - 70:.3f} to {high / 1e9 - 70:.3f} s" in drawn["predicted"]
    assert "0.000 to 9.000 s" in drawn["claimed"]
    assert float(drawn["detected"].split()[1]) == pytest.approx((low + high) / 2e9 - 70, abs=0.001)


def test_a_claim_as_wide_as_the_watch_has_its_bar() -> None:
    """With its figures in it."""
    plan = unreachable(window_s=(0.6, 6.0))
    claimed = lanes(plan, as_foreseen(plan))["claimed"]
    assert claimed.count("█") > 30
    assert " 0.600 to 6.000 s " in claimed


def test_a_bar_with_no_room_for_its_words_has_them_above_it() -> None:
    """No bar is left out."""
    plan = unreachable(window_s=(0.8, 2.8))
    drawn = diagram.draw(plan, as_foreseen(plan))
    at = next(number for number, line in enumerate(drawn) if line.startswith("claimed"))
    assert "0.800 to 2.800 s" in drawn[at]
    assert "█" in drawn[at] + drawn[at + 1]


def test_what_lies_off_the_scale_has_a_mark() -> None:
    """What was detected far too early leaves windows and faults beyond the end of the picture."""
    plan = planned(Blackhole(at_s=0.5), PeerReboot(at_s=30.0), outcome="detected")
    (outcome,) = plan.expected
    far = msgspec.structs.replace(outcome, errno="EPIPE", window_ns=(30 * SECOND, 40 * SECOND))
    assert plan.prediction is not None
    prediction = msgspec.structs.replace(plan.prediction, outcomes=(outcome, far))
    plan = msgspec.structs.replace(plan, prediction=prediction)
    drawn = diagram.draw(plan, [e for e in as_foreseen(plan) if e.data.get("index") != 1])
    (predicted,) = (line for line in drawn if "EPIPE" in line)
    assert predicted.endswith("EPIPE 30.000 to 40.000 s ▶")
    late = [*as_foreseen(plan), at(30 * SECOND, "fault.injected", "fault", index=1, took_ns=1)]
    drawn = diagram.draw(
        plan, [e for e in late if e.data.get("index") != 1 or e.t_ns > 20 * SECOND]
    )
    assert any(line.endswith("peer-reboot 30.000 s ▶") for line in drawn)


def test_a_long_report_is_cut() -> None:
    """What a program says fits its lane with the mark and the time."""
    plan = planned(Blackhole(at_s=0.5), outcome="never", bound_s=5)
    said = {"how": "output", "found": "lost", "reports": "the remote end has gone " * 40}
    events = [
        at(0, "subject.armed", side="client", took_ns=1),
        at(SECOND, "subject.noticed", side="client", **said),
        at(2 * SECOND, "run.ended", "harness"),
    ]
    drawn = diagram.draw(plan, events)
    assert max(len(line) for line in drawn) <= WIDEST
    assert any(
        "the remote end has" in line and "... 1.000 s" in line and "▲" in line for line in drawn
    )


def test_a_firewall_stands_from_the_start() -> None:
    """A standing fault is drawn over the whole run."""
    fault = lanes(PLANS["firewall"], as_foreseen(PLANS["firewall"]))["fault"]
    assert fault.startswith("┣━ firewall-idle ━")
    assert len(fault) == diagram.LANE_WIDTH


def test_a_fault_that_was_there_before_the_first_syn_is_drawn_from_the_start() -> None:
    """As that of a connection that is being made."""
    plan = unreachable()
    early = moved(as_foreseen(plan), "fault.injected", -SECOND // 100)
    assert lanes(plan, early)["fault"].startswith("┣━ blackhole ━━━")


def test_a_healed_fault_ends() -> None:
    """Healing closes the bar; a fault that was healed to tidy up stays open."""
    assert lanes(PLANS["healed"], as_foreseen(PLANS["healed"]))["fault"].strip().endswith("━┫")
    assert "┫" not in lanes(PLANS["detection"], as_foreseen(PLANS["detection"]))["fault"]


def test_a_short_fault_has_its_name_beside_it() -> None:
    """Where the bar is shorter than the name, the name goes where there is room."""
    drawn = lanes(PLANS["two hours"], as_foreseen(PLANS["two hours"]))
    assert drawn["fault"].startswith("┣━ blackhole")  # the second of two lanes
    first = next(
        line
        for line in diagram.draw(PLANS["two hours"], as_foreseen(PLANS["two hours"]))
        if "freeze" in line
    )
    assert first == "fault      ┣ process-freeze"


def test_a_probe_that_met_an_rst() -> None:
    """Probe and RST in one column have a mark of their own."""
    drawn = lanes(PLANS["reset"], as_foreseen(PLANS["reset"]))
    assert "✕" in drawn["probes"] or "⊗" in drawn["probes"]
    assert "RST" in drawn[""]


def test_what_the_teardown_sends_is_not_drawn() -> None:
    """Segments after the run's last event are no part of the picture."""
    plan = PLANS["quiet"]
    late = at(plan.watch_ns + 2_000_000, "segment", way="in", role="rst", flags="R")
    assert "✕" not in "".join(diagram.draw(plan, [*as_foreseen(plan), late]))


def test_a_run_that_stopped() -> None:
    """A killed run is drawn as far as it went."""
    plan = PLANS["detection"]
    drawn = lanes(plan, without(as_foreseen(plan), "subject.detected", "run.ended", "fault.healed"))
    assert drawn["detected"] == "nothing, until the run stopped"
    assert "┣━ blackhole" in drawn["fault"]
    uninjected = lanes(plan, without(as_foreseen(plan), "fault.injected"))
    assert uninjected["fault"] == "blackhole: never injected"


def test_detection_far_too_late_is_still_drawn() -> None:
    """The scale holds what was measured, not only what was foreseen."""
    plan = PLANS["detection"]
    events = moved(
        moved(as_foreseen(plan), "subject.detected", 60 * SECOND), "run.ended", 61 * SECOND
    )
    drawn = diagram.draw(plan, events)
    assert max(len(line) for line in drawn) <= WIDEST
    assert drawn[0].split()[-1] == "60"
    assert "ETIMEDOUT 60.000 s ▲" in drawn[-2]


def test_without_a_prediction() -> None:
    """The lane says that there is none."""
    claim: dict[str, Any] = {"outcome": "detected", "errno": "ETIMEDOUT", "window_s": (5.0, 9.0)}
    plan = planned(Blackhole(at_s=0.5), ProcessKill(at_s=1.0), **claim)
    events = [at(0, "subject.armed", side="client", took_ns=1), at(SECOND, "run.ended", "harness")]
    assert lanes(plan, events)["predicted"] == "nothing: the oracle has no model of this"


def test_nothing_is_drawn_of_what_was_never_armed() -> None:
    """Without arming there is no time to count from.

    A timeline that makes no sense has no picture either.
    """
    plan = PLANS["detection"]
    assert diagram.draw(plan, without(as_foreseen(plan), "subject.armed")) == []
    assert diagram.draw(plan, [*as_foreseen(plan), at(0, "segment")]) == []


@settings(deadline=None)
@given(
    st.integers(1, 32767),
    st.integers(1, 9000),
    st.integers(1, 12),
    st.floats(0, 3),
    st.none() | st.floats(0.001, 9),
)
def test_a_picture_of_any_length_fits(
    idle: int, interval: int, count: int, at: float, for_s: float | None
) -> None:
    """From seconds to days, with faults anywhere: 78 columns."""
    keepalive = Keepalive(idle_s=idle, interval_s=interval, count=count)
    plan = planned(Blackhole(at_s=at * idle, for_s=for_s), client=Endpoint(keepalive=keepalive))
    drawn = diagram.draw(plan, as_foreseen(plan))
    assert max(len(line) for line in drawn) <= WIDEST


def test_a_chronicle_is_in_order() -> None:
    """Events as lines, by their times, without what is long."""
    lines = diagram.chronicle(
        [
            Event(
                2_500_000_000,
                "subject.detected",
                "client",
                {"side": "client", "errno": "EPIPE", "tcp_info": {"a": 1}},
            ),
            Event(
                1_000_000,
                "segment",
                "server",
                {"way": "in", "role": "probe", "flags": "A", "frame": "00" * 60},
            ),
            Event(0, "opened", "harness", {"monotonic_ns": 5}),
        ]
    )
    assert lines == [
        "   0.000000 s  opened            harness",
        "   0.001000 s  segment           server   in probe A",
        "   2.500000 s  subject.detected  client   errno=EPIPE",
    ]


def test_only_the_observer_is_drawn() -> None:
    """Probes of the other side are left out."""
    plan = planned(PeerReboot(on="client", at_s=0.5), client=ALIVE, server=ALIVE, side="server")
    other = at(SECOND, "segment", "client", way="out", role="probe", flags="A")
    assert diagram.draw(plan, [*as_foreseen(plan), other]) == diagram.draw(plan, as_foreseen(plan))
    mine = msgspec.structs.replace(other, source="server")
    assert diagram.draw(plan, [*as_foreseen(plan), mine]) != diagram.draw(plan, as_foreseen(plan))
