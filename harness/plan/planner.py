"""Makes plans: resolves a scenario against a machine, with the oracle's predictions and the
evidence to expect.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from harness.errors import MISSING, NotPredictedError, ScenarioError
from harness.faults import AnyFault, NetworkDisconnect
from harness.model.machine import MachineFacts
from harness.model.topology import SIDES, Side, other
from harness.oracle import established, handshake, zerowindow
from harness.oracle.effects import Effect, Unpredictable
from harness.oracle.established_query import Question, longest_ns
from harness.oracle.handshake import ANSWERS
from harness.oracle.prediction import Machine, Outcome, Prediction, Settings
from harness.oracle.timerwheel import tick_ns
from harness.plan import fault_expectations, heartbeats
from harness.plan.allowances import ALLOWANCE_MS, tolerances
from harness.plan.fault_effects import effects_on
from harness.plan.model_coverage import fills, refuse_uncovered
from harness.plan.notes import never_in_time, never_injected, notes_on, suspicions
from harness.plan.plan import (
    GRACE_NS,
    KIND_OF,
    Plan,
    last_restored_s,
    recovers_until_ns,
    settings_of,
    spell_outcomes,
)
from harness.scenario.loader import checked
from harness.scenario.schema import Scenario

ONE_SEGMENT = 1000
"""Octets that fit into one segment whatever the options: less than the smallest MSS of these links,
1428.
"""
PHASE_SLACK_NS = 20_000
"""Virtual time: how much later than at the phase asked for the connection is armed, as reading the
clock takes time.
"""
START_SLACK_NS = 500_000
"""The same where an endpoint is a program of its own, which has to start first."""


def make(scenario: Scenario, machine: MachineFacts) -> Plan:
    """Resolve a scenario. Raises ScenarioError where it expects what cannot be judged."""
    kernel = tolerances(machine)
    if scenario.expect.window != "exact":
        return _make(scenario, machine, kernel)
    if machine.clock == "virtual":
        starting = any(fault.processes() for fault in scenario.faults)
        slack_ns = START_SLACK_NS if starting else PHASE_SLACK_NS
        return _make(scenario, machine, kernel.in_phase(scenario.expect.phase_ns, slack_ns))
    note = (
        "in real time nobody can choose the phase of the timer wheel: the window is that of "
        "every phase"
    )
    plan = _make(scenario, machine, kernel)
    return msgspec.structs.replace(plan, notes=(*plan.notes, note))


def lasts_longer(scenario: Scenario, machine: MachineFacts, limit_ns: int) -> bool:
    """Whether a run surely takes longer: told from one phase of the timer wheel, much faster than
    the plan is made.

    Raises ScenarioError where it expects what cannot be judged.
    """
    plan = _make(scenario, machine, tolerances(machine).in_phase(0, 0))
    return bool(plan.expected) and plan.watch_ns > limit_ns


def _make(scenario: Scenario, machine: MachineFacts, kernel: Machine) -> Plan:
    scenario = checked(scenario, f"scenario {scenario.name or '<unnamed>'}")
    _check_lab(scenario, machine)
    judged = [_of_end(scenario, side, machine, kernel) for side in scenario.judged]
    return judged[0] if len(judged) == 1 else _together(scenario, judged)


def _together(scenario: Scenario, ends: Sequence[Plan]) -> Plan:
    """The plan of a run in which several ends are judged."""
    notes: dict[str, None] = {}
    for end in ends:
        for note in end.notes:
            is_shared = all(note in each.notes for each in ends)
            notes[note if is_shared else f"{end.side}: {note}"] = None
    return msgspec.structs.replace(
        ends[0],
        scenario=scenario,
        watch_ns=max(end.watch_ns for end in ends),
        must_echo=any(end.must_echo for end in ends),
        contradicts=any(end.contradicts for end in ends),
        notes=tuple(notes),
        ends=tuple(ends),
    )


def _of_end(whole: Scenario, side: Side, machine: MachineFacts, kernel: Machine) -> Plan:
    """The plan by which one end is judged."""
    scenario = whole.seen_by(side)
    key = f"expect.{side}" if side in whole.expect.of_ends else "expect"
    slowest_ns = max((round(fault.takes_s * 1e9) for fault in scenario.faults), default=0)
    kernel = msgspec.structs.replace(kernel, injection_ns=max(kernel.injection_ns, slowest_ns))
    settings = settings_of(scenario, side)
    effects = effects_on(scenario, side)
    horizon_ns = _horizon_ns(scenario, settings, machine, effects)
    prediction, unpredictable = None, None
    try:
        refuse_uncovered(scenario)
        prediction = _predict(scenario, settings, kernel, effects, horizon_ns)
    except Unpredictable as reason:
        unpredictable = str(reason)
    expected, notes = _expected(scenario, key, prediction, unpredictable)
    allowed = None if prediction is None else expected or prediction.outcomes

    def foresee(changed: Scenario, meant: tuple[Effect, ...]) -> Prediction | None:
        try:
            refuse_uncovered(changed)
            return _predict(changed, settings, kernel, meant, horizon_ns)
        except Unpredictable:
            return None

    allowance_ns = 0 if machine.clock == "virtual" else ALLOWANCE_MS * 1_000_000
    apart = never_in_time(scenario, expected, allowance_ns)
    late = () if prediction is None else never_injected(scenario, prediction.outcomes)
    return Plan(
        scenario=scenario,
        machine=machine,
        prediction=prediction,
        unpredictable=unpredictable,
        expected=expected,
        allowance_ns=allowance_ns,
        watch_ns=_watch_ns(scenario, expected, horizon_ns),
        faults=fault_expectations.of_faults(scenario, tolerances(machine), allowed, foresee),
        must_echo=fault_expectations.must_echo(scenario),
        notes=(*notes, *apart, *late, *notes_on(scenario)),
        contradicts=bool(apart) or (prediction is not None and not expected),
    )


def _check_lab(scenario: Scenario, machine: MachineFacts) -> None:
    """Raise ScenarioError for what only containers or guests have, where there are none, and for
    what labs have no name for.
    """
    source, expected = f"scenario {scenario.name}", "a lab of containers, by --lab docker"
    for index, fault in enumerate(scenario.faults):
        if isinstance(fault, NetworkDisconnect) and fault.network:
            expected = (
                "no such key: a lab's networks have names of their own; it is for harness inject"
            )
            raise ScenarioError(source, f"faults[{index}].network", fault.network, expected)
        if fault.of_guests and machine.clock == "real":
            expected = (
                "virtual time, by --clock virtual: in real time it would set the clock of this "
                "machine itself"
            )
            raise ScenarioError(source, f"faults[{index}].kind", fault.kind, expected)
    if machine.lab == "docker":
        return
    for index, fault in enumerate(scenario.faults):
        if fault.of_containers:
            raise ScenarioError(source, f"faults[{index}].kind", fault.kind, expected)
    for side in SIDES:
        if scenario.endpoint(side).image:
            raise ScenarioError(source, f"{side}.image", scenario.endpoint(side).image, expected)


def _predict(
    scenario: Scenario,
    settings: Settings,
    machine: Machine,
    effects: tuple[Effect, ...],
    horizon_ns: int,
) -> Prediction:
    """Ask the model of the connection's state: being made or established. Raises Unpredictable."""
    side = scenario.expect.side
    if scenario.has_command:
        raise Unpredictable("a command detects a dead peer in its own way")
    if scenario.client.heartbeat is not None:
        both = {each: settings_of(scenario, each) for each in SIDES}
        return heartbeats.predict(scenario, both, machine, horizon_ns)
    if scenario.state == "connecting":
        return _predict_connecting(scenario, settings, machine, effects)
    if fills(scenario, side):
        (write_ns,) = _moments_ns(scenario, side)
        if settings.keepalive and write_ns >= settings.idle_s * 1_000_000_000:
            raise Unpredictable("keepalive probes before the write that fills the peer's buffer")
        return zerowindow.predict_connection(
            settings.user_timeout_ms, machine, effects, write_ns, horizon_ns
        )
    shuts_at_s = scenario.endpoint(side).shuts_at_s
    if scenario.endpoint(other(side)).shuts_at_s is not None:
        raise Unpredictable(f"the {other(side)} shuts its writing direction")
    for each in SIDES:
        end = scenario.endpoint(each)
        if end.writes_at_s and (
            end.write_bytes > ONE_SEGMENT or not scenario.endpoint(other(each)).reads
        ):
            raise Unpredictable("more is written than fits into one segment, or is read")
    return established.predict(
        Question(
            settings,
            machine,
            effects,
            horizon_ns,
            writes_ns=_moments_ns(scenario, side),
            peer_writes_ns=_moments_ns(scenario, other(side)),
            echoes=side == "client",
            shuts_ns=None if shuts_at_s is None else round(shuts_at_s * 1e9),
        )
    )


