"""What to say of a side that detected nothing: until when the run watched, and what its command
printed. Pure.
"""

from __future__ import annotations

from harness.judge.history import History
from harness.judge.moments import Clock
from harness.judge.reasons import WORDS_SHOWN, clipped
from harness.model.programs import UNFLUSHED
from harness.plan.plan import Plan

LINES_SHOWN = 3
"""So many of a command's last lines stand in a sentence; all of them are in the timeline."""


def until_when(plan: Plan, history: History) -> str:
    """Until when nothing was detected and, where nothing is predicted, how to watch for longer."""
    if history.armed is None or history.ended is None:
        return ""
    ended_ns = min(plan.watch_ns, history.since_armed(history.ended.t_ns))
    words = f" until the watch ended, {Clock(history).moment(ended_ns)}"
    if plan.prediction is None and plan.scenario.expect.outcome == "noticed":
        words += (
            "; a later end of expect.window_s, or a larger expect.bound_s, would show when it "
            "is detected"
        )
    return words


def last_lines(plan: Plan, history: History) -> str:
    """The last lines of the judged command, for the end of a sentence.

    "" where no command is judged.
    """
    command = plan.scenario.endpoint(plan.scenario.expect.side).command
    if command is None:
        return ""
    if history.printed:
        lines = [clipped(line, WORDS_SHOWN) for line in history.printed[-LINES_SHOWN:]]
        return f"; the command's last lines: {' | '.join(lines)}"
    hint = f" ({UNFLUSHED})" if command.is_heard else ""
    return f"; the command has printed nothing{hint}"


def doubtful_silence(plan: Plan, history: History) -> str:
    """A remark on a pass that rests on a line that did not come, where the command printed nothing
    at all.
    """
    command = plan.scenario.endpoint(plan.scenario.expect.side).command
    is_silent = command is not None and command.detects.prints and not history.printed
    return last_lines(plan, history) if history.kind == "quiet" and is_silent else ""
