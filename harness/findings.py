"""What comes of judging, in words: why a run cannot be judged, and what differs from what was claimed or foreseen."""

from __future__ import annotations

from harness.faults import AnyFault
from harness.plan import Plan, spell_outcomes
from harness.scenario import Expect
from harness.story import Story

BUSY = ": this machine is too busy"


class Inconclusive(Exception):
    """The run cannot be judged; the text says why."""


class Refuted(Exception):
    """The run was judged and something differs; the text says what."""


class Unkept(Refuted):
    """The peer was not noticed in the time that is claimed, or not at all: what a claim may be known for."""


def fault_name(index: int, fault: AnyFault) -> str:
    """What a reader finds a fault by."""
    return f"fault {index} ({fault.kind})"


def seen(story: Story) -> str:
    """What was noticed, and when."""
    if story.end is None:
        return "nothing noticed"
    what = story.errno if story.kind == "detected" else "end of file"
    if story.given_up is not None:
        what = f"{story.given_up.how}: {story.given_up.found}"
    return f"{what} {secs(story.since_armed(story.end.t_ns))} after arming"


def said(plan: Plan) -> str:
    """What the scenario claims."""
    expect: Expect = plan.scenario.expect
    words = {
        "detected": expect.errno or "an error",
        "noticed": "the program to give its peer up",
        "eof": "end of file",
        "survives": "the connection to survive",
        "never": "nothing to be noticed",
    }
    return words.get(expect.outcome, "what the oracle predicts")


def oracle_says(plan: Plan) -> str:
    """What was predicted, for the end of a complaint."""
    if plan.prediction is None:
        return ""
    said = []
    for outcome in plan.prediction.outcomes:
        text = spell_outcomes((outcome,))
        if outcome.window_ns is not None:
            text += f" {secs(outcome.window_ns[0])} to {secs(outcome.window_ns[1])} after arming"
        said.append(f"{text} ({outcome.why})")
    return f"; the oracle predicted {' or '.join(said)}"


def in_range(span: tuple[int, int]) -> str:
    """Least and most, or the number where they are one."""
    return str(span[0]) if span[0] == span[1] else f"{span[0]} to {span[1]}"


def secs(nanoseconds: int) -> str:
    """Nanoseconds, to the millisecond."""
    return f"{nanoseconds / 1e9:.3f} s"


def reconnected_ns(story: Story) -> int | None:
    """From being noticed to the connection that took the place of the lost one."""
    return None if story.end is None or story.reconnected is None else story.reconnected.t_ns - story.end.t_ns
