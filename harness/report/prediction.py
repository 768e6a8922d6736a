"""Predictions in words and as JSON: `harness predict` and `harness plan`."""

from __future__ import annotations

import os
import pwd
import shlex
from typing import Any

import msgspec

from harness.judge.moments import ORIGINS, plain
from harness.model.machine import MachineFacts
from harness.model.programs import Command, Heartbeat
from harness.model.topology import SIDES
from harness.oracle.prediction import NOUNS, Outcome, Prediction, Settings
from harness.oracle.timerwheel import granularity, tick_ns
from harness.plan.allowances import tolerances
from harness.plan.plan import Demand, Plan
from harness.plan.predict import Forecast
from harness.scenario.schema import Endpoint


def describe(forecast: Forecast) -> str:
    """For people."""
    settings, outcome = forecast.settings, forecast.outcome
    assert outcome.window_ns is not None
    buckets = (
        granularity(settings.idle_s * forecast.hz),
        granularity(settings.interval_s * forecast.hz - 1),
    )
    tick_s = tick_ns(forecast.hz) / 1e9
    timeout = f"user timeout {_user_timeout(settings)}, " if settings.user_timeout_ms else ""
    lines = [
        (
            f"keepalive idle {settings.idle_s} s, interval {settings.interval_s} s, count "
            f"{settings.count}, {timeout}HZ={forecast.hz} ({forecast.hz_source})"
        ),
        "",
        (
            f"a silent peer is detected  {window(outcome.window_ns)} after arming, "
            f"{span(outcome.window_ns)}"
        ),
        f"                           ({_nominal(settings)})",
        f"errno                      {outcome.errno}, because {outcome.why}",
        f"probes                     {_range(outcome.probes)}",
        f"at the abort               {'one RST is sent' if outcome.rst else 'no RST is sent'}",
        "",
        *table(_happening(forecast, buckets[0] * tick_s, buckets[1] * tick_s)),
        "",
        *_reasons(settings, buckets[0] * tick_s, buckets[1] * tick_s),
    ]
    return "\n".join(lines)


def _nominal(settings: Settings) -> str:
    """What one would compute by hand."""
    sum_s = settings.idle_s + settings.interval_s * settings.count
    if settings.user_timeout_ms:
        return f"without the user timeout: idle + interval * count = {sum_s} s, rounded up"
    return f"idle + interval * count would be {sum_s} s"


def _reasons(settings: Settings, idle_bucket_s: float, interval_bucket_s: float) -> list[str]:
    """Why it takes longer than one would compute by hand."""
    rounding = [
        "The kernel rounds timers up to the buckets of its timer wheel (kernel/time/timer.c),",
        f"{idle_bucket_s:g} s for this idle time, {interval_bucket_s:g} s for this interval.",
    ]
    if not settings.user_timeout_ms:
        return rounding
    return [
        (
            "The user timeout replaces the count (net/ipv4/tcp_timer.c). TCP looks at it only when "
            "it would send"
        ),
        (
            "a probe: it gives up where an earlier probe is unanswered, and nothing was received "
            f"for {_user_timeout(settings)}."
        ),
        *rounding,
    ]


def _user_timeout(settings: Settings) -> str:
    return f"{settings.user_timeout_ms / 1000:g} s"


Row = tuple[tuple[int, int], str, str]
"""A line of the table of what happens when: the window, what happens, and the reason."""


def _happening(forecast: Forecast, idle_bucket_s: float, interval_bucket_s: float) -> list[Row]:
    settings, outcome = forecast.settings, forecast.outcome
    assert outcome.window_ns is not None
    rows = [
        (
            each,
            f"probe {number}",
            f"interval {settings.interval_s} s, in buckets of {interval_bucket_s:g} s",
        )
        for number, each in enumerate(forecast.prediction.probe_windows_ns, start=1)
    ]
    rows[0] = rows[0][0], "probe 1", f"idle {settings.idle_s} s, in buckets of {idle_bucket_s:g} s"
    return [
        *rows,
        *rest(forecast.prediction, "probes"),
        (outcome.window_ns, outcome.errno or "", outcome.why),
    ]


def rest(prediction: Prediction, noun: str, before: int = 0) -> list[Row]:
    """One row for all that is sent beyond the windows that a prediction lists.

    The first `before` have other names.
    """
    outcome, windows = prediction.outcomes[0], prediction.probe_windows_ns
    listed, most = len(windows), outcome.probes[1]
    if most <= listed or not prediction.probe_gaps_ns or outcome.window_ns is None:
        return []
    least_ns, most_ns = prediction.probe_gaps_ns[-1]
    latest_ns = min(windows[-1][1] + (most - listed) * most_ns, outcome.window_ns[1])
    apart = f"{least_ns / 1e9:.3f} s" if least_ns == most_ns else window((least_ns, most_ns))
    what = f"{noun} {listed + 1 - before} to {most - before}"
    return [((windows[-1][0] + least_ns, latest_ns), what, f"{apart} apart")]