def _moments_ns(scenario: Scenario, side: Side) -> tuple[int, ...]:
    return tuple(round(at_s * 1e9) for at_s in scenario.endpoint(side).writes_at_s)


def _predict_connecting(
    scenario: Scenario, settings: Settings, machine: Machine, effects: tuple[Effect, ...]
) -> Prediction:
    """A path that is cut, or a SYN that is answered with a refusal, from the first SYN on and for
    good.
    """
    silence = handshake.predict(settings.user_timeout_ms, machine)
    if not effects or any(effect.from_s or effect.until_s is not None for effect in effects):
        raise Unpredictable(
            "the connection is being made, and the path is not cut from the beginning and for good"
        )
    if all(
        effect.mechanism in ("lost", "answers-lost", "syn-lost") and not effect.reported
        for effect in effects
    ):
        if any(effect.unknown for effect in effects):
            raise Unpredictable("the connection is being made, and an ICMP error may answer")
        return msgspec.structs.replace(silence, asking="syn")
    (effect, *others) = effects
    errno = "ECONNREFUSED" if effect.mechanism == "peer-forgot" else effect.reported
    if (
        others
        or effect.mechanism not in ("lost", "peer-forgot")
        or effect.unknown
        or errno not in ANSWERS
    ):
        raise Unpredictable("the connection is being made, and no model covers what answers")
    # tcp_v6_err leaves the first error of a SYN to the next one, which finds it (sk_err_soft).
    number = 2 if scenario.topology.family == "ipv6" and effect.reported else 1
    by = "an ICMP error" if effect.reported else "RST"
    return msgspec.structs.replace(
        handshake.refused(silence, errno, number, machine, by), asking="syn"
    )


