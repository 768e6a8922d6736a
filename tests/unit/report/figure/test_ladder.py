"""The ladder figure: an arrow for each segment, a cross where one was dropped."""

from __future__ import annotations

from typing import Any

import pytest

from harness.faults import Blackhole, FirewallIdle, LinkDown
from harness.report.figure import ladder_svg
from harness.report.figure.ladder_rows import MOST_ARROWS
from harness.scenario.schema import Endpoint, Keepalive
from tests.unit import recovering
from tests.unit.report.figure.drawn import (
    Sent,
    both_ends,
    of_class,
    overlaps,
    parsed,
    result,
    texts,
)
from tests.unit.report.figure.test_timeline import HANDSHAKE
from tests.unit.report.test_diagram import PLANS
from tests.unit.timelines import SECOND, as_foreseen, at, planned, unreachable


def test_lost_segments_end_in_a_cross_where_they_were_dropped() -> None:
    """A blackhole on the router: the arrows of probes end there, and each says so."""
    plan = unreachable()
    root = parsed(ladder_svg(result(plan, [*HANDSHAKE, *as_foreseen(plan)])))
    crosses = of_class(root, "cross", tag="path")
    assert len(crosses) == 4
    (router,) = [e for e in root.iter("text") if e.text == "router"]
    middle = {float(cross.get("d", "")[1:].split()[0]) + 5 for cross in crosses}
    assert middle == {float(router.get("x", ""))}
    assert texts(root).count("keepalive probe ✕ never arrives: blackhole on router") == 3


def test_arrows_of_a_handshake() -> None:
    """Each segment is one arrow, from its sender to its receiver, downward."""
    plan = planned(outcome="survives", bound_s=6)
    root = parsed(
        ladder_svg(result(plan, [*HANDSHAKE, at(0, "subject.armed", side="client", took_ns=1)]))
    )
    arrows = [arrow.get("d", "") for arrow in of_class(root, "arrow", tag="path")]
    ends = [d[1:].split("m")[0].replace("L", " ").split() for d in arrows]
    assert [float(from_x) < float(to_x) for from_x, _, to_x, _ in ends] == [True, False, True]
    assert all(float(top) < float(bottom) for _, top, _, bottom in ends)
    assert [t for t in texts(root) if t in ("SYN", "SYN, ACK", "ACK")] == ["SYN", "SYN, ACK", "ACK"]


@pytest.mark.parametrize("name", PLANS)
def test_no_text_covers_another(name: str) -> None:
    """Whatever a run was, all its labels can be read."""
    plan = PLANS[name]
    root = parsed(ladder_svg(result(plan, [*HANDSHAKE, *as_foreseen(plan)])))
    assert overlaps(root) == []


def test_delay_longer_than_the_interval() -> None:
    """The arrow of a segment that arrives after the next was sent ends below its beginning."""
    plan = planned(outcome="survives", bound_s=6)
    sent = both_ends(*(Sent(n * SECOND, "client", "data", 1_500_000_000, seq=n) for n in (1, 2)))
    root = parsed(
        ladder_svg(result(plan, [at(0, "subject.armed", side="client", took_ns=1), *sent]))
    )
    first, second = (
        a.get("d", "")[1:].split("m")[0].replace("L", " ").split()
        for a in of_class(root, "arrow", tag="path")
    )
    assert float(first[3]) > float(second[1])
    assert "data arrives 1.5 s later" in texts(root)


def test_an_answer_from_the_middle() -> None:
    """An RST that the peer never sent comes from the firewall."""
    plan = planned(
        FirewallIdle(timeout_s=5, then="reset"),
        client=Endpoint(keepalive=Keepalive(idle_s=9, interval_s=1, count=2)),
    )
    root = parsed(ladder_svg(result(plan, [*HANDSHAKE, *as_foreseen(plan)])))
    assert "RST sent by router" in texts(root)
    assert "fault in place from the start: firewall-idle on router" in texts(root)


