"""The timeline of a run in which both ends are judged, as the run of one end alone would have left
it. Pure.

Such a run goes on until each end has detected something or its watch is over. So what one end
detects after its own watch is not judged any more: without the other end, the run would have been
over.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from harness.plan.plan import Plan
from harness.timeline import Event

UNJUDGED = "subject.unjudged"
"""The kind of what an end detects after its own watch."""
ENDS = ("subject.detected", "subject.noticed", "subject.eof")


def of_end(plan: Plan, events: Sequence[Event]) -> Sequence[Event]:
    """The events by which an end is judged; `plan`: that end's, one of `Plan.ends`.

    Where it has detected nothing in its watch, the run ends with that.
    """
    armed = [event for event in events if event.kind == "subject.armed" and _is_of(plan, event)]
    if not armed:
        return events
    over_ns = armed[0].t_ns + plan.watch_ns
    if any(_is_end(plan, event) and event.t_ns <= over_ns for event in events):
        return events
    return [
        msgspec.structs.replace(event, t_ns=min(event.t_ns, over_ns))
        if event.kind == "run.ended"
        else _unjudged(event)
        if _is_end(plan, event)
        else event
        for event in events
    ]


def _unjudged(event: Event) -> Event:
    """The same, under a kind that nobody judges: indices of events stay what they are."""
    return msgspec.structs.replace(event, kind=UNJUDGED)


def _is_end(plan: Plan, event: Event) -> bool:
    return event.kind in ENDS and _is_of(plan, event)


def _is_of(plan: Plan, event: Event) -> bool:
    return bool(event.data.get("side") == plan.side)