def _horizon_ns(
    scenario: Scenario,
    settings: Settings,
    machine: MachineFacts,
    effects: tuple[Effect, ...],
) -> int:
    """How far to look: what the scenario asks for, or a whole detection after the last thing that
    changes.
    """
    if scenario.expect.bound_s is not None:
        return round(scenario.expect.bound_s * 1e9)
    changes: list[Effect | AnyFault] = [*effects, *scenario.faults]
    last_change_s = max(
        (t for each in changes for t in _times_s(each) if t is not None), default=0.0
    )
    writes = [at_s for side in SIDES for at_s in scenario.endpoint(side).writes_at_s]
    writes += [
        end.shuts_at_s for end in (scenario.client, scenario.server) if end.shuts_at_s is not None
    ]
    most_ns, side = _longest_detection_ns(settings, machine), scenario.expect.side
    if writes or scenario.state == "connecting":
        most_ns += max(
            longest_ns(settings, machine.hz), zerowindow.LONGEST_NS if fills(scenario, side) else 0
        )
    most_ns += heartbeats.longest_ns(scenario) + _showing_life_ns(scenario)
    return round(max(last_change_s, *writes, 0.0) * 1e9) + most_ns


def _showing_life_ns(scenario: Scenario) -> int:
    """How long after the last change a command may take to show life: then it must once more, by
    what it does now.
    """
    command = scenario.endpoint(scenario.expect.side).command
    return 0 if command is None or command.alive is None else round(2e9 * command.alive.within_s)


def _times_s(each: Effect | AnyFault) -> tuple[float | None, float | None]:
    return (each.from_s if isinstance(each, Effect) else each.at_s), each.until_s


def _longest_detection_ns(settings: Settings, machine: MachineFacts) -> int:
    if not settings.keepalive:
        return 3_000_000_000
    tick = tick_ns(machine.hz)
    idle, interval = settings.idle_s * machine.hz, settings.interval_s * machine.hz
    rounding = established.phases(settings, machine.hz)
    jiffies = idle + rounding + (settings.count + 1) * (interval + rounding)
    return jiffies * tick + settings.user_timeout_ms * 1_000_000 + tolerances(machine).injection_ns


