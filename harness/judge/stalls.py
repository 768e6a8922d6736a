"""Whether a time in which the harness did not run could have changed the verdict. Pure.

A stall is a time in which this process did not run: it was stopped, waited for a CPU, or the whole
machine stood still. What is in doubt then depends on who decides:

- No claim is refuted in a run with a stall longer than the allowance: any moment may have been seen
  late, or have come late or not at all.
- Where programs decide by timers of their own (commands, heartbeats), a stall longer than the
  allowance proves nothing either: a peer that stood still may be what was detected, and a program
  that stood still detects a dead peer late.
- Where the kernel decides, the run is judged. What was detected during a stall, or right after it,
  may have come at any moment of it from the kernel's decision on, if a segment shows that. The
  verdict must be the same for all of them.
- A program under test may be late by all its waiting for a CPU. The verdict must be the same for
  what it detected and for something earlier by so much. Nothing is refuted that its waiting and all
  shorter stalls may account for. A proxy passes on what another end detects: it may be late too.
- A kernel that stood still has timers that go off as soon as it goes on. So nothing is proven where
  something was sent right after a stall longer than the allowance, or where what is sent cannot be
  seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from harness.judge.history import History
from harness.judge.moments import Clock, secs
from harness.judge.reasons import Inconclusive
from harness.plan.plan import Plan
from harness.timeline import Event

LEAST_WAIT_NS = 20_000_000
"""What programs wait less is within the allowance."""


class RecordedStall(NamedTuple):
    """When the harness did not run, in nanoseconds of the timeline."""

    from_ns: int
    until_ns: int

    @property
    def took_ns(self) -> int:
        """How long it was."""
        return self.until_ns - self.from_ns


class Doubtful(Inconclusive):
    """A stall may have decided; the text says when it was and what is in doubt.

    A retry in quiet may succeed.
    """

    def __init__(self, history: History, stall: RecordedStall | None, doubt: str) -> None:
        """`stall`: None where it is what adds up over the run that decides."""
        stood_ns = sum(each.took_ns for each in stalls(history.plan, history))
        words = (
            f"programs under test waited {secs(history.waited_ns)} for a CPU, the harness did "
            "not run for "
        )
        words += f"{secs(stood_ns)} in all (this machine is too busy)"
        if stall is not None:
            moment = Clock(history).times(
                history.since_armed(stall.from_ns), history.since_armed(stall.until_ns)
            )
            when = f"from {moment[0]} to {moment[1]} after {Clock(history).origin}"
            words = f"the harness did not run {when} (it was stopped, or this machine is too busy)"
        super().__init__("machine-too-busy", f"{words}: {doubt}")


def stalls(plan: Plan, history: History) -> list[RecordedStall]:
    """All from arming to the end of the run, in their order.

    Those that overlap are accounts of one.

    A command is armed when something of it was seen, so that a stall right before that counts too.
    """
    if history.armed is None:
        return []
    armed_ns = min(history.armed_ns)
    begins_ns = armed_ns - (plan.allowance_ns if plan.scenario.has_command else 0)
    merged: list[RecordedStall] = []
    for from_ns, until_ns in sorted(history.stalls):
        if until_ns <= begins_ns or (history.ended is not None and from_ns >= history.ended.t_ns):
            continue
        if merged and from_ns < merged[-1].until_ns:
            merged[-1] = RecordedStall(merged[-1].from_ns, max(merged[-1].until_ns, until_ns))
        else:
            merged.append(RecordedStall(from_ns, until_ns))
    return merged


def blamed(plan: Plan, history: History, found: str) -> Doubtful | None:
    """The doubt that a stall longer than the allowance throws on anything but a pass.

    None where there was none.
    """
    longest = max(stalls(plan, history), key=lambda stall: stall.took_ns, default=None)
    if longest is None or longest.took_ns <= plan.allowance_ns:
        return None
    return Doubtful(history, longest, f"this may be why {found}")


def waiting_ns(plan: Plan, history: History) -> int:
    """By how much programs that decide may be late because they waited for a CPU."""
    return _waited_ns(history) if _programs_decide(plan) else 0


def lateness_ns(plan: Plan, history: History) -> int:
    """By how much what was detected may be late altogether, where programs decide or pass it on."""
    proxied = plan.scenario.topology.proxied_by is not None
    return delay_ns(plan, history) if proxied or _programs_decide(plan) else 0


def _waited_ns(history: History) -> int:
    return history.waited_ns if history.waited_ns >= LEAST_WAIT_NS else 0


def delay_ns(plan: Plan, history: History, *, to_the_end: bool = False) -> int:
    """By how much anything may be late altogether: the programs' waiting, and every stall until the
    decision, or to the end of the run.
    """
    return _waited_ns(history) + sum(
        stall.took_ns
        for stall in stalls(plan, history)
        if to_the_end or history.before_end(stall.from_ns)
    )


def check_programs(plan: Plan, history: History) -> None:
    """Whether programs that decide by timers of their own, and their peers, ran until they
    decided.
    """
    if not _programs_decide(plan):
        return
    ends_ns = _decided_ns(history)
    for stall in stalls(plan, history):
        if stall.took_ns > plan.allowance_ns and (ends_ns is None or stall.from_ns < ends_ns):
            raise Doubtful(
                history,
                stall,
                "a program may have detected the fault late, or that its peer stood still",
            )


def check_kernel(plan: Plan, history: History) -> None:
    """Whether the kernel's timers ran in time, as far as a stall is any reason to doubt it."""
    hidden = any(fault.hides_probes for fault in plan.faults)
    for stall in stalls(plan, history):
        if stall.took_ns <= plan.allowance_ns or not history.before_end(stall.from_ns):
            continue
        after_ns = stall.until_ns + plan.allowance_ns
        sent = (t_ns for t_ns in history.sent_ns if history.before_end(t_ns))
        if hidden or any(stall.until_ns <= t_ns <= after_ns for t_ns in sent):
            raise Doubtful(history, stall, "the kernel's timers may have stood still too")


