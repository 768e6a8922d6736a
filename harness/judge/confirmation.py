"""Why a run passes, in words. Pure."""

from __future__ import annotations

from harness.judge.history import History
from harness.judge.moments import ORIGINS, secs
from harness.judge.reasons import seen
from harness.judge.recovery import recovered_ns
from harness.judge.silence import doubtful_silence
from harness.plan.plan import Plan


def confirmation(plan: Plan, history: History) -> str:
    """What happened, the evidence of the faults and, where it is claimed, when data passed
    again.
    """
    proofs = [history.proofs[index].what.found for index in sorted(history.proofs)]
    evidence = f" ({'; '.join(proofs)})" if proofs else ""
    same = [o for o in plan.expected if o.kind == history.kind and o.errno == history.errno]
    why = f"{same[0].why}" if same else "as claimed"
    if plan.scenario.expect.outcome == "any":
        why = f"nothing is claimed; {seen(history)}"
    return f"{why}{evidence}{doubtful_silence(plan, history)}{_recovery(plan, history)}"


def _recovery(plan: Plan, history: History) -> str:
    found_ns = recovered_ns(plan, history)
    if plan.scenario.expect.recovers_s is None or found_ns is None:
        return ""
    return f"; data passed again {secs(found_ns)} after {ORIGINS['healed']}"
