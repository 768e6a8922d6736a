"""A run as a picture in text: time runs to the right, one lane each for faults, probes, windows and
the end.

All times count from the origin of the scenario's claim, which the last line names.

seconds    0          1          2          3          4           5
fault           ┣━ blackhole ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
probes                           ●           ●          ●           ✕
claimed                                           5.000 to 5.400 s █████
predicted                               ETIMEDOUT 5.072 to 5.108 s ██
detected                                         ETIMEDOUT 5.090 s ▲
           ● probe, ✕ RST; seconds after arming

No line is wider than a terminal of 80 columns, also when indented a little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.judge.end_timeline import of_end
from harness.judge.facts import CapturedPacket, Eof
from harness.judge.history import History, InvalidTimeline
from harness.judge.moments import Clock
from harness.judge.reasons import clipped
from harness.plan.plan import Expectation, Plan
from harness.timeline import Event

LABEL_WIDTH = 11
LANE_WIDTH = 64
_LEGEND = {
    "●": "probe",
    "◉": "answered probe",
    "⊗": "probe and RST",
    "○": "answer",
    "■": "data",
    "▪": "retransmission",
    "✕": "RST",
}
_FIRST = "✕●■▪○"
"""Where several marks fall into one column the first of these shows."""
_BEFORE, _BEYOND = "◀", "▶"
"""Something lies off the scale, on that side."""
WORDS_SHOWN = 32
"""So many characters of what a program reports are shown; all of them are in the timeline."""
_OUTGOING = {"probe": "●", "data": "■", "retransmit": "▪"}


def draw(plan: Plan, events: Sequence[Event]) -> list[str]:
    """The lanes as lines of text; where both ends are judged, those of each below its name.

    No lines where the subject was never armed or the timeline makes no sense.
    """
    if plan.ends:
        drawn = {end.side: draw(end, of_end(end, events)) for end in plan.ends}
        return [line for side, lines in drawn.items() for line in (f"{side}:", *lines) if lines]
    try:
        history = History(plan, events)
    except InvalidTimeline:
        return []
    if history.armed is None:
        return []
    clock = Clock(history)
    scale = _Scale(history.armed.t_ns, _length_ns(plan, history), clock.shift_ns)
    lanes = [("seconds", scale.axis())]
    for index, fault in enumerate(plan.faults):
        lanes += _labelled("fault", _fault_lane(index, fault, history, scale))
    probes = _probe_lane(history, scale)
    in_flight = plan.prediction is not None and plan.prediction.asking in ("retransmit", "syn")
    lanes.append(
        ("data" if in_flight else "probes", probes if probes.strip() else "none on the wire")
    )
    lanes += _claim_lanes(plan, history, scale)
    lanes += _prediction_lanes(plan, scale)
    lanes += _labelled("detected", _end_lane(history, scale))
    legend = ", ".join(f"{mark} {meaning}" for mark, meaning in _LEGEND.items() if mark in probes)
    lanes.append(("", "; ".join(filter(None, [legend, f"seconds after {clock.origin}"]))))
    return [f"{label:<{LABEL_WIDTH}}{lane}".rstrip() for label, lane in lanes]


def chronicle(events: Sequence[Event]) -> list[str]:
    """A line for each event in the order of time, in seconds since the timeline was opened.

    For runs without an end.
    """
    ordered = sorted(events, key=lambda event: event.t_ns)
    return [
        f"{e.t_ns / 1e9:11.6f} s  {e.kind:<17} {e.source:<8} {_details(e)}".rstrip()
        for e in ordered
    ]


class _Scale:
    """Nanoseconds of the timeline to columns.

    `zero_ns`: what times count from, in nanoseconds after arming.
    """

    def __init__(self, armed_ns: int, length_ns: int, zero_ns: int) -> None:
        self.armed_ns, self.length_ns, self.zero_ns = armed_ns, max(length_ns, 1), zero_ns

    def column(self, t_ns: int) -> int:
        at = (t_ns - self.armed_ns) * (LANE_WIDTH - 1) // self.length_ns
        return min(max(at, 0), LANE_WIDTH - 1)

    def holds(self, t_ns: int) -> bool:
        return self.armed_ns <= t_ns <= self.armed_ns + self.length_ns

    def seconds(self, since_armed_ns: int) -> str:
        """A moment after arming, as seconds after the origin."""
        return f"{(since_armed_ns - self.zero_ns) / 1e9:z.3f}"

    def axis(self) -> str:
        """Round seconds, as many as fit."""
        total = self.length_ns / 1e9
        step = next(
            (s * 10**p for p in range(-3, 8) for s in (1, 2, 5) if total / (s * 10**p) <= 9), total
        )
        cells = [" "] * (LANE_WIDTH + 3)
        mark = math.ceil(-self.zero_ns / 1e9 / step)
        free = 0
        while mark * step <= (self.length_ns - self.zero_ns) / 1e9:
            text = f"{mark * step:g}"
            at = self.column(self.armed_ns + self.zero_ns + round(mark * step * 1e9))
            if free <= at <= len(cells) - len(text):
                cells[at : at + len(text)] = text
                free = at + len(text) + 1
            mark += 1
        return "".join(cells)


def _length_ns(plan: Plan, history: History) -> int:
    """From arming to a little after everything that is drawn."""
    moments = [o.window_ns[1] for o in plan.expected if o.window_ns]
    moments += [history.since_armed(moment) for moment in _heals(history).values()]
    if plan.scenario.expect.window_s is not None and history.origin is not None:
        moments.append(
            history.since_armed(history.origin[0]) + round(plan.scenario.expect.window_s[1] * 1e9)
        )
    if history.end is None:
        moments.append(plan.watch_ns if history.ended is not None or not moments else 0)
    else:
        moments.append(history.since_armed(history.end.t_ns))
    return max(moments) * 26 // 25


def _heals(history: History) -> dict[int, int]:
    """When faults were healed, by index.

    Those that the harness only healed to tidy up are left out.
    """
    last = history.end or history.ended
    return {
        index: fact.t_ns
        for index, fact in history.healed.items()
        if last is None or fact.t_ns <= last.t_ns
    }


def _labelled(label: str, lines: list[str]) -> list[tuple[str, str]]:
    """Lines of one lane: the first has the label."""
    return [(label if number == 0 else "", line) for number, line in enumerate(lines)]


def _beside(first: int, bar: str, text: str) -> list[str]:
    """A bar from column `first` on, with a text to its left, to its right or in it.

    Else the text has its own line.
    """
    text = clipped(text, LANE_WIDTH)
    if len(text) < first:
        return [f"{text:>{first - 1}} {bar}"]
    if first + len(bar) + 1 + len(text) <= LANE_WIDTH:
        return [" " * first + f"{bar} {text}"]
    if len(text) + 6 <= len(bar):
        return [" " * first + f" {text} ".center(len(bar), "\0").replace("\0", bar[1])]
    return [text, " " * first + bar]


def _fault_lane(index: int, fault: Expectation, history: History, scale: _Scale) -> list[str]:
    injected, healed_ns = history.injected.get(index), _heals(history).get(index)
    if injected is None:
        return [f"{fault.kind}: never injected"]
    is_early = (
        fault.standing or injected.t_ns < scale.armed_ns
    )  # before the connection, or its first SYN
    if not is_early and not scale.holds(injected.t_ns):
        when = scale.seconds(injected.t_ns - scale.armed_ns)
        return _beside(LANE_WIDTH - 1, _BEYOND, f"{fault.kind} {when} s")
    first = 0 if is_early else scale.column(injected.t_ns)
    last = LANE_WIDTH - 1 if healed_ns is None else scale.column(healed_ns)
    length = max(last - first, 0) + 1
    if length < len(fault.kind) + 6:
        return _beside(first, "┣" + "━" * (length - 1), fault.kind)
    bar = f"┣━ {fault.kind} ".ljust(length, "━")
    return [" " * first + (bar if healed_ns is None else bar[:-1] + "┫")]


def _probe_lane(history: History, scale: _Scale) -> str:
    """What passed the observer's host while it was watched."""
    cells: list[set[str]] = [set() for _ in range(LANE_WIDTH)]
    for segment in history.segments:
        if scale.holds(segment.t_ns) and (
            history.ended is None or segment.t_ns <= history.ended.t_ns
        ):
            cells[scale.column(segment.t_ns)].add(_mark(segment.what))
    return "".join(_merge(marks) for marks in cells)


