"""What a plan notes about a claim before anything runs: that it cannot hold, or may not be what was
meant.
"""

from __future__ import annotations

import re

from harness.model import durations
from harness.model.programs import PLACEHOLDERS
from harness.model.topology import SIDES, layout
from harness.oracle.prediction import Outcome
from harness.scenario import guesses
from harness.scenario.schema import Origin, Scenario
from harness.system.spelling import did_you_mean

_FORESEEABLE: dict[Origin, str] = {
    "armed": "arming",
    "fault": "the fault",
    "healed": "the removal of the last fault",
}
"""The origins whose moment is known beforehand, for "after ..."."""


def notes_on(scenario: Scenario) -> tuple[str, ...]:
    """What a reader of a scenario should know, whatever is predicted."""
    return (
        *taken_for_granted(scenario),
        *suspicions(scenario),
        *unknown_placeholders(scenario),
    )


def taken_for_granted(scenario: Scenario) -> tuple[str, ...]:
    """What is assumed of both ends' commands, where nothing is claimed and nothing said."""
    if scenario.expect.outcome != "any":
        return ()
    commands = ((side, scenario.endpoint(side).command) for side in SIDES)
    return tuple(
        words
        for side, command in commands
        if command is not None
        for words in guesses.in_words(command, side)
    )


def never_in_time(
    scenario: Scenario, expected: tuple[Outcome, ...], allowance_ns: int
) -> tuple[str, ...]:
    """A note where the claimed window and the predicted ones have no moment in common."""
    claim, origin = scenario.expect.window_s, scenario.expect.origin
    windows = [outcome.window_ns for outcome in expected if outcome.window_ns is not None]
    if claim is None or not windows or origin not in _FORESEEABLE:
        return ()
    shift_ns = _origin_ns(scenario)
    least_ns, most_ns = (round(end_s * 1e9) + shift_ns for end_s in claim)
    if any(least_ns <= hi + allowance_ns and lo <= most_ns + allowance_ns for lo, hi in windows):
        return ()
    if (
        origin == "fault" and max(hi for _, hi in windows) < shift_ns
    ):  # what the claim counts from comes too late
        origin, shift_ns = "armed", 0
    foreseen = " or ".join(
        f"{(lo - shift_ns) / 1e9:.3f} to {(hi - shift_ns) / 1e9:.3f} s" for lo, hi in windows
    )
    return (
        f"the claim contradicts the oracle, which predicts {foreseen} after {_FORESEEABLE[origin]}",
    )


def never_injected(scenario: Scenario, outcomes: tuple[Outcome, ...]) -> tuple[str, ...]:
    """A note for each fault that is due when the run is over: after the latest moment that is
    predicted.
    """
    windows = [outcome.window_ns for outcome in outcomes if outcome.window_ns is not None]
    goes_on = scenario.expect.reconnects_s is not None or any(
        outcome.reconnects_ns for outcome in outcomes
    )
    goes_on = goes_on or scenario.expect.outcome == "any"
    if not windows or len(windows) < len(outcomes) or goes_on:
        return ()
    latest_ns = max(hi for _, hi in windows)
    late = [(index, fault) for index, fault in enumerate(scenario.faults) if not fault.standing]
    return tuple(
        f"fault {index} ({fault.kind}) at {fault.at_s:g} s comes after the predicted detection, "
        "at most "
        f"{latest_ns / 1e9:.3f} s after arming: the run is over by then, and never injects it"
        for index, fault in late
        if fault.at_s * 1e9 > latest_ns
    )


def _origin_ns(scenario: Scenario) -> int:
    """What the claimed window counts from, as planned: in nanoseconds after arming."""
    faults, origin_s = scenario.faults, 0.0
    if scenario.expect.origin == "fault":
        origin_s = min((fault.at_s for fault in faults if not fault.standing), default=0.0)
    elif scenario.expect.origin == "healed":
        origin_s = max(
            (fault.restored_s for fault in faults if fault.restored_s is not None), default=0.0
        )
    return round(origin_s * 1e9)


def suspicions(scenario: Scenario) -> tuple[str, ...]:
    """Notes on seconds that look like milliseconds."""
    found = []
    for side in SIDES:
        end = scenario.endpoint(side)
        alive = end.keepalive_settings
        suspects = [("user_timeout_s", end.user_timeout_s, durations.LONG_S)]
        if alive is not None:
            suspects.append(("keepalive.idle_s", alive.idle_s, durations.LONG_IDLE_S))
            suspects.append(("keepalive.interval_s", alive.interval_s, durations.LONG_S))
        found += [
            (f"{side}.{key}", durations.suspicion(value_s, least_s))
            for key, value_s, least_s in suspects
        ]
    return tuple(f"{key} {suspicion}" for key, suspicion in found if suspicion)


_IN_BRACES = re.compile(r"(?<![$%{])\{([A-Za-z][A-Za-z0-9_-]*)\}(?!\})")
"""A single name in braces, which is none of a shell's ${NAME} or of a format's %{NAME}."""


def unknown_placeholders(scenario: Scenario) -> tuple[str, ...]:
    """Notes on names in braces that a command gets as they stand.

    Words with blanks are scripts, and left alone.
    """
    names = (*layout(scenario.topology).addresses_from("client"), *PLACEHOLDERS)
    found: dict[str, None] = {}
    for key, _, command in scenario.commands:
        words = [
            word
            for word in (*command.argv, *command.env.values(), command.folder)
            if not re.search(r"\s", word)
        ]
        for name in (
            name for word in words for name in _IN_BRACES.findall(word) if name not in names
        ):
            known = ", ".join(f"{{{each}}}" for each in names)
            hint = did_you_mean(name, names)
            found[
                (
                    f"{key}.command: {{{name}}} is no placeholder{hint} and stays as it is; "
                    f"there are {known}"
                )
            ] = None
    return tuple(found)
