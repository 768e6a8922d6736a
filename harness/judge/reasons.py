"""What comes of judging, in words: why a run cannot be judged, and what differs from what was
claimed or foreseen.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from harness.judge.history import History
from harness.judge.moments import ORIGINS, Clock, plain
from harness.plan.plan import Plan, spell_outcomes
from harness.scenario.schema import Expect

Doubt: TypeAlias = Literal[
    "timeline-invalid",
    "run-broken",
    "never-armed",
    "run-cut-short",
    "capture-incomplete",
    "machine-too-busy",
    "fault-never-injected",
    "fault-left-no-evidence",
    "fault-met-nothing",
    "fault-mistimed",
    "action-failed",
    "liveness-not-shown",
    "origin-missing",
]
"""Why a run cannot be judged.

`fault-left-no-evidence`: not even that it was in place. `fault-met-nothing`: it was in place, but
nothing that it acts on came. `fault-mistimed`: too early, or never healed. `action-failed`: a write
or a shutdown of the scenario. `liveness-not-shown`: nothing was detected, and no data was sent to
tell a live connection from a dead one. `origin-missing`: what the claim counts from never came.
`machine-too-busy`: a retry in quiet may succeed.
"""
Difference: TypeAlias = Literal[
    "false-alarm",
    "never-noticed",
    "noticed-too-early",
    "noticed-too-late",
    "noticed-unexpectedly",
    "claim-refuted",
    "connection-dead",
    "reconnection-refuted",
    "never-recovered",
    "reconnected-without-data",
    "recovered-after-another-fault",
    "recovered-too-early",
    "recovered-too-late",
    "oracle-refuted",
    "known-failure-gone",
]
"""What differs from the claim or the prediction.

`noticed-too-early`, `noticed-too-late`: outside the claimed window. `noticed-unexpectedly`: a
program gave its peer up though the claim is "never". `claim-refuted`: another outcome, errno or
report. `connection-dead`: nothing was detected, but data does not pass. `never-recovered`: no data
passes after the faults were removed, and no other connection was made; `reconnected-without-data`:
one was made, but no data passes on it; `recovered-after-another-fault`: data passes only after
another fault was injected; `recovered-too-early`, `recovered-too-late`: outside the claimed window.
`oracle-refuted`: the claim
holds, the prediction does not. `known-failure-gone`: the claim holds although it is marked with
`known_failure`.
"""
Cause: TypeAlias = Literal["confirmed", "known-failure"] | Doubt | Difference
"""What a verdict rests on. Code branches on this and never on the sentence."""
RECOVERY_MISMATCHES: frozenset[Cause] = frozenset(
    {
        "never-recovered",
        "reconnected-without-data",
        "recovered-after-another-fault",
        "recovered-too-early",
        "recovered-too-late",
    }
)
TIMING_MISMATCHES: frozenset[Cause] = RECOVERY_MISMATCHES | {
    "never-noticed",
    "noticed-too-early",
    "noticed-too-late",
    "noticed-unexpectedly",
}
"""The claim's time was not kept: what `known_failure` may be said of."""


WORDS_SHOWN = 200
"""So many characters of what a program said stand in a sentence.

All of them are in the timeline.
"""
CUT = "..."


class Inconclusive(Exception):
    """The run cannot be judged; the text says why."""

    def __init__(self, cause: Doubt, text: str) -> None:
        super().__init__(text)
        self.cause: Doubt = cause


class TooBusy(Inconclusive):
    """This machine was too slow for the run to be judged; the text says what was late."""

    def __init__(self, text: str) -> None:
        super().__init__("machine-too-busy", f"{text}: this machine is too busy")


class Refuted(Exception):
    """The run was judged and something differs; the text says what."""

    def __init__(self, cause: Difference, text: str) -> None:
        super().__init__(text)
        self.cause: Difference = cause


