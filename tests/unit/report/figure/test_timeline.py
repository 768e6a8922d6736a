"""The timeline figure: every row says what it shows, and everything stands at its time."""

from __future__ import annotations

import pytest

from harness.faults import Blackhole
from harness.model.topology import SIDES
from harness.plan.plan import Plan
from harness.plan.planner import make
from harness.report.figure import timeline_svg
from harness.report.figure.axis import FOLD_WIDTH
from harness.scenario.loader import from_mapping
from harness.scenario.schema import Endpoint, Keepalive
from harness.timeline import Event
from tests.unit import recovering
from tests.unit.report.figure.drawn import (
    Sent,
    both_ends,
    of_class,
    overlaps,
    parsed,
    result,
    texts,
    tips,
)
from tests.unit.report.test_diagram import PLANS
from tests.unit.timelines import MACHINE, SECOND, as_foreseen, at, planned, unreachable, without

HANDSHAKE = both_ends(
    Sent(-300_000, "client", "syn", flags="S", seq=0),
    Sent(-200_000, "server", "syn-ack", flags="SA", seq=0),
    Sent(-100_000, "client", "ack"),
)


def rows(plan: Plan, events: list[Event]) -> list[str]:
    """The names of the rows."""
    root = parsed(timeline_svg(result(plan, events)))
    return [
        text
        for text, element in zip(texts(root), root.iter("text"), strict=True)
        if element.get("x") == "10"
    ]


@pytest.mark.parametrize("name", PLANS)
def test_no_text_covers_another(name: str) -> None:
    """Whatever a run was, all its labels can be read."""
    plan = PLANS[name]
    root = parsed(timeline_svg(result(plan, [*HANDSHAKE, *as_foreseen(plan)])))
    assert overlaps(root) == []


def test_windows_and_detection_stand_at_their_times() -> None:
    """Each window's bar begins and ends where its seconds are on the axis; detection has a mark."""
    plan = unreachable(window_s=(5.0, 5.4))
    root = parsed(timeline_svg(result(plan, as_foreseen(plan))))
    scale = {
        float(element.text or ""): float(element.get("x", ""))
        for element in of_class(root, "time", tag="text")
    }
    per_s = scale[5.0] - scale[4.0]
    for kind, (low, high) in {"predicted": (5.072, 5.108), "claimed": (5.0, 5.4)}.items():
        (bar,) = of_class(root, kind, tag="rect")
        left, width = float(bar.get("x", "")), float(bar.get("width", ""))
        assert left == pytest.approx(scale[0.0] + low * per_s, abs=0.5)
        assert width == pytest.approx((high - low) * per_s, abs=0.5)
    (stem,) = of_class(root, "stem", tag="path")
    assert float(stem.get("d", "")[1:].split()[0]) == pytest.approx(
        scale[0.0] + 5.09 * per_s, abs=0.5
    )
    assert "✓ ETIMEDOUT 5.090 s" in texts(root)
    assert "ETIMEDOUT 5.072 to 5.108 s" in texts(root)


def test_rows() -> None:
    """Faults, then each end with what it sent and received, its windows, and what it detected."""
    plan = unreachable(window_s=(5.0, 5.4))
    assert rows(plan, as_foreseen(plan))[:9] == [
        "fault", "sends", "receives", "predicted", "claimed", "detected", "sends", "receives",
    ][:9]  # fmt: skip
    root = parsed(timeline_svg(result(plan, as_foreseen(plan))))
    assert [text for text in texts(root) if text.split()[0] in SIDES] == [
        "client judged: pass",
        "server not judged",
    ]


def test_origin_is_named() -> None:
    """The axis counts from what the claim counts from, and says so."""
    root = parsed(timeline_svg(result(PLANS["eof"], as_foreseen(PLANS["eof"]))))
    assert texts(root)[:2] == ["seconds after", "the fault"]
    assert "end of file 0.000 to 0.050 s" in texts(root)


def test_two_hours_of_silence_are_folded() -> None:
    """Two hours of idle time are as wide as any fold, which says how much it leaves out."""
    plan = planned(Blackhole(at_s=2), client=Endpoint(keepalive=Keepalive()))
    root = parsed(timeline_svg(result(plan, as_foreseen(plan))))
    assert [text for text in texts(root) if "folded" in text] == ["folded: 2 h of silence"]
    (fold,) = of_class(root, "fold", tag="rect")
    assert float(fold.get("width", "")) == FOLD_WIDTH
    assert overlaps(root) == []


def test_fault_bar() -> None:
    """A fault that ends has a bar from its injection to its removal, with its evidence as a tip."""
    root = parsed(timeline_svg(result(PLANS["healed"], as_foreseen(PLANS["healed"]))))
    (bar,) = of_class(root, "fault", tag="rect")
    assert "link-down on server" in texts(root)
    assert tips(bar) == [
        "link-down on server, injected at 0.500 s, removed at 3.600 s; evidence: traces"
    ]


