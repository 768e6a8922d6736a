"""Whether a side that detected nothing still works: data comes back, or its command shows a sign of
life. Pure.
"""

from __future__ import annotations

from harness.judge.history import History
from harness.judge.moments import Clock
from harness.judge.reasons import Inconclusive, Refuted
from harness.judge.silence import last_lines
from harness.model.programs import Alive
from harness.plan.plan import Plan


def check_liveness(plan: Plan, history: History) -> None:
    """Whether what survived is alive, as far as the plan asks for that."""
    if history.kind != "quiet":
        return
    if plan.must_echo:
        _check_echo(history)
    command = plan.scenario.endpoint(plan.scenario.expect.side).command
    if command is not None and command.alive is not None:
        _check_sign(history, command.alive, plan.allowance_ns)


def _check_echo(history: History) -> None:
    if history.alive is None:
        words = "nothing was detected, but no data was sent to show that the connection lives"
        raise Inconclusive("liveness-not-shown", words)
    if not history.alive.what.echo:
        words = (
            "nothing was detected, yet the connection is dead: data sent at the end did not come "
            "back"
        )
        raise Refuted("connection-dead", words)


def _check_sign(history: History, alive: Alive, allowance_ns: int) -> None:
    """Whether the last sign of life came late enough: in the last seconds of the watch, and after
    the last change.
    """
    assert history.armed is not None
    assert history.ended is not None
    ended_ns = history.ended.t_ns
    changes = [*history.injected.values(), *history.healed.values()]
    changed_ns = max(
        (c.t_ns + c.what.took_ns for c in changes if c.t_ns < ended_ns), default=history.armed.t_ns
    )
    changed_ns += allowance_ns  # so much later than it was printed a line may be read
    from_ns = max(history.armed.t_ns, changed_ns, ended_ns - round(alive.within_s * 1e9))
    signs = [t_ns for t_ns in history.signs_of_life if t_ns <= ended_ns]
    if signs and signs[-1] >= from_ns:
        return
    clock = Clock(history)
    begin, end = clock.times(history.since_armed(from_ns), history.since_armed(ended_ns))
    found = (
        f"the last one came {clock.moment(history.since_armed(signs[-1]))}"
        if signs
        else "none came"
    )
    expected = (
        f"expected a line that matches {alive.prints!r} from {begin} to {end} after "
        f"{clock.origin}: after the last "
        f"change, and in the last {alive.within_s:g} s"
    )
    words = f"nothing was detected, yet the command shows no life: {expected}; {found}"
    raise Refuted("connection-dead", f"{words}{last_lines(history.plan, history)}")