class PredictionRefuted(Refuted):
    """The oracle predicted something else; the text says what differs."""

    def __init__(self, text: str) -> None:
        super().__init__("oracle-refuted", text)


def fault_name(plan: Plan, index: int) -> str:
    """What a reader finds a fault by."""
    return f"fault {index} ({plan.faults[index].kind})"


def seen(history: History) -> str:
    """What was detected, and when."""
    if history.end is None:
        return "nothing detected"
    what = history.errno if history.kind == "detected" else "end of file"
    if history.given_up is not None:
        what = f"{history.given_up.how}: {clipped(history.given_up.found, WORDS_SHOWN)}"
    return f"{what} {Clock(history).moment(history.since_armed(history.end.t_ns))}"


def said(plan: Plan) -> str:
    """The outcome that the scenario claims."""
    expect: Expect = plan.scenario.expect
    words = {
        "detected": expect.errno or "an error",
        "noticed": "the program to give its peer up",
        "eof": "end of file",
        "survives": "the connection to survive",
        "never": "nothing to be detected",
        "any": "nothing in particular",
    }
    return words.get(expect.outcome, "what the oracle predicts")


def claim(plan: Plan) -> str:
    """All that the scenario claims: outcome, report, window with its origin, reconnection.

    Of both ends, where both are judged.
    """
    if plan.ends:
        claims = {end.side: claim(end) for end in plan.ends}
        if len(set(claims.values())) == 1 and plan.scenario.expect.outcome == "any":
            return claims[plan.side]
        return "; ".join(f"{side}: {words}" for side, words in claims.items())
    expect = plan.scenario.expect
    parts = [said(plan)]
    if expect.reports is not None:
        parts.append(f"with the report {expect.reports!r}")
    if expect.window_s is not None:
        parts.append(f"{_span(expect.window_s)} after {ORIGINS[expect.origin]}")
    elif expect.bound_s is not None:
        parts.append(f"for {plain(expect.bound_s)} s after arming")
    if expect.reconnects_s is not None:
        later = f"after {ORIGINS['healed']}" if expect.origin == "healed" else "later"
        parts.append(f"and another connection {_span(expect.reconnects_s)} {later}")
    if expect.recovers_s is not None:
        again = f"data to pass again {_span(expect.recovers_s)} after {ORIGINS['healed']}"
        if plan.claims_recovery_alone:
            return again
        parts.append(f"and {again}")
    return " ".join(parts)


def _span(window_s: tuple[float, float]) -> str:
    return f"{plain(window_s[0])} to {plain(window_s[1])} s"


def oracle_says(plan: Plan, history: History) -> str:
    """What was predicted, for the end of a complaint."""
    if plan.prediction is None:
        return ""
    said, clock = [], Clock(history)
    for outcome in plan.prediction.outcomes:
        text = spell_outcomes((outcome,))
        if outcome.window_ns is not None:
            low, high = clock.times(*outcome.window_ns)
            text += f" {low} to {high} after {clock.origin}"
        said.append(f"{text} ({outcome.why})")
    return f"; the oracle predicted {' or '.join(said)}"


def clipped(words: str, most: int) -> str:
    """A program's words, cut where they are longer than that."""
    return words if len(words) <= most else f"{words[: most - len(CUT)]}{CUT}"


def in_range(span: tuple[int, int]) -> str:
    """Least and most, or the number where they are one."""
    return str(span[0]) if span[0] == span[1] else f"{span[0]} to {span[1]}"


def reconnected_ns(history: History) -> int | None:
    """From being detected to the connection that took the place of the lost one."""
    return (
        None
        if history.end is None or history.reconnected is None
        else history.reconnected.t_ns - history.end.t_ns
    )


def restored_ns(history: History) -> int | None:
    """From the healing to the first connection after it, where the scenario counts from that."""
    return (
        None
        if history.origin is None or history.restored is None
        else history.restored.t_ns - history.origin[0]
    )
