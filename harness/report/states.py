"""`harness predict` for connections that are not idle, and for idle ones on other systems."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.forecast import Documented, Giving, Kept
from harness.report.prediction import numbered, span, window

_SENT = {"in-flight": "data", "connecting": "SYN", "zero-window": "probe"}
_ORIGIN = {
    "in-flight": "after the write",
    "connecting": "after the call of connect",
    "zero-window": "after the timer was set",
}


def describe(giving: Giving) -> str:
    """For people."""
    outcome, origin = giving.outcome, _ORIGIN[giving.state]
    assert outcome.window_ns is not None
    user_timeout = f"user timeout {giving.user_timeout_s:g} s, " if giving.user_timeout_s else ""
    least, most = outcome.probes
    times = str(least) if least == most else f"{least} to {most}"
    lines = [
        f"{giving.state}, {user_timeout}HZ={giving.hz} ({giving.hz_source})",
        "",
        f"given up        {window(outcome.window_ns)} {origin}, {span(outcome.window_ns)}",
        f"errno           {outcome.errno}, because {outcome.why}",
        f"{_SENT[giving.state]} sent again ".ljust(16) + f"{times} times",
        *(f"                  {line}" for line in numbered(giving.prediction.probe_windows_ns)),
        "at the end      no RST is sent",
        "",
        "Keepalive has no say in this state. The kernel rounds each timer up to the buckets of its timer wheel.",
    ]
    if giving.state == "in-flight":
        lines.append(
            f"The first timeout is 200 ms and the round trip that the handshake measured (0 to {giving.rtt_ms:g} ms)."
        )
    return "\n".join(lines)


def as_json(giving: Giving) -> bytes:
    """For programs; times in seconds after the write or the call."""
    outcome = giving.outcome
    assert outcome.window_ns is not None
    document: dict[str, Any] = {
        "state": giving.state,
        "user_timeout_s": giving.user_timeout_s,
        "rtt_ms": giving.rtt_ms,
        "hz": giving.hz,
        "hz_source": giving.hz_source,
        "origin": {"in-flight": "write", "connecting": "connect", "zero-window": "window-closed"}[giving.state],
        "window_s": [end / 1e9 for end in outcome.window_ns],
        "errno": outcome.errno,
        "retransmissions": list(outcome.probes),
        "retransmission_windows_s": [[lo / 1e9, hi / 1e9] for lo, hi in giving.prediction.probe_windows_ns],
        "rst": outcome.rst,
        "why": outcome.why,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def describe_kept(kept: Kept) -> str:
    """For people: a line for each thing that happens, with the rule behind the last of its kind."""
    user_timeout = f"user timeout {kept.user_timeout_s:g} s, " if kept.user_timeout_s else ""
    lines = [f"{kept.state}, {user_timeout}HZ={kept.hz} ({kept.hz_source}); seconds after the {kept.origin}", ""]
    lines += [
        f"{step.what:<24}{window(step.window_ns)}{f', because {step.why}' if step.why else ''}" for step in kept.steps
    ]
    lines += ["", "The kernel rounds each timer up to the buckets of its timer wheel (kernel/time/timer.c)."]
    return "\n".join(lines)


def kept_as_json(kept: Kept) -> bytes:
    """For programs; times in seconds after the origin."""
    document = msgspec.to_builtins(kept)
    document["steps"] = [
        {"what": step.what, "window_s": [end / 1e9 for end in step.window_ns], "why": step.why} for step in kept.steps
    ]
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


# --- other systems ---------------------------------------------------------------------------------------


def describe_system(found: Documented) -> str:
    """For people."""
    facts = found.facts
    clock = span((round(found.detection_s * 1e9),) * 2).partition(" to ")[0]
    lines = [
        f"{facts.title}: idle {found.idle_s:g} s, interval {found.interval_s:g} s, count {found.count}",
        "",
        f"a silent peer is noticed  {found.detection_s:g} s after the last segment received, {clock}",
        f"probes                    {facts.probes(found.count)}",
        f"error                     {facts.error}",
        f"documented, not measured  {facts.source}",
    ]
    return "\n".join([*lines, *([f"note                      {facts.remark}"] if facts.remark else [])])


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
