"""What to say of a side that noticed nothing: until when the run watched, and what its command printed. Pure."""

from __future__ import annotations

from harness.judge.history import Story
from harness.judge.moments import Clock
from harness.judge.reasons import WORDS_SHOWN, clipped
from harness.model.programs import UNFLUSHED
from harness.plan.plan import Plan

LINES_SHOWN = 3
"""So many of a command's last lines stand in a sentence; all of them are in the timeline."""


def until_when(plan: Plan, story: Story) -> str:
    """Until when nothing was noticed and, where nothing is predicted, how to watch for longer."""
    if story.armed is None or story.ended is None:
        return ""
    ended_ns = min(plan.watch_ns, story.since_armed(story.ended.t_ns))
    words = f" until the watch ended, {Clock(story).moment(ended_ns)}"
    if plan.prediction is None and plan.scenario.expect.outcome == "noticed":
        words += "; a later end of expect.window_s, or a larger expect.bound_s, would show when it notices"
    return words


def last_lines(plan: Plan, story: Story) -> str:
    """The last lines of the judged command, for the end of a sentence; "" where no command is judged."""
    command = plan.scenario.endpoint(plan.scenario.expect.side).command
    if command is None:
        return ""
    if story.printed:
        lines = [clipped(line, WORDS_SHOWN) for line in story.printed[-LINES_SHOWN:]]
        return f"; the command's last lines: {' | '.join(lines)}"
    hint = f" ({UNFLUSHED})" if command.is_heard else ""
    return f"; the command has printed nothing{hint}"


def doubtful_silence(plan: Plan, story: Story) -> str:
    """A remark on a pass that rests on a line that did not come, where the command printed nothing at all."""
    command = plan.scenario.endpoint(plan.scenario.expect.side).command
    is_silent = command is not None and command.detects.prints and not story.printed
    return last_lines(plan, story) if story.kind == "quiet" and is_silent else ""
