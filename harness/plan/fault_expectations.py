"""What a plan expects of each fault as evidence, and of the connection at the end: told before
anything runs. Pure.

A fault in a run is there to change what is detected. So the oracle is asked twice: with the fault
and without it. Where the answers differ, the fault decides, and the run must show that it acted.
Where they are the same, such as with a firewall that keepalive keeps open, it is enough that the
fault was in place.

A fault that takes the path away and gives it back changes nothing for a connection that is silent
meanwhile. That its interface was down is no evidence then: something must have been sent while the
fault was on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from harness.faults import AnyFault
from harness.model.topology import layout, other
from harness.oracle.effects import Effect, Mechanism
from harness.oracle.prediction import MAX_PROBE_WINDOWS, Machine, Outcome, Prediction
from harness.plan.fault_effects import ESTABLISHED_S, effects_on
from harness.plan.plan import KIND_OF, Demand, Ending, Expectation
from harness.scenario.schema import Scenario

Foresee = Callable[[Scenario, tuple[Effect, ...]], Prediction | None]
"""The oracle's answer to a scenario whose faults have these effects; None where it has none."""
ON_TRAFFIC: tuple[Mechanism, ...] = ("lost", "lost-locally", "answers-lost", "peer-frozen")
"""Without a segment these change nothing."""


