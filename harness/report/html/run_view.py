"""A judged run as a template shows it: text and figures, nothing left to decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import msgspec

from harness.faults.base import Fault
from harness.judge.moments import ORIGINS
from harness.judge.reasons import clipped
from harness.judge.result import Result
from harness.judge.verdict import Verdict
from harness.model.programs import spelled
from harness.model.topology import MIDDLE, SIDES, Side
from harness.report import figure
from harness.report.figure.contents import contents_of
from harness.report.html import words
from harness.report.html.page import RunDetail
from harness.report.html.socket_settings import SettingsRow, of_ends
from harness.scenario.schema import Endpoint, Scenario
from harness.system.escapes import in_a_line
from harness.timeline import Event

LINES_SHOWN = 60
"""Of a program's output: the first half and the last half of so many lines."""
LINE_SHOWN = 300
"""Characters of a line of output, or of an event."""
EVENTS_SHOWN = 40
"""Of the events that a verdict rests on."""


class TimedLine(msgspec.Struct, frozen=True):
    """A line beside its time in seconds, and whose it is. `time` "": lines are left out here."""

    time: str
    actor: str
    text: str


class Detection(msgspec.Struct, frozen=True):
    """When a peer was given up, "" for never, and how."""

    time: str
    text: str


class Label(msgspec.Struct, frozen=True):
    """A verdict as a badge: its colour, symbol and word."""

    look: str
    symbol: str
    text: str


class EndView(msgspec.Struct, frozen=True, kw_only=True):
    """What is judged of one end."""

    side: str
    label: Label
    rows: tuple[tuple[str, str], ...]


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A run. `zero`: what the times of events and output count from."""

    number: int
    name: str
    topic: str
    verdict: Verdict
    label: Label
    cause: str
    measured: str
    detections: tuple[Detection, ...]
    detected_s: float | None
    window: str
    ends: tuple[EndView, ...]
    faults: tuple[str, ...]
    timeline: str
    ladder: str
    network: tuple[tuple[str, str], ...]
    settings: tuple[SettingsRow, ...]
    left: tuple[TimedLine, ...]
    output: tuple[TimedLine, ...]
    events: tuple[TimedLine, ...]
    zero: str
    machine: tuple[tuple[str, str], ...]
    detail: RunDetail


def view(number: int, result: Result, detail: RunDetail) -> RunView:
    """The run as the page shows it. `number`: its place among the page's runs."""
    verdict, scenario = result.verdict, result.plan.scenario
    contents = contents_of(result)
    drawn = figure.figures(contents, ident=f"r{number}")
    zero_ns, zero = contents.zero_ns, contents.origin
    cited = [result.events[place] for place in verdict.cites if place < len(result.events)]
    printed = [event for event in result.events if event.kind == "subject.printed"]
    left = [event for event in result.events if event.kind == "subject.left"]
    return RunView(
        number=number,
        name=verdict.name,
        topic=verdict.name.rpartition("/")[0],
        verdict=verdict,
        label=_label(verdict, result),
        cause=_cause(verdict, result),
        measured=_measured(verdict),
        detections=tuple(_detection(each, verdict) for each in _judged(verdict)),
        detected_s=_latest_s(verdict),
        window=_window(verdict),
        ends=tuple(_end(each, result) for each in _judged(verdict)),
        faults=tuple(dict.fromkeys(fault.kind for fault in scenario.faults)),
        timeline=drawn.timeline,
        ladder=drawn.ladder,
        network=tuple(_network(scenario)),
        settings=tuple(of_ends(scenario, result.events, zero_ns)),
        left=tuple(_timed(left, zero_ns)),
        output=tuple(_folded(list(_timed(printed, zero_ns)), LINES_SHOWN)),
        events=tuple(_folded(list(_timed(cited, zero_ns)), EVENTS_SHOWN)),
        zero=zero,
        machine=tuple(_machine(result)),
        detail=detail,
    )


