"""When each heartbeat design sends, when it gives its peer up, and the bounds that it documents:
arithmetic. Pure.
"""

from __future__ import annotations

import msgspec

from harness.model.programs import (
    AnyHeartbeat,
    Heartbeat,
    IdleState,
    IdleTimer,
    Reaper,
    Separate,
    Simple,
    Urgent,
)
from harness.model.topology import Side
from harness.oracle.heartbeat_model import Rules


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """When a peer that falls silent is detected, in nanoseconds, with the reasons.

    `since_input_ns`: [least, most] after the last input. `since_fault_ns`: (best, worst] after a
    fault that comes at any moment, while nothing but heartbeats is sent.
    """

    since_input_ns: tuple[int, int]
    since_fault_ns: tuple[int, int]
    input_why: str
    fault_why: str


def rules_of(design: Heartbeat, side: Side) -> Rules:
    """When a design sends heartbeats and gives up, on one side."""
    if isinstance(design, Simple | Separate):
        return _of_simple(design, side)
    if isinstance(design, Urgent):
        return _of_urgent(design, side)
    if isinstance(design, IdleTimer):
        return Rules(
            first_ns=nanoseconds(design.idle_s),
            next_ns=nanoseconds(design.retry_s),
            misses=design.tries,
            beats=True,
            writing_restarts=True,
            why=f"{design.tries} tries go unanswered",
        )
    if isinstance(design, IdleState):
        return _of_idle_state(design)
    assert isinstance(design, Reaper)
    return Rules(
        first_ns=nanoseconds(design.silence_s),
        next_ns=0,
        misses=0,
        slack_ns=nanoseconds(design.poll_s),
        why=f"nothing comes for {design.silence_s:g} s",
    )


def _of_simple(design: Simple | Separate, side: Side) -> Rules:
    is_client, wait_ns = side == "client", nanoseconds(design.wait_s)
    return Rules(
        first_ns=nanoseconds(design.idle_s) + (0 if is_client else wait_ns),
        next_ns=wait_ns,
        misses=design.misses,
        beats=is_client,
        why=f"{design.misses} heartbeats go unanswered"
        if is_client
        else f"{design.misses} misses, then one more",
    )


def _of_urgent(design: Urgent, side: Side) -> Rules:
    is_client, interval_ns = side == "client", nanoseconds(design.interval_s)
    unanswered, silent = (
        f"{design.misses} urgent octets go unanswered",
        f"{design.misses} intervals without one",
    )
    return Rules(
        first_ns=interval_ns,
        next_ns=interval_ns,
        misses=design.misses,
        beats=is_client,
        restarts=False,
        why=unanswered if is_client else silent,
    )


def _of_idle_state(design: IdleState) -> Rules:
    silent_ns = nanoseconds(design.read_idle_s)
    times = "" if design.misses == 1 else f", {design.misses} times in a row"
    return Rules(
        first_ns=silent_ns,
        next_ns=silent_ns,
        misses=design.misses - 1,
        ping_ns=nanoseconds(design.write_idle_s),
        why=f"nothing is read for {design.read_idle_s:g} s{times}",
    )


def documented(client: AnyHeartbeat, server: AnyHeartbeat, side: Side) -> Bounds:
    """The bounds of one side of a pair."""
    rules = rules_of(client if side == "client" else server, side)
    every_ns, said = _between_inputs(client)
    if not rules.restarts:
        return _bounds_of_urgent(rules, side)
    least_ns = rules.first_ns + rules.misses * rules.next_ns
    most_ns = least_ns + rules.slack_ns
    steps = [f"{_seconds(rules.first_ns)} s without input"]
    steps += [f"{rules.misses} x {_seconds(rules.next_ns)} s"] if rules.misses else []
    steps += [f"up to {_seconds(rules.slack_ns)} s until it looks"] if rules.slack_ns else []
    return Bounds(
        since_input_ns=(least_ns, most_ns),
        since_fault_ns=(max(0, least_ns - every_ns), most_ns),
        input_why=", then ".join(steps),
        fault_why=f"the last input came up to {_seconds(every_ns)} s before it: {said}",
    )


def _bounds_of_urgent(rules: Rules, side: Side) -> Bounds:
    interval_ns, misses, interval = rules.next_ns, rules.misses, _seconds(rules.next_ns)
    most_ns = (misses + 1) * interval_ns
    if side == "client":
        return Bounds(
            since_input_ns=(most_ns, most_ns),
            since_fault_ns=(misses * interval_ns, most_ns),
            input_why=(
                f"{misses} + 1 intervals of {interval} s, the first from the octet that was "
                "answered"
            ),
            fault_why=(
                f"the last answer came up to {interval} s before it: an octet every {interval} s"
            ),
        )
    return Bounds(
        since_input_ns=(misses * interval_ns, most_ns),
        since_fault_ns=((misses - 1) * interval_ns, most_ns),
        input_why=(
            f"{misses} + 1 expiries of a timer of its own, the first up to {interval} s after "
            "the octet"
        ),
        fault_why=(
            f"the last octet came up to {interval} s before it, if the client's interval is the "
            "same"
        ),
    )


def _between_inputs(client: AnyHeartbeat) -> tuple[int, str]:
    """How long the path is silent at most while all is well, and why."""
    if isinstance(client, IdleState):
        return nanoseconds(
            client.write_idle_s
        ), f"a ping when nothing was written for {client.write_idle_s:g} s"
    if isinstance(client, Urgent):
        return nanoseconds(client.interval_s), f"an octet every {client.interval_s:g} s"
    assert isinstance(client, Simple | Separate | IdleTimer)
    return nanoseconds(client.idle_s), f"a heartbeat after {client.idle_s:g} s"


def longest_ns(client: AnyHeartbeat, server: AnyHeartbeat, side: Side) -> int:
    """How long a side may take to give up, with its machine's lateness left out, and to look for
    another server.
    """
    return documented(client, server, side).since_input_ns[1] + _between_inputs(client)[0]


def nanoseconds(seconds: float) -> int:
    """Seconds in nanoseconds."""
    return round(seconds * 1_000_000_000)


def _seconds(duration_ns: int) -> str:
    return f"{duration_ns / 1e9:g}"
