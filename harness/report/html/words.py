"""What a page says of verdicts and events, in words of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from harness.judge.moments import ORIGINS
from harness.judge.reasons import Cause, clipped
from harness.judge.verdict import Verdict, VerdictName
from harness.oracle.prediction import NOUNS
from harness.timeline import Event

SYMBOLS: dict[VerdictName, str] = {"pass": "✓", "fail": "✗", "inconclusive": "?"}
"""Beside the colour of each verdict."""
WORDS_SHOWN = 48
"""So many characters of a program's report stand in a row of a table."""
CAUSES: dict[Cause, str] = {
    "confirmed": "The measurement agrees with the claim and with the prediction.",
    "known-failure": "The claim does not hold, as the scenario says that it would not.",
    "timeline-invalid": "The recorded events contradict each other.",
    "run-broken": "The run broke before its end.",
    "never-armed": "The connection was never ready.",
    "run-cut-short": "The run ended before the watch was over.",
    "capture-incomplete": "Segments are missing from the capture.",
    "machine-too-busy": "This machine was too slow. A run on a quiet machine may be judged.",
    "fault-never-injected": "A fault was not injected.",
    "fault-left-no-evidence": "Nothing shows that a fault was in place.",
    "fault-met-nothing": "A fault was in place, and no traffic met it.",
    "fault-mistimed": "A fault was injected or removed at the wrong time.",
    "action-failed": "A write or a shutdown of the scenario failed.",
    "liveness-not-shown": "Nothing shows whether the connection still carries data.",
    "origin-missing": "The event from which the claim counts did not come.",
    "false-alarm": "The peer was given up before any fault was injected.",
    "never-noticed": "The dead peer was not detected.",
    "noticed-too-early": "The peer was given up before the claimed window.",
    "noticed-too-late": "The dead peer was detected after the claimed window.",
    "noticed-unexpectedly": "The program gave its peer up, against the claim.",
    "claim-refuted": "The outcome, error or report differs from the claim.",
    "connection-dead": "Nothing was detected, and the connection carries no data any more.",
    "reconnection-refuted": "The connection was not made again as claimed.",
    "never-recovered": "No data passed after the faults were removed, and no connection was made.",
    "reconnected-without-data": "A connection was made again, and no data passed on it.",
    "recovered-after-another-fault": "Data passed again only after another fault was injected.",
    "recovered-too-early": "Data passed again before the claimed window.",
    "recovered-too-late": "Data passed again after the claimed window.",
    "oracle-refuted": "The claim holds, and the prediction does not.",
    "known-failure-gone": "The claim holds, though the scenario says that it does not.",
}
"""Each cause of a verdict in a sentence."""
DESCRIBED = "described"
"""In place of "pass" where nothing is claimed: the run shows what both ends do."""
DESCRIBED_CAUSE = "Nothing is claimed of this run. It shows what both ends do."
UNPREDICTED_CAUSE = "The measurement agrees with the claim. Nothing was predicted."
MEANINGS: dict[VerdictName, str] = {
    "pass": "The measurement is what the scenario claims and what the kernel's timers predict.",
    "fail": "The measurement differs from the claim or from the prediction.",
    "inconclusive": "The run shows neither: a fault did not act, or the run was disturbed.",
}


def origin(verdict: Verdict) -> str:
    """What a verdict's times count from."""
    return ORIGINS[verdict.origin]


def measured(verdict: Verdict) -> str:
    """What was detected, and when."""
    if verdict.outcome == "quiet" and verdict.detected_ns is None:
        return "nothing was detected"
    if verdict.detected_ns is None:
        return "no measurement"
    found = what(verdict)
    if verdict.detected_ns < 0:  # a claim that counts from the end of the fault
        return f"{found} {span(-verdict.detected_ns)} before {origin(verdict)}"
    return f"{found} {span(verdict.detected_ns)} after {origin(verdict)}"


def what(verdict: Verdict) -> str:
    """What was detected, in a few words; "" for nothing."""
    if verdict.outcome == "eof":
        return "end of file"
    if verdict.outcome == "noticed":
        return clipped(verdict.reports or "given up", WORDS_SHOWN)
    return verdict.errno or ""


def predicted(verdict: Verdict, unpredictable: str | None = None) -> str:
    """The oracle's prediction with its window, or why there is none."""
    if not verdict.predicted:
        return f"not predicted: {unpredictable or 'the oracle has no model of this'}"
    if verdict.window_ns is not None:
        return f"{verdict.predicted}, {window(verdict.window_ns)} after {origin(verdict)}"
    if verdict.armed_window_ns is not None:
        return f"{verdict.predicted}, {window(verdict.armed_window_ns)} after arming"
    return verdict.predicted