def _judged(verdict: Verdict) -> tuple[Verdict, ...]:
    """A verdict for each end that is judged."""
    return verdict.ends or (verdict,)


def _detection(end: Verdict, whole: Verdict) -> Detection:
    """For the overview. Of two judged ends each names its side."""
    who = f" on the {end.side}" if end is not whole else ""
    if end.detected_ns is None:
        return Detection("", f"{'nothing' if end.outcome == 'quiet' else 'not measured'}{who}")
    since = "" if end.origin == "armed" else f" after {words.origin(end)}"
    return Detection(words.span(end.detected_ns), f"{words.what(end)}{who}{since}")


def _latest_s(verdict: Verdict) -> float | None:
    """What the column of times is sorted by."""
    found = [each.detected_ns for each in _judged(verdict) if each.detected_ns is not None]
    return max(found) / 1e9 if found else None


def _window(verdict: Verdict) -> str:
    found = verdict.window_ns or verdict.armed_window_ns
    if found is not None:
        return words.window(found)
    return "nothing" if verdict.predicted else "not predicted"


def _describes(verdict: Verdict, result: Result) -> bool:
    """Whether nothing is claimed, and the run shows what it is to show."""
    return verdict.verdict == "pass" and result.plan.scenario.expect.outcome == "any"


def _cause(verdict: Verdict, result: Result) -> str:
    if _describes(verdict, result):
        return words.DESCRIBED_CAUSE
    if verdict.cause == "confirmed" and not verdict.predicted:
        return words.UNPREDICTED_CAUSE
    return words.CAUSES[verdict.cause]


def _measured(verdict: Verdict) -> str:
    """In a line, of each judged end."""
    if not verdict.ends:
        return words.measured(verdict)
    return "; ".join(f"{end.side}: {words.measured(end)}" for end in verdict.ends)


def _label(verdict: Verdict, result: Result) -> Label:
    if _describes(verdict, result):
        return Label("described", "•", words.DESCRIBED)
    return Label(verdict.verdict, words.SYMBOLS[verdict.verdict], verdict.verdict)


def _end(verdict: Verdict, result: Result) -> EndView:
    claims_nothing = result.plan.scenario.expect.outcome == "any"
    rows = [
        ("claimed", "" if claims_nothing else verdict.claimed),
        ("predicted", words.predicted(verdict, result.plan.unpredictable)),
        ("measured", words.measured(verdict)),
        ("on the wire", "" if claims_nothing else words.asked(verdict)),
        ("reconnected", _reconnected(verdict)),
        ("data passes again", _recovered(verdict)),
        ("allowance", _allowance(verdict)),
        ("known failure", verdict.known_failure),
        ("source of the claim", result.plan.scenario.expect.source),
    ]
    return EndView(
        side=verdict.side,
        label=_label(verdict, result),
        rows=tuple((name, in_a_line(text)) for name, text in rows if text),
    )


def _reconnected(verdict: Verdict) -> str:
    if verdict.reconnected_ns is None:
        return ""
    since = "the detection" if verdict.origin != "healed" else words.origin(verdict)
    return f"{words.span(verdict.reconnected_ns)} after {since}"


def _recovered(verdict: Verdict) -> str:
    recovered_ns = verdict.recovered_ns
    if recovered_ns is None:
        return ""
    return f"{words.span(recovered_ns)} after {ORIGINS['healed']}"


def _allowance(verdict: Verdict) -> str:
    """Real time alone has one."""
    if not verdict.allowance_ns:
        return ""
    return f"{verdict.allowance_ns / 1e6:g} ms, which are added to the end of each window"


# --- what was run -------------------------------------------------------------------------------


