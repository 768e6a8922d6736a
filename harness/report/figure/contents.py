"""What figures show of a run: plan, timeline and verdict as typed values in one time. Pure.

All times are nanoseconds since the timeline was opened. Nothing is decided here: windows are those
of the plan and the verdict, and whether something was detected in time is the verdict's to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from harness.judge.end_timeline import of_end
from harness.judge.history import History, InvalidTimeline
from harness.judge.moments import ORIGINS
from harness.judge.recovery import periods
from harness.judge.result import Result
from harness.judge.verdict import Verdict
from harness.model.topology import Side, layout
from harness.plan.plan import Plan
from harness.report.figure.crossings import Crossing, captured, matched
from harness.timeline import Event

WORDS_SHOWN = 40
"""So many characters of what a program reports are shown; the page has all of them."""
LINE_SHOWN = 120
MomentKind = Literal[
    "detected", "reconnected", "recovered", "sign", "printed", "wrote", "ended", "shut", "restarted"
]


class Window(msgspec.Struct, frozen=True):
    """When something is to be detected, of one side. `what`: in words, without its times."""

    kind: Literal["predicted", "claimed"]
    side: Side
    from_ns: int
    until_ns: int
    what: str = ""


class Moment(msgspec.Struct, frozen=True):
    """Something that an end, or its program, did.

    `verdict`: of what a claim is about. `how`: of signs alone, what shows them.
    """

    kind: MomentKind
    side: str
    t_ns: int
    what: str
    verdict: str = ""
    how: str = ""


class FaultSpan(msgspec.Struct, frozen=True):
    """When a fault was on; `until_ns` None: to the end of the run."""

    index: int
    kind: str
    hosts: tuple[str, ...]
    from_ns: int
    until_ns: int | None
    standing: bool
    found: str = ""

    @property
    def label(self) -> str:
        """Its kind and its place."""
        return f"{self.kind} on {' and '.join(self.hosts)}" if self.hosts else self.kind

    def is_on(self, t_ns: int) -> bool:
        """Whether it was on at a moment."""
        return self.from_ns <= t_ns and (self.until_ns is None or t_ns <= self.until_ns)


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """All that a figure shows.

    `zero_ns`: what times count from, `origin` in words. `judged`: the verdict on each judged side;
    `claims_nothing`: it is of what happened alone. `never_injected`: kinds of faults.
    `claims_recovery`: of each side that is to recover, whether nothing else is claimed of it.
    `probe_windows`: when probes are predicted.
    `not_captured`: how many frames each side's capture lost, where it lost any. `ended_ns`: the end
    of the run, None where it did not come to one.
    """

    plan: Plan
    hosts: tuple[str, ...]
    proxy: str | None
    zero_ns: int
    origin: str
    from_ns: int
    ended_ns: int | None
    judged: dict[Side, Verdict]
    claims_nothing: bool
    faults: tuple[FaultSpan, ...]
    never_injected: tuple[str, ...]
    claims_recovery: dict[Side, bool]
    windows: tuple[Window, ...]
    moments: tuple[Moment, ...]
    crossings: tuple[Crossing, ...]
    probe_windows: dict[Side, tuple[tuple[int, int], ...]]
    not_captured: dict[str, int]

    def seconds(self, t_ns: int) -> str:
        """A moment in seconds after the origin."""
        return f"{(t_ns - self.zero_ns) / 1e9:z.3f}"


class _Judged(msgspec.Struct, frozen=True):
    """One judged side: its verdict, the plan by which it was judged, and its run.

    `history` None: it was never armed, or the timeline makes no sense.
    """

    verdict: Verdict
    plan: Plan
    history: History | None

    @property
    def armed_ns(self) -> int | None:
        """When it was armed."""
        armed = None if self.history is None else self.history.armed
        return None if armed is None else armed.t_ns


_last: list[tuple[Result, Contents]] = []


def contents_of(result: Result) -> Contents:
    """Read a result. Never raises for any timeline: what makes no sense is left out.

    The last answer is kept, as a page asks for it once for each of a run's figures.
    """
    if not _last or _last[0][0] is not result:
        _last[:] = [(result, _read(result))]
    return _last[0][1]


def _read(result: Result) -> Contents:
    plan, events = result.plan, result.events
    where = layout(plan.scenario.topology)
    end = next((p for p, event in enumerate(events) if event.kind == "run.ended"), None)
    judged = list(_judged(result))
    zero_ns, origin = _origin(judged, events)
    crossings = matched(captured(events, end, where))
    faults = tuple(_faults(plan, events, end))
    there = {fault.index for fault in faults}
    missing = [each for index, each in enumerate(plan.faults) if index not in there]
    armed = [event.t_ns for event in events if event.kind == "subject.armed"]
    first = [*armed, *(crossing.t_ns for crossing in crossings)]
    return Contents(
        plan=plan,
        hosts=where.host_names,
        proxy=where.proxy,
        zero_ns=zero_ns,
        origin=origin,
        from_ns=min(first, default=zero_ns),
        ended_ns=None if end is None else events[end].t_ns,
        judged={each.verdict.side: each.verdict for each in judged},
        claims_nothing=plan.scenario.expect.outcome == "any",
        faults=faults,
        never_injected=tuple(dict.fromkeys(each.kind for each in missing)),
        claims_recovery={
            each.verdict.side: each.plan.claims_recovery_alone
            for each in judged
            if each.plan.scenario.expect.recovers_s is not None
        },
        windows=tuple(window for each in judged for window in _windows(each)),
        moments=(*_moments(judged, events), *_recoveries(judged)),
        crossings=tuple(crossings),
        probe_windows={each.verdict.side: _probe_windows(each) for each in judged},
        not_captured=_not_captured(events),
    )


def _judged(result: Result) -> Iterator[_Judged]:
    """Each side that is judged."""
    verdicts = result.verdict.ends or (result.verdict,)
    for plan, verdict in zip(result.plan.judged, verdicts, strict=False):
        events = of_end(plan, result.events) if result.plan.ends else result.events
        try:
            history = History(plan, events)
        except InvalidTimeline:
            yield _Judged(verdict, plan, None)
        else:
            yield _Judged(verdict, plan, history)


def _origin(judged: Sequence[_Judged], events: Sequence[Event]) -> tuple[int, str]:
    """What times count from, in words, too: what those of the first side do that was armed."""
    for each in judged:
        if each.history is not None and each.armed_ns is not None:
            name, shift_ns = each.history.counts_from
            return each.armed_ns + shift_ns, ORIGINS[name]
    return min((event.t_ns for event in events), default=0), "the start of the run"


def _windows(judged: _Judged) -> Iterator[Window]:
    side, armed_ns, prediction = judged.verdict.side, judged.armed_ns, judged.plan.prediction
    if judged.history is None or armed_ns is None:
        return
    for outcome in () if prediction is None else prediction.outcomes:
        if outcome.window_ns is not None:
            low, high = outcome.window_ns
            names = {"noticed": "given up", "eof": "end of file"}
            what = outcome.errno or names.get(outcome.kind, outcome.kind)
            yield Window("predicted", side, armed_ns + low, armed_ns + high, what)
    if judged.verdict.claimed_ns is not None and judged.history.origin is not None:
        low, high = (judged.history.origin[0] + end_ns for end_ns in judged.verdict.claimed_ns)
        yield Window("claimed", side, low, high)
    for claim_s, from_ns, what in _claims_of_later(judged):
        if claim_s is not None and from_ns is not None:
            low, high = (from_ns + round(end_s * 1e9) for end_s in claim_s)
            yield Window("claimed", side, low, high, what)


def _claims_of_later(
    judged: _Judged,
) -> Iterator[tuple[tuple[float, float] | None, int | None, str]]:
    """What is claimed of the time after a detection or a fault: window, origin and words."""
    expect, history = judged.plan.scenario.expect, judged.history
    if history is None:
        return
    healed_ns = history.origin[0] if expect.origin == "healed" and history.origin else None
    end_ns = None if history.end is None else history.end.t_ns
    yield expect.reconnects_s, healed_ns if expect.origin == "healed" else end_ns, "new connection"
    yield expect.recovers_s, _recovers_from_ns(judged), "data passes"


def _recovers_from_ns(judged: _Judged) -> int | None:
    """The moment from which recovery counts."""
    found = [] if judged.history is None else periods(judged.plan, judged.history)
    return found[-1].from_ns if found else None


def _recoveries(judged: Sequence[_Judged]) -> Iterator[Moment]:
    """When data passed again, of each side."""
    for each in judged:
        from_ns, after_ns = _recovers_from_ns(each), each.verdict.recovered_ns
        if from_ns is not None and after_ns is not None:
            name = each.verdict.verdict if each.plan.claims_recovery_alone else ""
            side = each.verdict.side
            yield Moment("recovered", side, from_ns + after_ns, "data passes again", name)


def _probe_windows(judged: _Judged) -> tuple[tuple[int, int], ...]:
    prediction, armed_ns = judged.plan.prediction, judged.armed_ns
    windows_ns = () if prediction is None or armed_ns is None else prediction.probe_windows_ns
    return tuple(((armed_ns or 0) + low, (armed_ns or 0) + high) for low, high in windows_ns)


def _faults(plan: Plan, events: Sequence[Event], end: int | None) -> Iterator[FaultSpan]:
    """Faults that were injected. One that was removed when the run was over is on to its end."""
    where = layout(plan.scenario.topology)
    injected: dict[int, int] = {}
    healed: dict[int, int] = {}
    found: dict[int, str] = {}
    for place, event in enumerate(events):
        index = event.data.get("index")
        if event.kind == "fault.injected" and isinstance(index, int):
            injected.setdefault(index, event.t_ns)
        elif event.kind == "fault.evidence" and isinstance(index, int):
            found[index] = str(event.data.get("found", ""))
        elif (
            event.kind == "fault.healed" and isinstance(index, int) and (end is None or place < end)
        ):
            healed.setdefault(index, event.t_ns)
    for index, (fault, expected) in enumerate(zip(plan.scenario.faults, plan.faults, strict=False)):
        if index in injected:
            names = fault.hosts(where)
            hosts = tuple(name for name in where.host_names if name in names)
            until_ns = None if fault.lasting else healed.get(index)
            yield FaultSpan(
                index=index,
                kind=expected.kind,
                hosts=hosts,
                from_ns=injected[index],
                until_ns=until_ns,
                standing=expected.standing,
                found=found.get(index, ""),
            )


def _moments(judged: Sequence[_Judged], events: Sequence[Event]) -> Iterator[Moment]:
    """What the ends did; what a verdict is about has that verdict.

    Where a command's signs are told, they stand for what it has noticed, which is the first one.
    """
    telling = {event.source for event in events if event.kind == "subject.sign"}
    ends = {
        each.history.end.place: each.verdict.verdict
        for each in judged
        if each.history is not None and each.history.end is not None
        if each.plan.scenario.expect.outcome != "any"
    }
    for place, event in enumerate(events):
        kind = _MOMENTS.get(event.kind)
        side = event.data.get("side")
        if event.kind == "subject.noticed" and side in telling:
            continue
        if kind is not None and isinstance(side, str):
            how = str(event.data.get("how", "")) if kind == "sign" else ""
            yield Moment(kind, side, event.t_ns, _in_words(event), ends.get(place, ""), how)


_MOMENTS: dict[str, MomentKind] = {
    "subject.detected": "detected",
    "subject.eof": "detected",
    "subject.noticed": "detected",
    "subject.reconnected": "reconnected",
    "subject.sign": "sign",
    "subject.printed": "printed",
    "subject.lives": "printed",
    "subject.wrote": "wrote",
    "subject.shut": "shut",
    "subject.ended": "ended",
    "subject.restarted": "restarted",
}


def _in_words(event: Event) -> str:
    data = event.data
    words = {
        "subject.detected": data.get("errno", "error"),
        "subject.eof": "end of file",
        "subject.noticed": clipped(str(data.get("reports") or data.get("how") or "")),
        "subject.sign": clipped(str(data.get("reports") or data.get("found") or "")),
        "subject.restarted": "program is started again",
        "subject.printed": clipped(str(data.get("line", "")), LINE_SHOWN),
        "subject.lives": clipped(str(data.get("line", "")), LINE_SHOWN),
        "subject.reconnected": "new connection",
        "subject.ended": f"program ended with status {data.get('status')}",
        "subject.wrote": f"write of {data.get('octets', 'some')} octets",
        "subject.shut": "end of its writing",
    }
    return str(words[event.kind])


def clipped(words: str, most: int = WORDS_SHOWN) -> str:
    """The words, or as many as fit."""
    return words if len(words) <= most else f"{words[: most - 1]}…"


def _not_captured(events: Sequence[Event]) -> dict[str, int]:
    ends = [event for event in events if event.kind == "capture.ended"]
    return {event.source: n for event in ends if (n := int(event.data.get("dropped", 0)))}