def _check_own_claim(scenario: Scenario, table: str, unpredictable: str) -> None:
    """Raise ScenarioError where the oracle predicts nothing, and the claim leaves it something to
    say.
    """
    expect = scenario.expect
    doubts = "".join(f"; {doubt}" for doubt in suspicions(scenario))
    if expect.outcome == "as-predicted" and expect.recovers_s is None:
        expected = f"an outcome by name, since the oracle has none ({unpredictable}){doubts}"
        source, found = f"scenario {scenario.name}", expect.outcome
        key = f"{table}.outcome"
        raise NotPredictedError(source, key, found, expected, unpredictable)
    if expect.outcome == "detected" and (expect.errno is None or expect.window_s is None):
        key = "errno" if expect.errno is None else "window_s"
        expected = f"a claim of your own, since the oracle has none ({unpredictable}){doubts}"
        raise ScenarioError(f"scenario {scenario.name}", f"{table}.{key}", MISSING, expected)
    later = expect.reconnects_s if expect.origin == "healed" else None
    connects = later is not None or expect.recovers_s is not None
    if expect.outcome == "noticed" and expect.window_s is None and not connects:
        expected = f"a claim of your own, since the oracle has none ({unpredictable}){doubts}"
        key = f"{table}.window_s"
        raise ScenarioError(f"scenario {scenario.name}", key, MISSING, expected)


def _expected(
    scenario: Scenario, table: str, prediction: Prediction | None, unpredictable: str | None
) -> tuple[tuple[Outcome, ...], tuple[str, ...]]:
    """The predicted outcomes that satisfy the scenario's claim, and what a reader should know about
    them.

    `table`: where the claim stands, for messages.
    """
    expect = scenario.expect
    if prediction is None:
        _check_own_claim(scenario, table, unpredictable or "")
        return (), (f"not predicted: {unpredictable}",)
    wanted = tuple(
        outcome
        for outcome in prediction.outcomes
        if expect.outcome in ("as-predicted", "any") or outcome.kind == KIND_OF[expect.outcome]
        if expect.errno is None or outcome.errno == expect.errno
    )
    if (
        expect.window_s is not None
        and wanted
        and all(outcome.kind == "quiet" for outcome in wanted)
    ):
        expected = "no window: the oracle predicts that nothing is detected"
        raise ScenarioError(
            f"scenario {scenario.name}", f"{table}.window_s", list(expect.window_s), expected
        )
    notes = []
    if not wanted:
        notes.append(
            "the claim contradicts the oracle, which predicts "
            f"{spell_outcomes(prediction.outcomes)}"
        )
    elif len(wanted) < len(prediction.outcomes):
        notes.append(
            f"the phase of the timer wheel decides between {spell_outcomes(prediction.outcomes)}"
        )
    return wanted, tuple(notes)


def _watch_ns(scenario: Scenario, expected: tuple[Outcome, ...], horizon_ns: int) -> int:
    expect = scenario.expect
    if expect.outcome == "any" and expect.bound_s is not None:
        return round(expect.bound_s * 1e9)
    if not expected and expect.window_s is not None:
        latest = 0
    elif not expected or any(outcome.window_ns is None for outcome in expected):
        latest = horizon_ns
    else:
        latest = max(outcome.window_ns[1] for outcome in expected if outcome.window_ns)
        latest += ALLOWANCE_MS * 1_000_000 + GRACE_NS
    if expect.window_s is not None:
        onsets = [fault.at_s for fault in scenario.faults if not fault.standing]
        # Data may come until the last of the faults, and windows from the last segment received
        # count from there.
        first_or_last = {"fault": min, "last-received": max}.get(expect.origin)
        shift = 0.0 if first_or_last is None else first_or_last(onsets, default=0.0)
        if expect.origin == "healed":
            shift = last_restored_s(scenario)
        latest = max(latest, round((expect.window_s[1] + shift) * 1e9) + GRACE_NS)
    elif expect.origin == "healed" and expect.reconnects_s is not None:
        until_s = last_restored_s(scenario) + expect.reconnects_s[1]
        latest = max(latest, round(until_s * 1e9) + GRACE_NS)
    if expect.outcome == "noticed" and expect.bound_s is not None:
        latest = max(latest, round(expect.bound_s * 1e9))
    return max(latest, recovers_until_ns(scenario))