def _network(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """The network, the programs and the faults, by name."""
    hosts = ("client", *MIDDLE[scenario.topology.kind], "server")
    yield "network", f"{' — '.join(hosts)} ({_FAMILIES[scenario.topology.family]})"
    for side in SIDES:
        yield side, _program(scenario, side)
    for key, _, command in scenario.commands:
        if key not in SIDES:
            yield key, in_a_line(spelled(command.argv))
    for fault in scenario.faults:
        yield "fault", _fault(fault)


_FAMILIES = {"ipv4": "IPv4", "ipv6": "IPv6"}


def _program(scenario: Scenario, side: Side) -> str:
    """The program of an end, and what it writes."""
    end = scenario.endpoint(side)
    if end.command is not None:
        return in_a_line(spelled(end.command.argv))
    if end.heartbeat is not None:
        return f"built-in program with a heartbeat: {_fields(end.heartbeat, every=True)}"
    return "; ".join(["built-in program", *_deeds(end)])


def _deeds(end: Endpoint) -> Iterator[str]:
    if end.writes_at_s:
        moments = ", ".join(f"{each:g}" for each in end.writes_at_s[:8])
        more = ", …" if len(end.writes_at_s) > 8 else ""
        yield f"writes {end.write_bytes} octets at {moments}{more} s after arming"
    if not end.reads:
        yield "never reads"
    if end.shuts_at_s is not None:
        yield f"shuts its writing direction at {end.shuts_at_s:g} s"


def _fault(fault: Fault) -> str:
    """Kind, moment and keys of a fault, as its scenario has them."""
    when = "from the beginning" if fault.standing else f"at {fault.at_s:g} s after arming"
    lasts = "" if fault.for_s is None else f", for {fault.for_s:g} s"
    keys = _fields(fault, without=("at_s", "for_s", "every_s", "times"))
    return f"{fault.kind} {when}{lasts}{'; ' if keys else ''}{keys}"


def _fields(value: msgspec.Struct, without: Sequence[str] = (), *, every: bool = False) -> str:
    """The keys that differ from their defaults, or every key."""
    tag = value.__struct_config__.tag
    kind = [str(tag)] if tag and not isinstance(value, Fault) else []
    changed = [
        f"{name} = {_plain(found)}"
        for name, default in _defaults(type(value)).items()
        if name not in without and ((found := getattr(value, name)) != default or every)
    ]
    return in_a_line(", ".join([*kind, *changed]))


@cache
def _defaults(kind: type[msgspec.Struct]) -> dict[str, object]:
    """The default of each field."""
    return {field.name: field.default for field in msgspec.structs.fields(kind)}


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_plain, value))}]"
    return str(value)


def _machine(result: Result) -> Iterator[tuple[str, str]]:
    """Kernel, clock and lab, and how often it was run."""
    machine = result.plan.machine
    yield "kernel", f"Linux {machine.kernel}, HZ={machine.hz}"
    virtual = machine.clock == "virtual"
    yield "clock", "virtual time, in a guest" if virtual else "real time, on this kernel"
    yield "hosts", "containers" if machine.lab == "docker" else "network namespaces"
    if machine.seed is not None:
        yield "seed", str(machine.seed)
    if result.attempts > 1:
        yield "attempts", f"{result.attempts}, as this machine was too busy before"


# --- lines beside times -------------------------------------------------------------------------


def _timed(events: Sequence[Event], zero_ns: int) -> Iterator[TimedLine]:
    """Each event with its time in seconds after the origin."""
    for event in sorted(events, key=lambda each: each.t_ns):
        text = str(event.data.get("line", "")) if event.kind == "subject.printed" else None
        said = words.happened(event) if text is None else text
        time = f"{(event.t_ns - zero_ns) / 1e9:z.3f}"
        yield TimedLine(time, words.actor(event), clipped(in_a_line(said), LINE_SHOWN))


def _folded(lines: Sequence[TimedLine], most: int) -> Sequence[TimedLine]:
    """The first and the last of them, with a line for what is left out."""
    if len(lines) <= most:
        return lines
    half = most // 2
    left_out = len(lines) - 2 * half
    between = TimedLine("", "", f"{left_out} more: see timeline.jsonl in the run's folder")
    return [*lines[:half], between, *lines[-half:]]
