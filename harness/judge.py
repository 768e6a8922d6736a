"""(Plan, Timeline) -> Verdict: pure, and the only place that decides.

A run passes when every fault left evidence, the subject saw what the scenario claims, and saw it inside the window the
oracle fixed beforehand. It fails when it was judged and something differs; it is inconclusive when it cannot be judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from harness.oracle.keepalive import Outcome
from harness.plan import Plan, must_echo, spell_outcomes
from harness.scenario import Expect
from harness.timeline import Event

VerdictName = Literal["pass", "fail", "inconclusive"]
SEVERITY: dict[VerdictName, int] = {"pass": 0, "inconclusive": 1, "fail": 2}
EXIT_STATUS: dict[VerdictName, int] = {"pass": 0, "fail": 1, "inconclusive": 3}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer, with what it rests on.

    `outcome`: what was measured ("detected", "eof", "quiet", or None when inconclusive before that).
    `detected_ns`: from `origin` to the wake-up of the observing program. `window_ns`: what was acceptable, allowance
    not included, from the same origin. `probes`: on the wire before the end, as captured on the observer's host;
    `probes_expected` as (least, most). `cites`: indices of the timeline's events.
    """

    name: str
    verdict: VerdictName
    reason: str
    clock: str
    kernel: str
    hz: int
    side: str
    outcome: str | None = None
    errno: str | None = None
    detected_ns: int | None = None
    window_ns: tuple[int, int] | None = None
    allowance_ns: int = 0
    origin: str = "armed"
    probes: int | None = None
    probes_expected: tuple[int, int] | None = None
    expected: str = ""
    cites: tuple[int, ...] = ()


class _Inconclusive(Exception):
    """The run cannot be judged; the text says why."""


class _Refuted(Exception):
    """The run was judged and something differs; the text says what."""


def judge(plan: Plan, events: Sequence[Event]) -> Verdict:
    """Decide. Never raises for any timeline; one that makes no sense is inconclusive."""
    story = _Story(plan, events)
    verdict: VerdictName = "pass"
    try:
        reason = _decide(plan, story)
    except _Inconclusive as doubt:
        verdict, reason = "inconclusive", str(doubt)
    except _Refuted as refutation:
        verdict, reason = "fail", str(refutation)
    window = story.shown_window()
    return Verdict(
        name=plan.name,
        verdict=verdict,
        reason=reason,
        clock=plan.machine.clock,
        kernel=plan.machine.kernel,
        hz=plan.machine.hz,
        side=plan.scenario.expect.side,
        outcome=story.kind,
        errno=story.errno,
        detected_ns=story.since_origin(story.end) if story.end is not None else None,
        window_ns=window,
        allowance_ns=plan.allowance_ns,
        origin=plan.scenario.expect.origin,
        probes=len(story.probes) if story.armed is not None else None,
        probes_expected=_span([o.probes_seen for o in plan.expected]),
        expected=spell_outcomes(plan.expected) if plan.expected else plan.scenario.expect.outcome,
        cites=story.cites(),
    )


def worst(verdicts: Sequence[Verdict]) -> VerdictName:
    """Fail before inconclusive before pass; nothing judged at all is inconclusive."""
    return max((v.verdict for v in verdicts), key=lambda name: SEVERITY[name], default="inconclusive")