def _programs_decide(plan: Plan) -> bool:
    ends = (plan.scenario.client, plan.scenario.server)
    return plan.scenario.has_command or any(end.heartbeat is not None for end in ends)


def earlier(
    plan: Plan, history: History, events: Sequence[Event], late_ns: int
) -> tuple[RecordedStall | None, list[Event]] | None:
    """The timeline with the shortest time that may be the true one, from its origin to what was
    detected.

    `late_ns`: how much later than in quiet programs may have seen it.

    With the stall that makes the difference, None where it is the programs' delay; no timeline
    where nothing does.
    """
    found = stalls(plan, history)
    shifted, blame = list(events), None
    for change in (*history.injected.values(), *history.healed.values()):
        done_ns = change.t_ns + change.what.took_ns
        for stall in found:
            if stall.from_ns < done_ns and stall.until_ns > change.t_ns:
                event, blame = events[change.place], stall
                shifted[change.place] = msgspec.structs.replace(
                    event, t_ns=done_ns, data={**event.data, "took_ns": 0}
                )
    if history.end is not None:
        t_ns = history.end.t_ns
        for stall in reversed(found):
            if stall.from_ns < t_ns <= stall.until_ns + plan.allowance_ns:
                t_ns, blame = stall.from_ns, stall
        shown_ns = history.kernel_moment_ns
        t_ns = t_ns if shown_ns is None else max(t_ns, shown_ns)
        t_ns = min(t_ns, history.end.t_ns - late_ns)
        shifted[history.end.place] = msgspec.structs.replace(
            events[history.end.place], t_ns=max(t_ns, min(history.armed_ns))
        )
    return None if blame is None and not late_ns else (blame, shifted)


def _decided_ns(history: History) -> int | None:
    """When the last thing happened that is judged; None where nothing was detected."""
    facts = [
        fact for fact in (history.end, history.reconnected, history.restored) if fact is not None
    ]
    return max((fact.t_ns for fact in facts), default=None)
