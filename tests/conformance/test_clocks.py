"""The two clocks: what is short enough runs on both, and both tell the same story."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness import batch, capabilities, loader
from harness.errors import CapabilityError
from harness.plan import Plan, make
from harness.timeline import Event
from harness.venue import uml
from harness.venue.kernel import Kernel, find

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(180)]
SHORT_NS = 12_000_000_000


class _Silent:
    def status(self, name: str, what: str, until_ns: int | None) -> None:
        """Nobody looks on."""

    def done(self, result: batch.Result) -> None:
        """Nobody waits for one."""


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    """The newest kernel that is built."""
    try:
        return find(None)
    except CapabilityError as error:
        pytest.skip(f"virtual time is left out: {error}")


def _virtual(plans: Sequence[Plan], out: Path, kernel: Kernel) -> list[batch.Result]:
    def venue(some: Sequence[Plan], folder: Path, status: Any) -> Any:
        return uml.run_all(some, folder, status, kernel)

    return batch.run(plans, out, _Silent(), venue)


def _wire(events: Sequence[Event]) -> list[tuple[str, str, str, str]]:
    """What passed each endpoint from arming on: host, way, role and flags, in order."""
    armed = max(e.t_ns for e in events if e.kind == "subject.armed")
    ended = next(e.t_ns for e in events if e.kind == "run.ended")
    segments = [e for e in events if e.kind == "segment" and armed <= e.t_ns <= ended and e.data["role"] != "icmp"]
    return [
        (host, e.data["way"], e.data["role"], e.data["flags"])
        for host in ("client", "server")
        for e in sorted(segments, key=lambda e: e.t_ns)
        if e.source == host
    ]


def test_both_clocks_tell_the_same_story(tmp_path: Path, kernel: Kernel) -> None:
    """Verdict, outcome, errno, probes and the segments on the wire agree for every scenario short enough for both."""
    here = capabilities.machine()
    short = [s for s in loader.find([]) if make(s, here).watch_ns <= SHORT_NS]
    assert len(short) > 20
    real = batch.run([make(s, here) for s in short], tmp_path / "real", _Silent())
    virtual = _virtual([make(s, uml.machine(kernel)) for s in short], tmp_path / "virtual", kernel)
    differing = []
    for one, other in zip(real, virtual, strict=True):
        stories = [
            (r.verdict.verdict, r.verdict.outcome, r.verdict.errno, r.verdict.probes, _wire(r.events))
            for r in (one, other)
        ]
        if stories[0] != stories[1] or one.verdict.verdict != "pass":
            differing.append((one.plan.name, *stories, one.verdict.reason, other.verdict.reason))
    assert not differing