def _mark(segment: CapturedPacket) -> str:
    if segment.role == "rst":
        return "✕"
    if segment.way == "out":
        return _OUTGOING.get(segment.role, "")
    return "○" if segment.role == "answer" else ""


def _merge(marks: set[str]) -> str:
    """The one mark for what fell into one column."""
    if marks >= {"✕", "●"}:
        return "⊗"
    if marks >= {"●", "○"} and "✕" not in marks:
        return "◉"
    return next((mark for mark in _FIRST if mark in marks), " ")


def _window(lo_ns: int, hi_ns: int, text: str, scale: _Scale) -> list[str]:
    """A window in nanoseconds after arming; an arrow where an end of it lies off the scale."""
    first, last = (scale.column(scale.armed_ns + end_ns) for end_ns in (lo_ns, hi_ns))
    bar = "█" * (last - first + 1)
    if hi_ns > scale.length_ns:
        bar = bar[:-1] + _BEYOND
    if lo_ns < 0:
        bar = _BEFORE + bar[1:]
    return _beside(first, bar, f"{text}{scale.seconds(lo_ns)} to {scale.seconds(hi_ns)} s")


def _claim_lanes(plan: Plan, history: History, scale: _Scale) -> list[tuple[str, str]]:
    expect = plan.scenario.expect
    if expect.window_s is None or history.origin is None:
        return []
    lo, hi = (scale.zero_ns + round(end * 1e9) for end in expect.window_s)
    return _labelled("claimed", _window(lo, hi, "", scale))


