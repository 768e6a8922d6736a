"""A plan for people, as `harness plan` shows it."""

from __future__ import annotations

import os
import pwd
import shlex

import msgspec

from harness.judge.moments import ORIGINS, plain
from harness.judge.reasons import in_range
from harness.model.machine import MachineFacts
from harness.model.programs import Command, Heartbeat
from harness.model.topology import SIDES
from harness.oracle.prediction import NOUNS, Outcome
from harness.oracle.timerwheel import tick_ns
from harness.plan.allowances import tolerances
from harness.plan.plan import Demand, Expectation, Plan
from harness.report.prediction import window
from harness.scenario.schema import Endpoint


def _user() -> str:
    """Who runs the commands of scenarios."""
    try:
        return f"user {pwd.getpwuid(os.geteuid()).pw_name}"
    except KeyError:
        return f"user {os.geteuid()}"


def describe_plan(plan: Plan) -> str:
    """A plan for people: the machine, the faults, and for each judged end claim and predictions."""
    scenario, machine = plan.scenario, plan.machine
    observing = f"the {plan.side} observes" if not plan.ends else "both ends are judged"
    if plan.ends and scenario.expect.outcome == "any":
        observing = "both ends are watched"
    lines = [
        f"{plan.name}: {scenario.summary}",
        f"  machine     {_machine(machine)}",
        f"  topology    {scenario.topology.kind}, {scenario.topology.family}; {observing}",
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
    lines += _faults(plan)
    for end in plan.judged:
        lines += _judged(end, f"{end.side}: " if plan.ends else "")
    lines += [f"  note        {note}" for note in plan.notes]
    lines.append(
        f"  watched for {plan.watch_ns / 1e9:.3f} s at most, allowance "
        f"{plan.allowance_ns / 1e6:g} ms{_late(plan)}"
    )
    return "\n".join(lines)


def _faults(plan: Plan) -> list[str]:
    """Each fault with the evidence that it must leave, for each end where that differs."""
    lines = []
    for index, fault in enumerate(plan.scenario.faults):
        lines.append(f"  fault       {_fault(fault)}")
        demands = {end.side: _demand(end.faults[index]) for end in plan.judged}
        if len(set(demands.values())) == 1:
            lines.append(f"  evidence    {demands[plan.side]}")
        else:
            lines += [f"  evidence    {side}: {demand}" for side, demand in demands.items()]
    return lines


def _demand(expectation: Expectation) -> str:
    sent = "; something must be sent while it is on" if expectation.needs_traffic else ""
    return f"{_DEMANDS[expectation.demand]}: {expectation.why}{sent}"


def _judged(plan: Plan, whose: str) -> list[str]:
    """What is claimed and predicted of one end."""
    lines = [f"  claim       {whose}{_claim(plan)}"]
    for outcome in plan.prediction.outcomes if plan.prediction is not None else ():
        what = outcome.errno or _KINDS[outcome.kind]
        when = f" {window(outcome.window_ns)} after arming" if outcome.window_ns else ""
        lines.append(f"  prediction  {whose}{what}{when}; {_asked(plan, outcome)}; {outcome.why}")
    return lines


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
        f"{in_range(outcome.probes_seen)} {noun}{'' if outcome.probes_seen == (1, 1) else 's'} on "
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
    named = "nothing; watched" if expect.outcome == "any" else expect.outcome
    parts = [named, expect.errno or ""]
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
    if expect.recovers_s is not None:
        window_s = f"{plain(expect.recovers_s[0])} to {plain(expect.recovers_s[1])} s"
        parts.append(f"and data passes again {window_s} after {ORIGINS['healed']}")
    if expect.window_s is None and expect.origin != "armed" and expect.reconnects_s is None:
        parts.append(f"(times count from {ORIGINS[expect.origin]})")
    if expect.window == "exact":
        parts.append(f"(window=exact, phase_ns={expect.phase_ns})")
    return " ".join(filter(None, parts))