def table(rows: list[Row]) -> list[str]:
    """What happens when, a line each."""
    texts = [(window(each), what, why) for each, what, why in rows]
    widths = [max(len(text[column]) for text in texts) for column in (0, 1)]
    return [
        f"  {when:>{widths[0]}}  {what:<{widths[1]}}  {why}".rstrip() for when, what, why in texts
    ]


def as_json(forecast: Forecast) -> bytes:
    """For programs; times in seconds after arming."""
    outcome = forecast.outcome
    assert outcome.window_ns is not None
    settings = forecast.settings
    document: dict[str, Any] = {
        "idle_s": settings.idle_s,
        "interval_s": settings.interval_s,
        "count": settings.count,
        "user_timeout_s": settings.user_timeout_ms / 1000,
        "hz": forecast.hz,
        "hz_source": forecast.hz_source,
        "kernel": forecast.kernel,
        "origin": "armed",
        "window_s": _seconds(outcome.window_ns),
        "nominal_s": settings.idle_s + settings.interval_s * settings.count,
        "errno": outcome.errno,
        "probes": list(outcome.probes),
        "probe_windows_s": [_seconds(window) for window in forecast.prediction.probe_windows_ns],
        "rst": outcome.rst,
        "why": outcome.why,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _user() -> str:
    """Who runs the commands of scenarios."""
    try:
        return f"user {pwd.getpwuid(os.geteuid()).pw_name}"
    except KeyError:
        return f"user {os.geteuid()}"


def describe_plan(plan: Plan) -> str:
    """A plan for people: the claim, the machine, the faults, the predictions."""
    scenario, machine = plan.scenario, plan.machine
    lines = [
        f"{plan.name}: {scenario.summary}",
        f"  machine     {_machine(machine)}",
        (
            f"  topology    {scenario.topology.kind}, {scenario.topology.family}; the "
            f"{scenario.expect.side} observes"
        ),
    ]
    lines += [f"  state       {scenario.state}"] if scenario.state != "established" else []
    for side in SIDES:
        chosen = _endpoint(scenario.endpoint(side))
        lines += [f"  {side:<11} {chosen}"] if chosen else []
    for key, host, command in scenario.commands:
        if key not in SIDES:
            place = "" if host == key else f"on={host}, "
            lines.append(f"  {key:<11} {place}command={describe_command(command)}")
    if scenario.commands:
        lines.append(
            f"  runs        these commands as {_user()}, with all rights of that user; "
            "--no-commands refuses them"
        )
    for fault, expectation in zip(scenario.faults, plan.faults, strict=True):
        sent = "; something must be sent while it is on" if expectation.needs_traffic else ""
        evidence = f"{_DEMANDS[expectation.demand]}: {expectation.why}{sent}"
        lines += [f"  fault       {_fault(fault)}", f"  evidence    {evidence}"]
    lines.append(f"  claim       {_claim(plan)}")
    for outcome in plan.prediction.outcomes if plan.prediction is not None else ():
        what = outcome.errno or _KINDS[outcome.kind]
        when = f" {window(outcome.window_ns)} after arming" if outcome.window_ns else ""
        lines.append(f"  prediction  {what}{when}; {_asked(plan, outcome)}; {outcome.why}")
    lines += [f"  note        {note}" for note in plan.notes]
    lines.append(
        f"  watched for {plan.watch_ns / 1e9:.3f} s at most, allowance "
        f"{plan.allowance_ns / 1e6:g} ms{_late(plan)}"
    )
    return "\n".join(lines)


_DEMANDS: dict[Demand, str] = {
    "must-act": "it must act",
    "must-stand": "it must be in place",
    "may-act": "it must be in place, and may act",
}
_KINDS = {"eof": "end of file", "quiet": "nothing detected", "noticed": "given up"}
"""Outcomes that are no errors."""


def _asked(plan: Plan, outcome: Outcome) -> str:
    """What the wire shows of it, or the last data that came."""
    if plan.scenario.client.heartbeat is not None and not outcome.window_by_probes:
        since = (
            f"{window(outcome.since_read_ns)} after the last data came"
            if outcome.since_read_ns
            else ""
        )
        again = outcome.reconnects_ns
        return (
            ", ".join(
                filter(None, [since, f"connected again {window(again)} later" if again else ""])
            )
            or "no probe"
        )
    noun = "probe" if plan.prediction is None else NOUNS[plan.prediction.asking]
    return (
        f"{_range(outcome.probes_seen)} {noun}{'' if outcome.probes_seen == (1, 1) else 's'} on "
        "the wire"
    )


def _late(plan: Plan) -> str:
    if plan.prediction is None or not tolerances(plan.machine).late_jiffies:
        return ""
    return (
        f"; predicted with a jiffy ({tick_ns(plan.machine.hz) / 1e6:g} ms) that timers may run "
        "late on SMP"
    )


def _machine(machine: MachineFacts) -> str:
    facts = (
        f"Linux {machine.kernel}, HZ={machine.hz} ({machine.hz_source}), {machine.cpus} CPUs, "
        f"{machine.clock} time"
    )
    if machine.seed is not None:
        facts += f", seed {machine.seed}"
    return f"{facts}, in containers" if machine.lab == "docker" else facts


def _endpoint(endpoint: Endpoint) -> str:
    """What is not as it is by default; keepalive with all of its settings."""
    parts = []
    alive = endpoint.keepalive_settings
    if alive is not None:
        parts.append(
            f"keepalive idle_s={alive.idle_s} interval_s={alive.interval_s} count={alive.count}"
        )
    for field in msgspec.structs.fields(Endpoint):
        value = getattr(endpoint, field.name)
        if field.name == "keepalive" or value == field.default:
            continue
        if isinstance(value, tuple):
            value = f"[{', '.join(f'{each:g}' for each in value)}]"
        if isinstance(value, Heartbeat):
            value = describe_heartbeat(value)
        if isinstance(value, Command):
            value = describe_command(value)
        parts.append(f"{field.name}={str(value).lower() if isinstance(value, bool) else value}")
    return ", ".join(parts)


def describe_command(command: Command) -> str:
    """A command as a shell takes it, with what its table says besides."""
    others = {name: value for name, value in _said(command).items() if name != "argv"}
    words = "; ".join(f"{name} {_table(value)}" for name, value in others.items())
    return f"{shlex.join(command.argv)} ({words})" if words else shlex.join(command.argv)


def _table(value: object) -> str:
    """A value, or the keys of a table that are not as by default, with theirs."""
    if not isinstance(value, msgspec.Struct):
        return repr(value)
    return ", ".join(
        key if each is True else f"{key} {each!r}" for key, each in _said(value).items()
    )


def _said(table: msgspec.Struct) -> dict[str, object]:
    """What a table says that is not as by default."""
    said = {each.name: (getattr(table, each.name), each) for each in msgspec.structs.fields(table)}
    return {
        name: value
        for name, (value, field) in said.items()
        if value not in (field.default, *_made(field))
    }


def _made(field: msgspec.structs.FieldInfo) -> tuple[object, ...]:
    """The default of a field whose default is made anew each time."""
    factory = field.default_factory
    return (factory(),) if callable(factory) else ()


def describe_heartbeat(heartbeat: Heartbeat) -> str:
    """A design with its settings, those that are off left out."""
    fields = {name: getattr(heartbeat, name) for name in heartbeat.__struct_fields__}
    texts = {
        name: f"{value:g}" if isinstance(value, float) else str(value).lower()
        for name, value in fields.items()
    }
    texts |= {name: "/".join(value) for name, value in fields.items() if isinstance(value, tuple)}
    return (
        f"{heartbeat.design} "
        f"({', '.join(f'{name}={text}' for name, text in texts.items() if fields[name])})"
    )


def _fault(fault: msgspec.Struct) -> str:
    fields = msgspec.to_builtins(fault)
    kind = fields.pop("kind")
    if fields.get("every_s") is None:
        fields.pop("times", None)
    return (
        f"{kind} "
        f"{', '.join(f'{key}={value}' for key, value in fields.items() if value is not None)}"
    )


def _claim(plan: Plan) -> str:
    expect = plan.scenario.expect
    parts = [expect.outcome, expect.errno or ""]
    if expect.window_s is not None:
        parts.append(
            f"{plain(expect.window_s[0])} to {plain(expect.window_s[1])} s after "
            f"{ORIGINS[expect.origin]}"
        )
    if expect.reconnects_s is not None:
        since = ORIGINS["healed"] if expect.origin == "healed" else "that"
        window_s = f"{plain(expect.reconnects_s[0])} to {plain(expect.reconnects_s[1])} s"
        parts.append(f"and connected again {window_s} after {since}")
    if expect.bound_s is not None:
        parts.append(f"within {expect.bound_s:g} s after arming")
    if expect.window_s is None and expect.origin != "armed" and expect.reconnects_s is None:
        parts.append(f"(times count from {ORIGINS[expect.origin]})")
    if expect.window == "exact":
        parts.append(f"(window=exact, phase_ns={expect.phase_ns})")
    return " ".join(filter(None, parts))


def span(window: tuple[int, int]) -> str:
    """A window's ends as hours, minutes and seconds."""
    return f"{_clock(window[0])} to {_clock(window[1])}"


def _clock(nanoseconds: int) -> str:
    minutes, seconds = divmod(nanoseconds / 1e9, 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = (
        ([f"{hours} h"] if hours else [])
        + ([f"{minutes} min"] if hours or minutes else [])
        + [f"{seconds:.2f} s"]
    )
    return " ".join(parts)


def _seconds(window: tuple[int, int]) -> list[float]:
    return [window[0] / 1e9, window[1] / 1e9]


def window(ends_ns: tuple[int, int]) -> str:
    """A window's ends in seconds."""
    return f"{ends_ns[0] / 1e9:.3f} to {ends_ns[1] / 1e9:.3f} s"


def _range(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]} to {pair[1]}"