class _Story:
    """What a timeline says about the observed side, found once."""

    def __init__(self, plan: Plan, events: Sequence[Event]) -> None:
        self.plan = plan
        self.events = events
        self.order = sorted(range(len(events)), key=lambda index: events[index].t_ns)
        side = plan.scenario.expect.side
        mine = [i for i in self.order if events[i].data.get("side") == side]
        self.armed_index = next((i for i in mine if events[i].kind == "subject.armed"), None)
        self.end_index = next((i for i in mine if events[i].kind in ("subject.detected", "subject.eof")), None)
        self.armed = None if self.armed_index is None else events[self.armed_index]
        self.end = None if self.end_index is None else events[self.end_index]
        self.ran_out = any(event.kind == "run.ended" for event in events)
        self.broken = next((event for event in events if event.kind == "run.broken"), None)
        self.segment_indices = [
            i
            for i in self.order
            if events[i].kind == "segment" and events[i].source == side and self._watched(events[i])
        ]
        self.probes = [
            events[i]
            for i in self.segment_indices
            if events[i].data["role"] == "probe" and events[i].data["way"] == "out" and self._before_end(events[i])
        ]

    @property
    def kind(self) -> str | None:
        """What was measured: detected, eof, quiet; None when the run says nothing."""
        if self.end is not None:
            return "detected" if self.end.kind == "subject.detected" else "eof"
        return "quiet" if self.armed is not None and self.ran_out else None

    @property
    def errno(self) -> str | None:
        return None if self.end is None else self.end.data.get("errno")

    @property
    def took_ns(self) -> int:
        """How long the arming call took: the origin is known to within this."""
        return int(self.armed.data["took_ns"]) if self.armed is not None else 0

    def fault_events(self, kind: str, index: int) -> list[Event]:
        """A fault's events of one kind, in order."""
        return [e for e in self.events if e.kind == kind and e.data["index"] == index]

    def since_armed(self, event: Event) -> int:
        assert self.armed is not None
        return event.t_ns - self.armed.t_ns

    def origin_shift(self) -> int | None:
        """From arming to the scenario's origin, in ns; None where the origin never came."""
        origin = self.plan.scenario.expect.origin
        if self.armed is None:
            return None
        if origin == "armed":
            return 0
        if origin == "fault":
            injected = [e for e in self.events if e.kind == "fault.injected" and not self._standing(e)]
            return self.since_armed(injected[0]) if injected else None
        received = [
            e
            for e in (self.events[i] for i in self.segment_indices)
            if e.data["way"] == "in"
            and "R" not in e.data["flags"]
            and "F" not in e.data["flags"]
            and self._before_end(e)
        ]
        return self.since_armed(received[-1]) if received else 0

    def since_origin(self, event: Event) -> int | None:
        shift = self.origin_shift()
        return None if shift is None else self.since_armed(event) - shift

    def shown_window(self) -> tuple[int, int] | None:
        """The predicted window from the scenario's origin, or the claimed one where nothing is predicted."""
        windows = [o.window_ns for o in self.plan.expected if o.window_ns is not None]
        shift = self.origin_shift()
        if windows and shift is not None:
            return max(0, min(w[0] for w in windows) - shift), max(w[1] for w in windows) - shift
        claim = self.plan.scenario.expect.window_s
        return None if claim is None else (round(claim[0] * 1e9), round(claim[1] * 1e9))

    def kernel_moment(self) -> Event | None:
        """The segment that shows when the kernel decided: an RST either way, or the peer's FIN."""
        for index in reversed(self.segment_indices):
            event = self.events[index]
            if self._before_end(event) and ("R" in event.data["flags"] or "F" in event.data["flags"]):
                return event
        return None

    def sent_rst(self) -> bool:
        segments = (self.events[index].data for index in self.segment_indices)
        return ("out", "rst") in {(data["way"], data["role"]) for data in segments}

    def cites(self) -> tuple[int, ...]:
        """The events a verdict rests on: arming, faults with their evidence, the end."""
        kinds = ("fault.injected", "fault.evidence", "fault.healed", "subject.alive", "run.broken")
        faults = [i for i in self.order if self.events[i].kind in kinds]
        found = [i for i in (self.armed_index, *faults, self.end_index) if i is not None]
        return tuple(sorted(set(found)))

    def _watched(self, event: Event) -> bool:
        """Whether an event lies in the time that counts: from arming to the end of the watch."""
        return self.armed is not None and 0 <= self.since_armed(event) <= self.plan.watch_ns

    def _before_end(self, event: Event) -> bool:
        return self.end is None or event.t_ns <= self.end.t_ns

    def _standing(self, event: Event) -> bool:
        return self.plan.scenario.faults[event.data["index"]].standing