def test_nothing_detected() -> None:
    """That nothing was detected is said, with the verdict's sign."""
    root = parsed(timeline_svg(result(PLANS["quiet"], as_foreseen(PLANS["quiet"]))))
    assert "✓ nothing, until the end of the watch" in texts(root)


def test_many_segments_become_bars() -> None:
    """Ten thousand captures are a few marks that say how many they stand for."""
    plan = planned(outcome="survives", bound_s=6)
    many = both_ends(
        *(Sent(n * 1_000_000, "client", "data", seq=n, length=1) for n in range(5_000))
    )
    picture = timeline_svg(result(plan, [*as_foreseen(plan), *many]))
    assert len(picture) < 8000
    assert any("5000 data" in tip for tip in tips(parsed(picture)))


def test_output_of_the_program() -> None:
    """A line of output is a mark whose tip is the line, without what could be taken for markup."""
    plan = unreachable()
    line = at(SECOND, "subject.printed", "client", side="client", line="<b>\x1b[31mred</b>\x00")
    root = parsed(timeline_svg(result(plan, [*as_foreseen(plan), line])))
    assert "program" in texts(root)
    assert r"1.000 s: the client prints: <b>\x1b[31mred</b>\x00" in tips(root)


def test_a_run_that_never_began() -> None:
    """Without any event, there is a figure all the same, which names the missing fault."""
    plan = unreachable()
    assert "blackhole: never injected" in texts(parsed(timeline_svg(result(plan, []))))
    assert parsed(timeline_svg(result(plan, without(as_foreseen(plan), "subject.armed"))))


def test_ids_have_the_given_prefix() -> None:
    """Two figures in one page share no id, and each names its title."""
    plan = unreachable()
    root = parsed(timeline_svg(result(plan, as_foreseen(plan)), ident="r7"))
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert ids == ["r7-title"]
    assert root.get("aria-labelledby") == "r7-title"


def test_both_ends_are_judged() -> None:
    """Each end has its own windows, probes and verdict."""
    claim = {"outcome": "detected", "errno": "ETIMEDOUT", "window_s": [5.0, 5.4]}
    raw = {
        "name": "both",
        "client": {"keepalive": {"idle_s": 2, "interval_s": 1, "count": 3}},
        "faults": [{"kind": "blackhole", "at_s": 0.5}],
        "expect": {"client": claim, "server": {"outcome": "never"}, "bound_s": 6},
    }
    plan = make(from_mapping(raw, "by hand"), MACHINE)
    assert [end.scenario.expect.side for end in plan.ends] == ["client", "server"]
    armed = at(0, "subject.armed", "server", side="server", took_ns=1)
    root = parsed(timeline_svg(result(plan, [armed, *as_foreseen(plan.ends[0])])))
    assert [text for text in texts(root) if text.split()[0] in SIDES] == [
        "client judged: pass",
        "server judged: inconclusive",  # its watch was cut short
    ]
    assert "✓ ETIMEDOUT 5.090 s" in texts(root)
    assert "? nothing, until the end of the watch" in texts(root)


def test_nothing_is_claimed() -> None:
    """Signs of a command have a row for each kind, without a verdict's sign."""
    plan = planned(Blackhole(at_s=0.5), outcome="any", bound_s=6)
    signs = [
        at(n * SECOND, "subject.sign", side="client", how=how, found="it", reports=None)
        for n, how in ((3, "output"), (4, "output"), (5, "exit"))
    ]
    armed = at(0, "subject.armed", side="client", took_ns=1)
    root = parsed(timeline_svg(result(plan, [armed, *signs])))
    assert "client nothing claimed" in texts(root)
    assert {"prints", "it 3.000 s, and 1 more", "exits", "it 5.000 s"} <= set(texts(root))


def test_recovery() -> None:
    """When data passes again has a row, beside the window in which it is claimed to."""
    plan = recovering.recovering()
    events = recovering.run(plan, *recovering.answered(33))
    root = parsed(timeline_svg(result(plan, events)))
    assert "✓ data passes again 33.000 s" in texts(root)
    assert "data passes 30.000 to 38.000 s" in texts(root)
    assert "nothing, until the end of the watch" in texts(root)
    assert overlaps(root) == []


def test_no_recovery() -> None:
    """That no data passes again is what the verdict is about, and nothing else is."""
    plan = recovering.recovering()
    root = parsed(timeline_svg(result(plan, recovering.run(plan))))
    found = texts(root)
    at_row = found.index("recovers")
    assert "✗ nothing, until the end of the watch" in found
    assert found.count("nothing, until the end of the watch") == 1
    assert at_row > found.index("claimed")