def _prediction_lanes(plan: Plan, scale: _Scale) -> list[tuple[str, str]]:
    if plan.prediction is None:
        return [("predicted", "nothing: the oracle has no model of this")]
    lanes = []
    for outcome in plan.prediction.outcomes:
        if outcome.window_ns is None:
            lanes.append(
                ("predicted", f"nothing, until {scale.seconds(plan.prediction.horizon_ns)} s")
            )
        else:
            what = outcome.errno or {"noticed": "given up"}.get(outcome.kind, "end of file")
            lanes += _labelled("predicted", _window(*outcome.window_ns, f"{what} ", scale))
    return lanes


def _end_lane(history: History, scale: _Scale) -> list[str]:
    if history.end is None:
        return [
            "nothing, until the end of the watch"
            if history.ended is not None
            else "nothing, until the run stopped"
        ]
    what = "end of file" if isinstance(history.end.what, Eof) else history.errno or ""
    if history.given_up is not None:
        what = clipped(history.given_up.reports or history.given_up.how, WORDS_SHOWN)
    text = f"{what} {scale.seconds(history.since_armed(history.end.t_ns))} s"
    return _beside(scale.column(history.end.t_ns), "▲", text)


def _details(event: Event) -> str:
    """What an event says, without what is long or said elsewhere."""
    data = event.data
    if event.kind == "segment":
        shown = [str(data.get(key, "")) for key in ("way", "role", "flags")]
        return " ".join(part for part in shown if part)
    left_out = ("side", "traceback", "tcp_info", "took_ns", "lag_ns", "monotonic_ns", "realtime_ns")
    return " ".join(f"{key}={value}" for key, value in data.items() if key not in left_out)
