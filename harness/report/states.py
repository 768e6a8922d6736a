"""`harness predict` for connections that are not idle, and for idle ones on other systems."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from harness import capabilities
from harness.errors import UsageError
from harness.oracle import handshake, retransmission
from harness.oracle.effects import Effect
from harness.oracle.prediction import Machine, Outcome, Prediction, Settings
from harness.oracle.systems import SYSTEMS, Name, System
from harness.report.prediction import check_hz, check_user_timeout, numbered, span, window

State = Literal["in-flight", "connecting"]
_SENT = {"in-flight": "data", "connecting": "SYN"}
_ORIGIN = {"in-flight": "after the write", "connecting": "after the call of connect"}


class Giving(msgspec.Struct, frozen=True, kw_only=True):
    """When a sender that gets no answer gives up, in a state of the connection; `rtt_ms`: its measured round trip."""

    state: State
    user_timeout_s: float
    rtt_ms: float
    hz: int
    hz_source: str
    prediction: Prediction

    @property
    def outcome(self) -> Outcome:
        """The one outcome there is when every segment is lost in silence."""
        return self.prediction.outcomes[0]


def of_state(state: State, user_timeout_s: float, rtt_ms: float, hz: int | None) -> Giving:
    """Predict for plain numbers. Raises UsageError."""
    check_user_timeout(user_timeout_s)
    check_hz(hz)
    if not 0 <= rtt_ms <= 10_000:
        raise UsageError(f"--rtt: expected 0 to 10000 milliseconds, found {rtt_ms:g}")
    found = capabilities.machine()
    settings = Settings(keepalive=False, user_timeout_ms=round(user_timeout_s * 1000))
    machine = Machine(hz=hz or found.hz, rtt_ns=round(rtt_ms * 1_000_000))
    if state == "connecting":
        prediction = handshake.predict(settings.user_timeout_ms, machine)
    else:
        horizon_ns = retransmission.longest_ns(settings, machine)
        prediction = retransmission.predict(settings, machine, (Effect(mechanism="lost"),), 0, horizon_ns)
    return Giving(
        state=state,
        user_timeout_s=user_timeout_s,
        rtt_ms=rtt_ms,
        hz=machine.hz,
        hz_source="--hz" if hz else found.hz_source,
        prediction=prediction,
    )


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
        f"{_SENT[giving.state]} sent again".ljust(16) + f"{times} times",
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
        "origin": "write" if giving.state == "in-flight" else "connect",
        "window_s": [end / 1e9 for end in outcome.window_ns],
        "errno": outcome.errno,
        "retransmissions": list(outcome.probes),
        "retransmission_windows_s": [[lo / 1e9, hi / 1e9] for lo, hi in giving.prediction.probe_windows_ns],
        "rst": outcome.rst,
        "why": outcome.why,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


# --- other systems ---------------------------------------------------------------------------------------


class Documented(msgspec.Struct, frozen=True, kw_only=True):
    """What another system's documentation says of an idle connection with these settings, in seconds and probes."""

    system: Name
    idle_s: float
    interval_s: float
    count: int
    measured: bool = False

    @property
    def facts(self) -> System:
        """The system."""
        return SYSTEMS[self.system]

    @property
    def detection_s(self) -> float:
        """From the last segment received."""
        return self.facts.detection_s(self.idle_s, self.interval_s, self.count)


def of_system(name: Name, idle_s: float | None, interval_s: float | None, count: int | None) -> Documented:
    """The system's defaults for what is None. Raises UsageError for what it cannot be set to."""
    facts = SYSTEMS[name]
    if count is not None and facts.fixed_count and count != facts.count:
        raise UsageError(f"--count: expected {facts.count}, which {facts.title} has fixed, found {count}")
    chosen = {
        "--idle": facts.idle_s if idle_s is None else idle_s,
        "--interval": facts.interval_s if interval_s is None else interval_s,
        "--count": facts.count if count is None else count,
    }
    for option, value in chosen.items():
        if value <= 0:
            raise UsageError(f"{option}: expected more than 0, found {value:g}")
    return Documented(
        system=name, idle_s=chosen["--idle"], interval_s=chosen["--interval"], count=int(chosen["--count"])
    )


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