def test_what_happens_is_told() -> None:
    """Arming, fault, silence, detection and the end have rows of their own."""
    plan = unreachable()
    found = texts(parsed(ladder_svg(result(plan, [*HANDSHAKE, *as_foreseen(plan)]))))
    for words in (
        "arming: both ends are ready, time 0",
        "fault injected: blackhole on router",
        "⋮ 1 s",
        "client detects ETIMEDOUT",
        "end of the run",
    ):
        assert words in found


def test_fault_band() -> None:
    """A fault that ends is a band beside its host, from its injection to its removal."""
    plan = planned(LinkDown(on="server", at_s=0.5, for_s=3.1), outcome="survives", bound_s=8)
    root = parsed(ladder_svg(result(plan, as_foreseen(plan))))
    (band,) = of_class(root, "fault", tag="rect")
    notes = {text.text: float(text.get("y", "")) for text in root.iter("text")}
    top = float(band.get("y", ""))
    assert top == pytest.approx(notes["fault injected: link-down on server"] - 4)
    assert top + float(band.get("height", "")) == pytest.approx(
        notes["fault removed: link-down on server"] - 4
    )


def test_long_silence_is_folded() -> None:
    """Two hours are a broken line that says so."""
    plan = planned(Blackhole(at_s=2), client=Endpoint(keepalive=Keepalive()))
    root = parsed(ladder_svg(result(plan, as_foreseen(plan))))
    assert "folded: 2 h 1 min of silence" in texts(root)
    assert overlaps(root) == []


def test_many_segments_are_elided() -> None:
    """At most so many arrows; the others are counted in their place, and the ends are shown."""
    plan = planned(Blackhole(at_s=5.5), outcome="survives", bound_s=6)
    many = both_ends(
        *(Sent(n * 1_000_000, "client", "data", seq=n, length=1) for n in range(5_000))
    )
    events = [*HANDSHAKE, *as_foreseen(plan), *many]
    root = parsed(ladder_svg(result(plan, events)))
    arrows = of_class(root, "arrow", tag="path")
    assert len(arrows) == MOST_ARROWS
    told = [text for text in texts(root) if "segments like these" in text]
    hidden = sum(int(text.split()[1]) for text in told)
    others = 3 + 5  # of the handshake; of the foreseen run, which has the client's capture alone
    assert hidden + MOST_ARROWS == 5_000 + others
    assert "SYN" in texts(root)
    assert "end of the run" in texts(root)


def test_behind_a_proxy() -> None:
    """Arrows end at the proxy, dashed, as nobody knows what became of them."""
    plan = planned(kind="proxied", outcome="survives", bound_s=6)
    root = parsed(
        ladder_svg(result(plan, [*HANDSHAKE, at(0, "subject.armed", side="client", took_ns=1)]))
    )
    assert len(of_class(root, "arrow", "unsure", tag="path")) == 6
    assert not of_class(root, "cross")
    assert any(
        "whether and when the proxy received or sent it is not known" in t for t in texts(root)
    )


def test_frames_that_were_not_captured() -> None:
    """Where a capture lost frames, what seems lost may not be: the figure says so."""
    plan = unreachable()
    lost = at(9 * SECOND, "capture.ended", "server", dropped=12)
    found = texts(parsed(ladder_svg(result(plan, [*as_foreseen(plan), lost]))))
    assert any(text.startswith("12 frames at the server") for text in found)


def test_signs_of_a_command_stand_for_what_it_noticed() -> None:
    """The first sign and the end of its program are not told twice."""
    plan = planned(Blackhole(at_s=0.5), outcome="any", bound_s=6)
    sign: dict[str, Any] = {"side": "client", "how": "exit", "found": "status 1", "reports": None}
    events = [
        at(0, "subject.armed", side="client", took_ns=1),
        at(SECOND, "subject.sign", **sign),
        at(SECOND, "subject.noticed", **sign),
        at(SECOND, "subject.ended", side="client", status=1),
    ]
    found = texts(parsed(ladder_svg(result(plan, events))))
    assert [text for text in found if text.startswith("client ")] == ["client exits: status 1"]


def test_recovery_is_told() -> None:
    """Where data passes again, the ladder says so beside the end that is judged."""
    plan = recovering.recovering()
    events = recovering.run(plan, *recovering.answered(33))
    assert "client: data passes again" in texts(parsed(ladder_svg(result(plan, events))))
