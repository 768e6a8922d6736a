"""A run as a picture in text: time runs to the right, one lane each for faults, probes, the window and the end.

fault      ┣━ blackhole ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
probes                        ●          ●          ●
window                                                     ░█
noticed                                                     ▲ ETIMEDOUT 5.084 s
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.faults import Fault
from harness.plan import Plan
from harness.timeline import Event

LANE_WIDTH = 72
LABEL_WIDTH = 11


def draw(plan: Plan, events: Sequence[Event]) -> list[str]:
    """The lanes as lines of text; no lines where the subject was never armed."""
    side = plan.scenario.expect.side
    armed = next((e for e in events if e.kind == "subject.armed" and e.data["side"] == side), None)
    if armed is None:
        return []
    scale = _Scale(armed.t_ns, _length_ns(plan, events, armed))
    lines = [_label("seconds") + scale.axis()]
    for index, fault in enumerate(plan.scenario.faults):
        lines.append(_label("fault") + _fault_lane(index, fault, events, scale))
    lines.append(_label("probes") + _probe_lane(events, side, scale))
    lines += [_label("window") + lane for lane in _window_lanes(plan, scale)]
    end = next((e for e in events if e.kind in ("subject.detected", "subject.eof") and e.data["side"] == side), None)
    if end is not None:
        lines.append(_label("noticed") + _end_lane(end, scale))
    else:
        lines.append(_label("noticed") + "nothing, until the end of the watch")
    return [line.rstrip() for line in lines]


class _Scale:
    """Nanoseconds of the timeline to columns."""

    def __init__(self, start_ns: int, length_ns: int) -> None:
        self.start_ns, self.length_ns = start_ns, max(length_ns, 1)

    def column(self, t_ns: int) -> int:
        at = (t_ns - self.start_ns) * (LANE_WIDTH - 1) // self.length_ns
        return min(max(at, 0), LANE_WIDTH - 1)

    def axis(self) -> str:
        """Round seconds, as many as fit."""
        total = self.length_ns / 1e9
        step = next((s * 10**p for p in range(-3, 8) for s in (1, 2, 5) if total / (s * 10**p) <= 9), total)
        cells = [" "] * (LANE_WIDTH + 8)
        mark = 0
        while mark * step <= total:
            text = f"{mark * step:g}"
            at = self.column(self.start_ns + round(mark * step * 1e9))
            cells[at : at + len(text)] = text
            mark += 1
        return "".join(cells)


def _length_ns(plan: Plan, events: Sequence[Event], armed: Event) -> int:
    """From arming to a little after everything that is drawn."""
    windows = [o.window_ns[1] for o in plan.expected if o.window_ns]
    ends = [e.t_ns - armed.t_ns for e in events if e.kind in ("subject.detected", "subject.eof", "fault.healed")]
    latest = max([*windows, *ends], default=0) if windows or ends else plan.watch_ns
    return latest * 26 // 25 if windows else max(latest, plan.watch_ns)


def _label(text: str) -> str:
    return f"{text:<{LABEL_WIDTH}}"


def _fault_lane(index: int, fault: Fault, events: Sequence[Event], scale: _Scale) -> str:
    kind = fault.kind
    injected = next((e for e in events if e.kind == "fault.injected" and e.data["index"] == index), None)
    if injected is None:
        return f"{kind}: never injected"
    healed = next((e for e in events if e.kind == "fault.healed" and e.data["index"] == index), None)
    first = 0 if fault.standing else scale.column(injected.t_ns)
    last = LANE_WIDTH - 1 if healed is None else scale.column(healed.t_ns)
    body = f"┣━ {kind} " if last - first > len(kind) + 4 else "┣"
    bar = body + "━" * max(0, last - first + 1 - len(body))
    return " " * first + bar + (f" {kind}" if len(body) == 1 else "")


def _probe_lane(events: Sequence[Event], side: str, scale: _Scale) -> str:
    cells = [" "] * LANE_WIDTH
    for event in events:
        if event.kind == "segment" and event.source == side and event.t_ns >= scale.start_ns:
            mark = _mark(event)
            if mark and event.t_ns <= scale.start_ns + scale.length_ns:
                at = scale.column(event.t_ns)
                cells[at] = max(cells[at], mark, key=" ○●✕".index)
    text = "".join(cells)
    return text + "  (● probe, ○ answer, ✕ RST)" if text.strip() else "none on the wire"


def _mark(event: Event) -> str:
    role, way = event.data["role"], event.data["way"]
    if role == "rst":
        return "✕"
    if role == "probe" and way == "out":
        return "●"
    return "○" if role == "answer" and way == "in" else ""


def _window_lanes(plan: Plan, scale: _Scale) -> list[str]:
    lanes = []
    for outcome in plan.prediction.outcomes if plan.prediction is not None else ():
        if outcome.window_ns is None:
            continue
        first = scale.column(scale.start_ns + outcome.window_ns[0])
        last = scale.column(scale.start_ns + outcome.window_ns[1])
        lo, hi = outcome.window_ns[0] / 1e9, outcome.window_ns[1] / 1e9
        text = f"{lo:.3f} to {hi:.3f} s"
        bar = "█" * (last - first + 1)
        left = first - len(text) - 1
        lanes.append(f"{text:>{first - 1}} {bar}" if left >= 0 else " " * first + f"{bar} {text}")
    return lanes


def _end_lane(end: Event, scale: _Scale) -> str:
    at = scale.column(end.t_ns)
    text = f"{end.data.get('errno') or 'end of file'} {(end.t_ns - scale.start_ns) / 1e9:.3f} s"
    return f"{text:>{at - 1}} ▲" if at > len(text) else " " * at + f"▲ {text}"