def _decide(plan: Plan, story: _Story) -> str:
    """The reason for a pass; raises for anything else."""
    if story.broken is not None:
        raise _Inconclusive(f"the run broke: {story.broken.data['error']}")
    if story.armed is None:
        raise _Inconclusive("the subject never got ready: no subject.armed event")
    if not story.ran_out:
        raise _Inconclusive("the run was cut short: no run.ended event")
    _check_kind(plan, story)
    _check_evidence(plan, story)
    _check_claimed_window(plan, story)
    _check_prediction(plan, story)
    return _confirmation(plan, story)


def _check_kind(plan: Plan, story: _Story) -> None:
    """Whether the scenario claims what was measured."""
    expect = plan.scenario.expect
    wanted = {"detected": ("detected",), "eof": ("eof",), "survives": ("quiet",), "never": ("quiet",)}.get(
        expect.outcome, tuple(outcome.kind for outcome in plan.expected)
    )
    if story.kind not in wanted:
        raise _Refuted(f"expected {_spelled(expect)}, found {_measured(story)}{_oracle_says(plan)}")
    if expect.errno is not None and story.errno != expect.errno:
        raise _Refuted(f"expected errno {expect.errno}, found {_measured(story)}{_oracle_says(plan)}")
    alive = next((e for e in story.events if e.kind == "subject.alive"), None)
    if story.kind == "quiet" and must_echo(plan):
        if alive is None:
            raise _Inconclusive("nothing was noticed, but no data was sent to show that the connection lives")
        if not alive.data["echo"]:
            raise _Refuted("nothing was noticed, yet the connection is dead: data sent at the end did not come back")


def _check_evidence(plan: Plan, story: _Story) -> None:
    """A fault that left no trace is never a pass."""
    for index, fault in enumerate(plan.scenario.faults):
        name = f"fault {index} ({fault.kind})"
        if not story.fault_events("fault.injected", index):
            raise _Inconclusive(f"{name} was never injected: {_measured(story)} came first")
        proofs = story.fault_events("fault.evidence", index)
        if not proofs:
            raise _Inconclusive(f"{name} left no evidence: none was gathered")
        level, found = proofs[-1].data["level"], proofs[-1].data["found"]
        enough = ("bit", "in-place") if fault.standing and story.kind == "quiet" else ("bit",)
        if level not in enough:
            raise _Inconclusive(f"{name} left no evidence that it bit: {found}")


def _check_claimed_window(plan: Plan, story: _Story) -> None:
    claim = plan.scenario.expect.window_s
    if claim is None or story.end is None:
        return
    measured = story.since_origin(story.end)
    if measured is None:
        raise _Inconclusive(f"the origin of expect.window_s ({plan.scenario.expect.origin}) never came")
    lo, hi = round(claim[0] * 1e9), round(claim[1] * 1e9)
    where = f"expect.window_s [{claim[0]:g}, {claim[1]:g}] s after {plan.scenario.expect.origin}"
    if measured < lo:
        raise _Refuted(
            f"noticed {_s(measured)} after {plan.scenario.expect.origin}, {_s(lo - measured)} before {where}"
            f"{_oracle_says(plan)}"
        )
    if measured - story.took_ns > hi + plan.allowance_ns:
        _blame_late_wake_up(plan, story, hi + (story.origin_shift() or 0))
        raise _Refuted(
            f"noticed {_s(measured)} after {plan.scenario.expect.origin}, {_s(measured - hi)} after {where} ended"
            f"{_oracle_says(plan)}"
        )


