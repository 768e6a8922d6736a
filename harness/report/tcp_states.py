"""`harness predict` for connections that are not idle, and for idle ones on other systems."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from harness.plan.predict import Documented, Giving, Kept, Left, State
from harness.report.prediction import Row, rest, span, table, window

_SENT = {
    "in-flight": "data sent again",
    "connecting": "SYN sent again",
    "zero-window": "probes sent",
}
_ORIGIN = {
    "in-flight": "after the write",
    "connecting": "after the call of connect",
    "zero-window": "after the timer was set",
}
_FIRST: dict[State | Left, str] = {
    "in-flight": "200 ms (TCP_RTO_MIN) and the round trip",
    "connecting": "1 s (TCP_TIMEOUT_INIT, RFC 6298 section 2.1)",
    "zero-window": "200 ms (TCP_RTO_MIN) and the round trip",
    "accepting": "1 s (TCP_TIMEOUT_INIT, RFC 6298 section 2.1)",
    "closing": "200 ms (TCP_RTO_MIN) and the round trip",
}
LONGEST_NS = 119_000_000_000
"""Nothing but TCP_RTO_MAX, 120 s, is longer."""


def describe(giving: Giving) -> str:
    """For people."""
    outcome, origin = giving.outcome, _origin(giving)
    assert outcome.window_ns is not None
    user_timeout = f"user timeout {giving.user_timeout_s:g} s, " if giving.user_timeout_s else ""
    least, most = outcome.probes
    times = str(least) if least == most else f"{least} to {most}"
    lines = [
        f"{giving.state}, {user_timeout}HZ={giving.hz} ({giving.hz_source})",
        "",
        f"given up        {window(outcome.window_ns)} {origin}, {span(outcome.window_ns)}",
        f"errno           {outcome.errno}, because {outcome.why}",
        f"{_SENT[giving.state]:<15} {times}{'' if giving.state == 'zero-window' else ' times'}",
        "at the end      no RST is sent",
        *_presumed(giving),
        "",
        *table(_happening(giving)),
        "",
        (
            "Keepalive has no say in this state. The kernel rounds each timer up to the buckets "
            "of its timer wheel."
        ),
    ]
    if giving.state == "in-flight":
        lines.append(
            "The first timeout is 200 ms and the round trip that the handshake measured (0 "
            f"to {giving.rtt_ms:g} ms)."
        )
    return "\n".join(lines)


def _origin(giving: Giving) -> str:
    return "after the last answered probe" if giving.answered else _ORIGIN[giving.state]


def _presumed(giving: Giving) -> list[str]:
    if giving.state != "zero-window":
        return []
    if giving.user_timeout_s:
        return [
            "presumes        nothing: the user timeout counts from the first probe, answered or not"
        ]
    if giving.answered:
        return [
            (
                f"presumes        that the peer answered {giving.answered} window probe(s) and "
                "died right after the last"
            )
        ]
    return [
        (
            "presumes        that the peer answered no window probe; each answer before it died "
            "(--answered N) makes the"
        ),
        "                distances longer: 16 to 33 min after the last answer",
    ]


def _happening(giving: Giving) -> list[Row]:
    """What is sent again when, and by which rule so long after what was sent before."""
    outcome, windows = giving.outcome, giving.prediction.probe_windows_ns
    assert outcome.window_ns is not None
    rows: list[Row] = []
    distances_ns = [later[0] - earlier[0] for earlier, later in itertools.pairwise(windows)]
    for number, each in enumerate(windows, start=1):
        why = _first(giving) if number == 1 else _rule(distances_ns[: number - 1], windows[0][0])
        rows.append((each, _name(giving.state, number + giving.answered), why))
    noun = {"in-flight": "retransmissions", "connecting": "SYNs", "zero-window": "window probes"}[
        giving.state
    ]
    before = {"in-flight": 1, "connecting": -1, "zero-window": -giving.answered}[giving.state]
    return [
        *rows,
        *rest(giving.prediction, noun, before),
        (outcome.window_ns, outcome.errno or "", outcome.why),
    ]


def _first(giving: Giving) -> str:
    if not giving.answered:
        return _FIRST[giving.state]
    return f"{_FIRST[giving.state]}, doubled for each of {giving.answered} answered, at most 120 s"


def _name(state: State, number: int) -> str:
    if state == "in-flight":
        return "loss probe" if number == 1 else f"retransmission {number - 1}"
    return f"SYN {number + 1}" if state == "connecting" else f"window probe {number}"


def _rule(distances_ns: list[int], first_ns: int) -> str:
    """Of the last of the distances, after the one before it.

    Before the first of them is the first timeout.
    """
    before_ns, last_ns = ([first_ns, *distances_ns])[-2:]
    if last_ns > LONGEST_NS:
        return "120 s, the longest there is (TCP_RTO_MAX)"
    if last_ns > before_ns * 3 // 2:
        return "twice as long"
    return "as long again" if last_ns > before_ns * 3 // 4 else "what is left of the user timeout"


def as_json(giving: Giving) -> bytes:
    """For programs; times in seconds after the write or the call."""
    outcome = giving.outcome
    assert outcome.window_ns is not None
    document: dict[str, Any] = {
        "state": giving.state,
        "user_timeout_s": giving.user_timeout_s,
        "rtt_ms": giving.rtt_ms,
        **({"answered": giving.answered} if giving.state == "zero-window" else {}),
        "hz": giving.hz,
        "hz_source": giving.hz_source,
        "origin": "last-answered"
        if giving.answered
        else {"in-flight": "write", "connecting": "connect", "zero-window": "window-closed"}[
            giving.state
        ],
        "window_s": [end / 1e9 for end in outcome.window_ns],
        "errno": outcome.errno,
        "retransmissions": list(outcome.probes),
        "retransmission_windows_s": [
            [lo / 1e9, hi / 1e9] for lo, hi in giving.prediction.probe_windows_ns
        ],
        "rst": outcome.rst,
        "why": outcome.why,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def describe_kept(kept: Kept) -> str:
    """For people: a line for each thing that happens, with the rule behind it."""
    user_timeout = f"user timeout {kept.user_timeout_s:g} s, " if kept.user_timeout_s else ""
    return "\n".join(
        [
            (
                f"{kept.state}, {user_timeout}HZ={kept.hz} ({kept.hz_source}); seconds after the "
                f"{kept.origin}"
            ),
            "",
            *table(_reasoned(kept)),
            "",
            (
                "The kernel rounds each timer up to the buckets of its timer wheel "
                "(kernel/time/timer.c)."
            ),
        ]
    )


def _reasoned(kept: Kept) -> list[Row]:
    """All steps; repetitions with the rule by which they come so long after the one before."""
    rows: list[Row] = []
    repeated_ns: list[int] = []
    for step in kept.steps:
        why = step.why
        if not why:
            repeated_ns.append(step.window_ns[0])
            distances_ns = [later - earlier for earlier, later in itertools.pairwise(repeated_ns)]
            why = _rule(distances_ns, repeated_ns[0]) if distances_ns else _FIRST[kept.state]
        rows.append((step.window_ns, step.what, why))
    return rows


def kept_as_json(kept: Kept) -> bytes:
    """For programs; times in seconds after the origin."""
    document = msgspec.to_builtins(kept)
    document["steps"] = [
        {"what": what, "window_s": [end / 1e9 for end in window_ns], "why": why}
        for window_ns, what, why in _reasoned(kept)
    ]
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


# --- other systems ------------------------------------------------------------------------------


def describe_system(found: Documented) -> str:
    """For people."""
    facts = found.facts
    clock = span((round(found.detection_s * 1e9),) * 2).partition(" to ")[0]
    lines = [
        (
            f"{facts.title}: idle {_plain(found.idle_s)} s, interval {_plain(found.interval_s)} "
            f"s, count {found.count}"
        ),
        "",
        (
            f"silent peer detected      {_plain(found.detection_s)} s after the last segment "
            f"received, {clock}"
        ),
        f"probes                    {facts.probes(found.count)}",
        f"error                     {facts.error}",
        f"documented, not measured  {facts.source}",
    ]
    return "\n".join(
        [*lines, *([f"note                      {facts.remark}"] if facts.remark else [])]
    )


def _plain(seconds: float) -> str:
    """To the millisecond, and never with an exponent."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def system_as_json(found: Documented) -> bytes:
    """For programs."""
    document = {
        **msgspec.to_builtins(found),
        "origin": "last-received",
        "detection_s": found.detection_s,
        "probes": found.facts.probes(found.count),
        "error": found.facts.error,
        "source": found.facts.source,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
