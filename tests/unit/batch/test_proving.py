"""From claims to proofs, with runs that were made by hand."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.batch import proving
from harness.plan.plan import Plan
from harness.policy import proof
from harness.policy.proof import Proofs
from harness.runner.execute import Status
from harness.timeline import Event
from harness.venue import kernel, uml
from harness.venue.host import Carried
from harness.venue.kernel import Kernel, Manifest
from tests.running import Silent
from tests.unit.policy.policies import connection
from tests.unit.timelines import ARMED_NS, as_foreseen, moved, without

KEEPALIVE: dict[str, Any] = {"idle_s": 60, "interval_s": 10, "count": 3}
Bend = Callable[[Plan, list[Event]], list[Event]]


class Steps(Silent):
    """Counts the steps of each part of the work."""

    def __init__(self) -> None:
        self.parts: dict[str, int] = {}

    def begin(self, what: str, total: int) -> None:
        """A part begins."""
        self.parts[what] = total

    def step(self) -> None:
        """Nobody looks."""


class Guests:
    """Runs as foreseen, but for how `bend` changes their timelines."""

    def __init__(self, bend: Bend) -> None:
        self.bend = bend
        self.ran: dict[str, list[str]] = {}

    def run_all(
        self, plans: Sequence[Plan], out: Path, status: Status, kernel: Kernel
    ) -> Generator[Carried]:
        """In place of guests."""
        del status
        self.ran[kernel.name] = [plan.name for plan in plans]
        for plan in plans:
            (out / plan.name).mkdir()
            events = [_at_once(plan, event) for event in without(as_foreseen(plan), "opened")]
            yield Carried(plan, tuple(self.bend(plan, events)), 0.1)


def _at_once(plan: Plan, event: Event) -> Event:
    """The RST of an abort leaves in the moment of the abort: a guest's clock stands still."""
    ends_ns = [each.window_ns for each in plan.expected if each.window_ns is not None]
    if event.data.get("role") != "rst" or not ends_ns:
        return event
    return msgspec.structs.replace(event, t_ns=ARMED_NS + sum(ends_ns[0]) // 2)


def _kernel(hz: int) -> Kernel:
    manifest = Manifest(
        release="7.2.13", hz=hz, seccomp=True, compiler="", executable_sha256="", built=""
    )
    return Kernel(f"linux-7.2.13-hz{hz}", Path(), manifest)


@pytest.fixture
def prove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Proofs, Guests]]:
    """The proofs of connections, with kernels for HZ 250 and 1000."""
    monkeypatch.setattr(kernel, "installed", lambda: [_kernel(1000), _kernel(250)])

    def run(
        kinds: Sequence[proof.Kind],
        *connections: dict[str, Any],
        bend: Bend = lambda _, events: events,
    ) -> tuple[Proofs, Guests]:
        guests = Guests(bend)
        monkeypatch.setattr(uml, "run_all", guests.run_all)
        found = proof.claims([connection(**keys) for keys in connections])
        claims = [each for each in found if each.question.kind in kinds]
        return proving.prove(claims, lambda: tmp_path, Steps(), [100]), guests

    return run


def test_runs_as_foreseen_confirm_all(prove: Callable[..., tuple[Proofs, Guests]]) -> None:
    """Detections, a device on the path, an outage. Equal questions share a run."""
    keys = KEEPALIVE | {"hz": [1000], "path": ["aws-nlb"]}
    found, guests = prove(("idle", "in-flight", "path", "outage-idle"), keys, keys)
    assert [each.comparison for each in found.proofs] == ["confirmed"] * 8
    assert guests.ran == {
        "linux-7.2.13-hz1000": [
            "001-idle-hz1000",
            "002-in-flight-hz1000",
            "003-path-hz1000",
            "004-outage-idle-hz1000",
        ]
    }
    figures = [each.measured.after_ns for each in found.proofs[:4] if each.measured]
    assert [each and round(each / 1e9, 1) for each in figures] == [94.8, 951.9, 64.1, None]


def test_each_hz_has_its_guests(prove: Callable[..., tuple[Proofs, Guests]]) -> None:
    """And those without a kernel are named, with those among them that were asked for."""
    found, guests = prove(("idle",), KEEPALIVE | {"user_timeout_s": 20})
    assert guests.ran == {
        "linux-7.2.13-hz1000": ["002-idle-hz1000"],
        "linux-7.2.13-hz250": ["001-idle-hz250"],
    }
    assert (found.missing_hz, found.missing_asked) == ((100, 300), (100,))


def test_a_late_detection_refutes(prove: Callable[..., tuple[Proofs, Guests]]) -> None:
    """By the window of its phase, and so by that of all."""

    def late(plan: Plan, events: list[Event]) -> list[Event]:
        del plan
        return moved(events, "subject.detected", round(95.1e9))

    found, _ = prove(("idle",), KEEPALIVE | {"hz": [1000]}, bend=late)
    (refuted,) = found.proofs
    assert refuted.comparison == "refuted"
    assert refuted.why


def test_a_run_that_cannot_be_judged_proves_nothing(
    prove: Callable[..., tuple[Proofs, Guests]],
) -> None:
    """With the reason."""

    def broken(plan: Plan, events: list[Event]) -> list[Event]:
        del plan
        return [*events, Event(ARMED_NS, "run.broken", "harness", {"error": "no memory"})]

    found, _ = prove(("idle",), KEEPALIVE | {"hz": [1000]}, bend=broken)
    (unproven,) = found.proofs
    assert unproven.comparison == "not-proven"
    assert "no memory" in unproven.why


def test_what_the_program_decides_is_not_run(
    prove: Callable[..., tuple[Proofs, Guests]],
) -> None:
    """No guest has that program."""
    found, guests = prove(("idle", "in-flight"), {"hz": [1000], "idle_close_s": 65})
    assert [each.comparison for each in found.proofs] == ["not-proven", "confirmed"]
    assert found.proofs[0].why == "the program closes it, not the kernel"
    assert guests.ran == {"linux-7.2.13-hz1000": ["001-in-flight-hz1000"]}
    assert found.is_complete


def test_what_cannot_be_planned_is_not_run(prove: Callable[..., tuple[Proofs, Guests]]) -> None:
    """With the reason, too."""
    beat = {"every_s": 30, "timeout_s": 10}
    keys = {"heartbeat": beat, "side": "server", "path": ["gcp-vpc"], "hz": [1000]}
    found, guests = prove(("path",), keys)
    (unproven,) = found.proofs
    assert unproven.comparison == "not-proven"
    assert "side = client" in unproven.why
    assert guests.ran == {}