def _check_prediction(plan: Plan, story: _Story) -> None:
    """Whether the oracle foresaw it: a disagreement with the kernel is a failure of one of them."""
    if plan.prediction is None:
        return
    same = [o for o in plan.prediction.outcomes if o.kind == story.kind and o.errno == story.errno]
    if not same:
        raise _Refuted(f"the claim holds but the oracle is wrong: {_measured(story)}{_oracle_says(plan)}")
    if story.end is not None:
        measured = story.since_armed(story.end)
        windows = [o.window_ns for o in same if o.window_ns is not None]
        lo, hi = min(w[0] for w in windows), max(w[1] for w in windows)
        if measured < lo:
            raise _Refuted(f"noticed {_s(measured)} after arming, {_s(lo - measured)} before the oracle's window opens")
        if measured - story.took_ns > hi + plan.allowance_ns:
            _blame_late_wake_up(plan, story, hi)
            raise _Refuted(f"noticed {_s(measured)} after arming, {_s(measured - hi)} after the oracle's window closed")
    _check_segments(plan, story, same)


def _check_segments(plan: Plan, story: _Story, same: list[Outcome]) -> None:
    """Number and times of the probes, and the RST at the abort."""
    assert plan.prediction is not None
    span = _span([o.probes_seen for o in same])
    assert span is not None
    if not span[0] <= len(story.probes) <= span[1]:
        raise _Refuted(f"{len(story.probes)} probes on the wire, the oracle says {_range(span)}")
    for number, (probe, window) in enumerate(
        zip(story.probes, plan.prediction.probe_windows_ns, strict=False), start=1
    ):
        at = story.since_armed(probe)
        if at < window[0] or at - story.took_ns > window[1] + plan.allowance_ns:
            raise _Refuted(
                f"probe {number} was sent {_s(at)} after arming, the oracle says {_s(window[0])} to {_s(window[1])}"
            )
    if story.kind == "detected" and story.errno != "ECONNRESET":
        wanted = {outcome.rst for outcome in same}
        if story.sent_rst() not in wanted:
            raise _Refuted(f"{'an' if story.sent_rst() else 'no'} RST left at the abort, the oracle says otherwise")


def _blame_late_wake_up(plan: Plan, story: _Story, hi_ns: int) -> None:
    """Raise _Inconclusive where the kernel decided in time and only this machine was slow to run the program."""
    moment = story.kernel_moment()
    if moment is None or story.end is None or story.since_armed(moment) - story.took_ns > hi_ns + plan.allowance_ns:
        return
    late = story.end.t_ns - moment.t_ns
    raise _Inconclusive(
        f"the kernel decided in time ({_s(story.since_armed(moment))} after arming) but the program ran {_s(late)} "
        f"later; the allowance is {_s(plan.allowance_ns)}: this machine is too busy"
    )


def _confirmation(plan: Plan, story: _Story) -> str:
    proofs = [e.data["found"] for e in story.events if e.kind == "fault.evidence"]
    evidence = f" ({'; '.join(proofs)})" if proofs else ""
    same = [o for o in plan.expected if o.kind == story.kind and o.errno == story.errno]
    why = f"{same[0].why}" if same else "as claimed"
    return f"{why}{evidence}"


def _measured(story: _Story) -> str:
    if story.end is None:
        return "nothing noticed"
    what = story.errno if story.kind == "detected" else "end of file"
    return f"{what} {_s(story.since_armed(story.end))} after arming"


def _spelled(expect: Expect) -> str:
    words = {
        "detected": expect.errno or "an error",
        "eof": "end of file",
        "survives": "the connection to survive",
        "never": "nothing to be noticed",
    }
    return words.get(expect.outcome, "what the oracle predicts")


def _oracle_says(plan: Plan) -> str:
    if plan.prediction is None:
        return ""
    said = []
    for outcome in plan.prediction.outcomes:
        text = spell_outcomes((outcome,))
        if outcome.window_ns is not None:
            text += f" {_s(outcome.window_ns[0])} to {_s(outcome.window_ns[1])} after arming"
        said.append(f"{text} ({outcome.why})")
    return f"; the oracle predicted {' or '.join(said)}"


def _span(spans: list[tuple[int, int]]) -> tuple[int, int] | None:
    return (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else None


def _range(span: tuple[int, int]) -> str:
    return str(span[0]) if span[0] == span[1] else f"{span[0]} to {span[1]}"


def _s(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e9:.3f} s"