class _Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a fault must show."""

    demand: Demand
    why: str
    decides: tuple[Ending, ...] = ()
    instead: tuple[int, ...] = ()


def of_faults(
    scenario: Scenario, machine: Machine, outcomes: tuple[Outcome, ...] | None, foresee: Foresee
) -> tuple[Expectation, ...]:
    """An expectation for each fault.

    `outcomes`: those predicted that the claim allows; None: the oracle has no model.

    `machine`: with the allowance for any injection.
    """
    where, side = layout(scenario.topology), scenario.expect.side
    evidence = _of_standing(scenario, outcomes, foresee) | _of_tried(scenario, outcomes, foresee)
    due = _due(scenario, foresee)
    found = []
    for index, fault in enumerate(scenario.faults):
        effects = fault.effects(where, side)
        unsettled_s = max((effect.unsettled_s for effect in effects), default=0.0)
        wanted = evidence.get(index) or _Evidence(
            demand="must-act", why="what is injected during a run must act"
        )
        hides = any(effect.mechanism == "lost-locally" for effect in effects)
        expectation = Expectation(
            kind=fault.kind,
            standing=fault.standing,
            at_ns=round(fault.at_s * 1e9),
            until_ns=None if fault.until_s is None else round(fault.until_s * 1e9),
            restored_ns=None if fault.restored_s is None else round(fault.restored_s * 1e9),
            late_ns=max(machine.injection_ns, round(fault.takes_s * 1e9))
            + round(unsettled_s * 1e9),
            starts_timer=fault.starts_timer,
            hides_probes=hides,
            demand=wanted.demand,
            why=wanted.why,
            decides=wanted.decides,
            instead=wanted.instead,
            needs_traffic=_needs_traffic(scenario, effects, due),
            due_ns=due.windows_ns or () if hides else (),
        )
        found.append(expectation)
    return tuple(found)


def _needs_traffic(scenario: Scenario, effects: Sequence[Effect], due: _Due) -> bool:
    """Whether a connection that is silent while these effects last is none the worse for them, and
    that can be told.

    What a proxy sends into a path that is cut reaches neither end, where segments are captured.
    """
    proxied = scenario.topology.kind == "proxied"
    telling = ("peer-frozen",) if proxied else ON_TRAFFIC
    over = [
        e for e in effects if e.until_s is not None and e.mechanism in telling and not e.not_reading
    ]
    return all(due.covers(e) for e in over if e.mechanism == "lost-locally") and bool(over)


class _Due(msgspec.Struct, frozen=True):
    """When probes would be on the wire if none were lost on their own host.

    None where that is not known.
    """

    windows_ns: tuple[tuple[int, int], ...] | None

    def covers(self, effect: Effect) -> bool:
        """Whether all probes are known that this effect hides: predictions list the first few."""
        if self.windows_ns is None or effect.until_s is None or effect.unknown:
            return False
        complete = len(self.windows_ns) < MAX_PROBE_WINDOWS
        return complete or round(effect.until_s * 1e9) <= self.windows_ns[-1][0]


def _due(scenario: Scenario, foresee: Foresee) -> _Due:
    """Lost there or further on, the first probe in an outage is sent at the same time."""
    effects = effects_on(scenario, scenario.expect.side)
    hidden = [
        effect
        for effect in effects
        if effect.mechanism == "lost-locally" and effect.until_s is not None
    ]
    if not hidden:
        return _Due(())
    if scenario.client.heartbeat is not None:
        return _Due(None)
    seen = tuple(
        Effect(mechanism="lost", from_s=effect.from_s, until_s=effect.until_s)
        if effect in hidden
        else effect
        for effect in effects
    )
    prediction = foresee(scenario, seen)
    return _Due(None if prediction is None else prediction.probe_windows_ns)


def _of_standing(
    scenario: Scenario, outcomes: tuple[Outcome, ...] | None, foresee: Foresee
) -> dict[int, _Evidence]:
    """What each fault that stands from the beginning must show, by its index."""
    standing = [index for index, fault in enumerate(scenario.faults) if fault.standing]
    found: dict[int, _Evidence] = {}
    idle: list[int] = []
    for index in standing:
        gone = None if outcomes is None else _gone_without(scenario, outcomes, [index], foresee)
        if gone is None:
            found[index] = _untold(scenario, outcomes, index)
        elif gone:
            found[index] = _decisive(outcomes or (), gone, "without it")
        else:
            idle.append(index)
            found[index] = _Evidence(
                demand="must-stand", why="the oracle predicts the same without it"
            )
    together = (
        _gone_without(scenario, outcomes, idle, foresee) if outcomes and len(idle) > 1 else ()
    )
    if together:  # each of them makes up for the other
        for index in idle:
            rest = tuple(each for each in idle if each != index)
            alike = _decisive(
                outcomes or (), together, f"without it and {_names(scenario.faults, rest)}"
            )
            found[index] = msgspec.structs.replace(alike, instead=rest)
    return {index: _excused(scenario, outcomes, wanted) for index, wanted in found.items()}


def _of_tried(
    scenario: Scenario, outcomes: tuple[Outcome, ...] | None, foresee: Foresee
) -> dict[int, _Evidence]:
    """What each fault must show that a trial of its own shows, where it changes nothing for the
    connection.
    """
    if outcomes is None:
        return {}
    tried = [index for index, fault in enumerate(scenario.faults) if fault.shown_by_trial]
    idle = [index for index in tried if _gone_without(scenario, outcomes, [index], foresee) == ()]
    why = "the oracle predicts the same without it, and a trial shows that it stands"
    return {index: _Evidence(demand="must-stand", why=why) for index in idle}


def _gone_without(
    scenario: Scenario, outcomes: Sequence[Outcome], left_out: Sequence[int], foresee: Foresee
) -> tuple[Ending, ...] | None:
    """The outcomes that do not come, or come at another time, without some faults.

    None where that is not known.
    """
    kept = tuple(fault for index, fault in enumerate(scenario.faults) if index not in left_out)
    less = msgspec.structs.replace(scenario, faults=kept)
    others = foresee(less, effects_on(less, scenario.expect.side))
    if others is None:
        return None
    known = {_identity(outcome) for outcome in others.outcomes}
    gone = [
        Ending(outcome.kind, outcome.errno)
        for outcome in outcomes
        if _identity(outcome) not in known
    ]
    return tuple(dict.fromkeys(gone))


def _identity(outcome: Outcome) -> tuple[object, ...]:
    """What makes two outcomes the same to a judge."""
    return outcome.kind, outcome.errno, outcome.window_ns, outcome.probes_seen, outcome.rst


def _decisive(outcomes: Sequence[Outcome], gone: tuple[Ending, ...], without: str) -> _Evidence:
    why = f"{without} the oracle predicts something else"
    if {Ending(outcome.kind, outcome.errno) for outcome in outcomes} <= set(gone):
        return _Evidence(demand="must-act", why=why)
    words = " or ".join(ending.errno or ending.kind for ending in gone)
    return _Evidence(demand="may-act", why=f"{why} than {words}", decides=gone)


def _untold(scenario: Scenario, outcomes: tuple[Outcome, ...] | None, index: int) -> _Evidence:
    """Where the oracle cannot tell what would come of it without the fault: by what is claimed.

    Where something is to be detected, the fault counts as its cause; of several of one kind any may
    be that. But a claim that counts from another fault names that one as the cause.
    """
    endings = _claimed(scenario, outcomes)
    noticed = tuple(ending for ending in endings if ending.kind != "quiet")
    if not noticed:
        return _Evidence(demand="must-stand", why="nothing is to be detected")
    timed = any(not fault.standing for fault in scenario.faults)
    if outcomes is None and timed and scenario.expect.origin == "fault":
        return _Evidence(demand="may-act", why="the claim counts from another fault")
    kind = scenario.faults[index].kind
    alike = tuple(n for n, fault in enumerate(scenario.faults) if fault.kind == kind and n != index)
    demand: Demand = "must-act" if len(noticed) == len(endings) else "may-act"
    why = "the oracle cannot tell what would be detected without it"
    return _Evidence(
        demand=demand, why=why, decides=noticed if demand == "may-act" else (), instead=alike
    )


def _excused(
    scenario: Scenario, outcomes: tuple[Outcome, ...] | None, wanted: _Evidence
) -> _Evidence:
    """A claim that is known not to be kept is refuted by silence, which no standing fault need have
    caused.
    """
    if not scenario.known_failure or wanted.demand != "must-act":
        return wanted
    return msgspec.structs.replace(wanted, demand="may-act", decides=_claimed(scenario, outcomes))


def _claimed(scenario: Scenario, outcomes: tuple[Outcome, ...] | None) -> tuple[Ending, ...]:
    """The outcomes that the claim allows."""
    if outcomes is not None:
        return tuple(dict.fromkeys(Ending(outcome.kind, outcome.errno) for outcome in outcomes))
    expect = scenario.expect
    if expect.outcome in ("any", "as-predicted"):
        return ()
    return (Ending(KIND_OF[expect.outcome], expect.errno),)


def _names(faults: Sequence[AnyFault], indices: Sequence[int]) -> str:
    return " and ".join(f"fault {index} ({faults[index].kind})" for index in indices)


def must_echo(scenario: Scenario) -> bool:
    """Whether data must still pass when nothing was detected: claimed by name, or nothing can stand
    in its way.

    No data of ours passes where a side is a command: see `Command.alive`.
    """
    if not scenario.can_echo:
        return False
    if scenario.expect.outcome != "as-predicted":
        return scenario.expect.outcome == "survives"
    side = scenario.expect.side
    effects = (*effects_on(scenario, side), *effects_on(scenario, other(side)))
    # Where nothing is detected, a middlebox knows the flow if keepalive's probes have asked it.
    asked = scenario.endpoint(side).keepalive_settings is not None
    harmless = {"syn-lost", "challenged", *(["expires"] if asked else [])}
    return all(
        effect.until_s is not None
        or effect.mechanism in harmless
        or effect.timeout_s == ESTABLISHED_S
        for effect in effects
    )
