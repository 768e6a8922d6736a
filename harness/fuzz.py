"""Differential testing: the oracle against a guest's kernel, on scenarios drawn at random, in virtual time.

Cases are drawn first, from a seed, and carried out in as few guests as there are cores. A case on which oracle and
kernel disagree is made smaller by Hypothesis for as long as it still fails, and printed as a scenario file.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness import batch, plan
from harness.errors import CapabilityError, ScenarioError
from harness.judge import Verdict
from harness.lab.topology import SIDES
from harness.loader import checked
from harness.oracle.effects import Unpredictable
from harness.plan import MachineFacts, Plan
from harness.scenario import Scenario

Progress = Callable[[str], None]
Carry = Callable[[Sequence[Plan], Path], list[batch.Result]]
"""Carries plans out at a venue, with their runs' folders below a folder, and judges them."""
SMALLER_TRIES = 60
"""So many cases are tried to make one smaller."""


class Tally(msgspec.Struct, kw_only=True):
    """What came of a seed's cases.

    `refused`: drawn, and sound, but the oracle has no model of them. `unjudged`: inconclusive, most of them because a
    fault met nothing. `disagreements`: the smallest scenario found for each, with the verdict on it.
    """

    seed: int
    agreed: int = 0
    refused: int = 0
    unjudged: list[Verdict] = []
    disagreements: list[tuple[Scenario, Verdict]] = []


def draw(cases: int, seed: int, machine: MachineFacts) -> tuple[list[Plan], int]:
    """So many plans with a prediction, and how many scenarios were drawn that have none. Raises CapabilityError."""
    found: list[Plan] = []
    refused = 0
    for scenario in _scenarios(seed):
        try:
            made = _planned(scenario, f"case-{seed}-{len(found):05}", machine)
        except Unpredictable:
            refused += 1
            continue
        if made is None:
            continue
        found.append(made)
        if len(found) == cases:
            return found, refused
    raise AssertionError("scenarios are drawn without end")


def run(cases: int, seed: int, machine: MachineFacts, carry: Carry, out: Path, progress: Progress) -> Tally:
    """Draw, carry out, judge, and make what fails smaller. Raises CapabilityError."""
    progress(f"drawing {cases} cases from seed {seed}")
    plans, refused = draw(cases, seed, machine)
    tally = Tally(seed=seed, refused=refused)
    failed = []
    for result in carry(plans, out):
        if result.verdict.verdict == "pass":
            tally.agreed += 1
        elif result.verdict.verdict == "inconclusive":
            tally.unjudged.append(result.verdict)
        else:
            failed.append(result)
    for result in failed:
        progress(f"making {result.plan.name} smaller: {result.verdict.reason}")
        tally.disagreements.append(_smallest(result, machine, carry, out))
    return tally


def as_toml(scenario: Scenario) -> str:
    """The scenario as a file, without what is as it is by default."""
    import tomli_w

    table = _changed(scenario)
    table.pop("name", None)
    return tomli_w.dumps(table)


# --- drawing -----------------------------------------------------------------------------------------


def _scenarios(seed: int) -> Iterator[Scenario]:
    """Scenarios without end, the same for the same seed."""
    chance = random.Random(seed)
    while True:
        yield from _forty(chance.getrandbits(64))


def _forty(seed: int) -> list[Scenario]:
    hypothesis = _hypothesis()
    from harness.drawing import scenarios

    drawn: list[Scenario] = []
    choose = hypothesis.settings(
        max_examples=40,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )

    def gather(scenario: Scenario) -> None:
        drawn.append(scenario)

    hypothesis.seed(seed)(choose(hypothesis.given(scenarios())(gather)))()
    return drawn


def _hypothesis() -> Any:
    try:
        import hypothesis
        import tomli_w  # noqa: F401 - wanted at the end
    except ImportError as error:
        raise CapabilityError(
            "differential testing", f"{error.name} is not installed", "pip install 'keepalive-harness[fuzz]'"
        ) from error
    return hypothesis


def _planned(scenario: Scenario, name: str, machine: MachineFacts) -> Plan | None:
    """The plan, or None where the scenario makes no sense. Raises Unpredictable."""
    named = msgspec.structs.replace(scenario, name=name)
    try:
        sound = checked(named, name)
    except ScenarioError:
        return None
    try:
        return plan.make(sound, machine)
    except ScenarioError as error:
        raise Unpredictable(str(error)) from error


# --- making smaller ----------------------------------------------------------------------------------


def _smallest(result: batch.Result, machine: MachineFacts, carry: Carry, out: Path) -> tuple[Scenario, Verdict]:
    """Leave out, and round, what makes no difference to the failure, one thing after the other."""
    scenario, verdict = result.plan.scenario, result.verdict
    tries = 0
    again = True
    while again and tries < SMALLER_TRIES:
        again = False
        for smaller in _smaller(scenario):
            tries += 1
            try:
                made = _planned(smaller, f"{result.plan.name}-{tries}", machine)
            except Unpredictable:
                continue
            if made is None:
                continue
            (tried,) = carry([made], out)
            if tried.verdict.verdict == "fail":
                scenario, verdict, again = smaller, tried.verdict, True
                break
            if tries >= SMALLER_TRIES:
                break
    return scenario, verdict


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    """Simpler scenarios, the simplest changes last."""
    change = msgspec.structs.replace
    for index in range(len(scenario.faults)):
        if len(scenario.faults) > 1:
            yield change(scenario, faults=scenario.faults[:index] + scenario.faults[index + 1 :])
    for side in SIDES:
        end = scenario.endpoint(side)
        for index in range(len(end.writes_at_s)):
            fewer = end.writes_at_s[:index] + end.writes_at_s[index + 1 :]
            yield change(scenario, **{side: change(end, writes_at_s=fewer)})
        if end.user_timeout_s:
            yield change(scenario, **{side: change(end, user_timeout_s=0.0)})
        if end.keepalive:
            yield change(scenario, **{side: change(end, keepalive=False)})
        whole = tuple(sorted({float(round(at_s)) for at_s in end.writes_at_s}))
        if whole != end.writes_at_s:
            yield change(scenario, **{side: change(end, writes_at_s=whole)})
    for index, fault in enumerate(scenario.faults):
        rounded = change(fault, at_s=float(round(fault.at_s)))
        if rounded != fault:
            yield change(scenario, faults=(*scenario.faults[:index], rounded, *scenario.faults[index + 1 :]))
    if scenario.topology.family != "ipv4":
        yield change(scenario, topology=change(scenario.topology, family="ipv4"))
    if scenario.expect.phase_ns:
        yield change(scenario, expect=change(scenario.expect, phase_ns=0))


def _changed(value: msgspec.Struct) -> dict[str, Any]:
    """A struct's fields that are not as they are by default, as TOML has them."""
    config = value.__struct_config__
    table: dict[str, Any] = {config.tag_field: config.tag} if config.tag_field else {}
    for field in msgspec.structs.fields(type(value)):
        found = getattr(value, field.name)
        if found == field.default:
            continue
        if isinstance(found, msgspec.Struct):
            found = _changed(found)
        elif isinstance(found, tuple):
            found = [_changed(each) if isinstance(each, msgspec.Struct) else each for each in found]
        if found not in ({}, []):
            table[field.name] = found
    return table
