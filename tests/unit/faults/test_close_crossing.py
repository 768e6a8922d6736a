"""A close that crosses a request: where it is held back, and what proves that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.errors import FaultError, SubjectError
from harness.faults import CloseCrossesRequest, ProcessKill, close_crossing
from harness.lab.watched import Watched
from harness.model.topology import SIDES, Side, Topology, layout, other
from harness.scenario.schema import Expect, Scenario
from harness.scenario.validation import problems
from tests.unit.fake_clock import FakeClock
from tests.unit.fake_lab import FakeLab


class Holder:
    """The program: the lines that it prints, and what it is told."""

    name = "FIN holder"

    def __init__(self) -> None:
        self.printed: list[bytes] = []
        self.told: list[bytes] = []
        self.status: int | None = None
        self.fails: Exception | None = None

    def lines(self) -> list[bytes]:
        """What it has printed since."""
        found, self.printed = self.printed, []
        return found

    def read_line(self, _: float) -> bytes:
        """The next line."""
        if self.fails is not None:
            raise self.fails
        return self.printed.pop(0) if self.printed else b"released"

    def write(self, order: bytes) -> None:
        """An order."""
        if self.status is not None:
            raise BrokenPipeError
        self.told.append(order)

    def poll(self) -> int | None:
        """Its exit status."""
        return self.status


@pytest.fixture
def holder(monkeypatch: pytest.MonkeyPatch) -> Holder:
    """At work on each host that is asked for."""
    made = Holder()

    @contextmanager
    def holding(*_: object) -> Iterator[Holder]:
        yield made

    monkeypatch.setattr(close_crossing, "_holding", holding)
    return made


@pytest.fixture
def lab() -> FakeLab:
    """A routed lab whose rules have met nothing yet."""
    made = FakeLab(Topology(), FakeClock())
    made.packets = 0
    return made


def test_it_waits_for_data(lab: FakeLab, holder: Holder) -> None:
    """In place until then, also where a FIN is held; at the end it lets go."""
    with CloseCrossesRequest().inject(lab) as evidence:
        assert (evidence().level, evidence().found) == ("in-place", "0 FINs crossed by data")
        lab.packets = 1
        assert evidence().level == "in-place"
        assert "a FIN was held back, and no data has crossed it" in evidence().found
        holder.printed.append(b'{"ports": [40000, 7000]}')
        assert evidence().level == "bit"
        assert "1 FIN crossed by data" in evidence().found
        assert evidence().level == "bit", "it is told once and stays true"
        holder.printed.append(b'{"ports": [40001, 7000]}')
    assert holder.told == [b"release\n"]
    assert lab.done == ["router +ingress:to-server", "router -ingress:to-server"]


def test_another_connection_proves_nothing(lab: FakeLab, holder: Holder) -> None:
    """Its FINs are held as well."""
    lab.watched = Watched((), 7000)
    with CloseCrossesRequest().inject(lab) as evidence:
        holder.printed.append(b'{"ports": [40000, 53]}')
        assert evidence().level == "in-place"


def test_a_program_that_has_ended_is_no_evidence(lab: FakeLab, holder: Holder) -> None:
    """And need not let go."""
    with CloseCrossesRequest().inject(lab) as evidence:
        holder.status = 1
        assert (evidence().level, evidence().found) == ("none", "FIN holder has ended")


def test_one_that_does_not_let_go_is_a_fault_error(lab: FakeLab, holder: Holder) -> None:
    """The rules go all the same; one that has just ended holds nothing."""
    holder.fails = SubjectError("FIN holder: expected a line within 10 s, found b''")
    with (
        pytest.raises(FaultError, match=r"expected the FIN holder to let go, found .* 10 s"),
        CloseCrossesRequest().inject(lab),
    ):
        pass
    assert lab.done[-1] == "router -ingress:to-server"


@pytest.mark.parametrize("side", SIDES)
def test_it_needs_both_ends_and_the_next_hop(side: Side) -> None:
    """No proxy between them; and it may act along with what makes the side close."""
    proxied = layout(Topology(kind="proxied"))
    (problem,) = CloseCrossesRequest(on=side).misplaced(proxied)
    assert (problem.key, problem.value) == ("kind", "close-crosses-request")
    routed = layout(Topology())
    assert not list(CloseCrossesRequest(on=side).misplaced(routed))
    assert CloseCrossesRequest(on=side).hosts(routed) == {side, "router"}
    both = (CloseCrossesRequest(on=side, at_s=1), ProcessKill(on=side, at_s=2))
    claim = Expect(side=other(side), outcome="eof", window_s=(0, 9))
    assert not list(problems(Scenario(name="a", faults=both, expect=claim)))


def test_nothing_is_predicted() -> None:
    """On either side: when data is sent decides."""
    for side in SIDES:
        (effect,) = CloseCrossesRequest(at_s=2, for_s=3).effects(layout(Topology()), side)
        assert (effect.mechanism, effect.from_s, effect.until_s) == ("impaired", 2.0, 5.0)
        assert effect.unknown == "a FIN comes when data has crossed it"