def asked(verdict: Verdict) -> str:
    """How many probes or retransmissions were captured, and how many were predicted."""
    if verdict.probes is None:
        return ""
    noun = NOUNS[verdict.asking]
    if verdict.probes_expected is None:
        return f"{verdict.probes} {noun}s"
    least, most = verdict.probes_expected
    expected = f"{least}" if least == most else f"{least} to {most}"
    return f"{verdict.probes} {noun}s, {expected} predicted"


def span(time_ns: int) -> str:
    """A time with its unit, to the millisecond."""
    return f"{time_ns / 1e9:.3f} s"


def window(window_ns: tuple[int, int]) -> str:
    """From the earliest moment to the latest."""
    low, high = (f"{end / 1e9:.3f}" for end in window_ns)
    return f"{low} s" if low == high else f"{low} to {high} s"


# --- events -------------------------------------------------------------------------------------

Data = dict[str, Any]


def _address(found: object) -> str:
    """[host, port] as the kernel's tools write it."""
    if not isinstance(found, list | tuple) or len(found) != 2:
        return ""
    host, port = found
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def _armed(data: Data) -> str:
    ends = [each for each in (_address(data.get("local")), _address(data.get("remote"))) if each]
    return f"connection ready: {' to '.join(ends)}" if ends else "connection ready"


def _given_up(data: Data) -> str:
    return f"gave its peer up ({data.get('how')}): {data.get('found', '')}"


def _wrote(data: Data) -> str:
    octets = data.get("octets")
    if not data.get("written"):
        return "write: the socket took no data"
    return "wrote data" if octets is None else f"wrote {octets} octets"


_LEVELS = {"bit": "it acted", "in-place": "it was in place", "none": "it left no trace"}


def _evidence(data: Data) -> str:
    level = _LEVELS.get(str(data.get("level")), str(data.get("level")))
    return f"evidence of {data.get('fault')}: {level} ({data.get('found', '')})"


def _left(data: Data) -> str:
    """Processes and sockets of an end, at the end of the watch."""
    processes = ", ".join(map(str, data.get("processes") or ())) or "none"
    sockets = [_socket(each) for each in data.get("sockets") or () if isinstance(each, dict)]
    return f"processes: {processes}; sockets: {'; '.join(sockets) or 'none'}"


def _socket(data: Data) -> str:
    ends = " to ".join(filter(None, (_address(data.get("local")), _address(data.get("remote")))))
    parts = [f"{ends} {data.get('state', '')}".strip()]
    parts += ["held by no program"] if data.get("held") is False else []
    parts += [f"{data['unsent']} octets not acknowledged"] if data.get("unsent") else []
    parts += [f"{data['unread']} octets not read"] if data.get("unread") else []
    return ", ".join(parts)


_ENDINGS = {True: "data still passes", False: "data does not pass any more"}
_SAID: dict[str, Callable[[Data], str]] = {
    "opened": lambda _: "recording began",
    "subject.listening": lambda data: f"listens on port {data.get('port')}",
    "subject.armed": _armed,
    "subject.detected": lambda data: (
        f"{data.get('errno')} from {data.get('syscall', 'its socket')}"
    ),
    "subject.noticed": _given_up,
    "subject.sign": _given_up,
    "subject.reconnected": lambda data: f"connected again {_address(data.get('remote'))}".rstrip(),
    "subject.eof": lambda _: "end of file: the peer closed the connection",
    "subject.connected": lambda _: "connected",
    "subject.wrote": _wrote,
    "subject.shut": lambda _: "shut its writing direction (FIN)",
    "subject.ended": lambda data: f"its program ended with status {data.get('status')}",
    "subject.left": _left,
    "subject.alive": lambda data: _ENDINGS[bool(data.get("echo"))],
    "fault.injected": lambda data: f"{data.get('fault')} injected",
    "fault.evidence": _evidence,
    "fault.healed": lambda data: f"{data.get('fault')} removed",
    "run.stalled": lambda data: f"the harness stood still for {data.get('took_ns', 0) / 1e9:.3f} s",
    "run.ended": lambda _: "the watch ended",
    "run.broken": lambda data: f"the run broke: {data.get('error')}",
}
"""What happened, by the event's kind."""


def happened(event: Event) -> str:
    """An event in words; of a kind without words its data."""
    said = _SAID.get(event.kind)
    if said is not None:
        return said(event.data)
    return " ".join([event.kind, *(f"{key}={value}" for key, value in event.data.items())])


Where = Literal["client", "server", "harness"]


def actor(event: Event) -> str:
    """The end that an event is about, or the part of the harness."""
    return str(event.data.get("side") or event.source)
