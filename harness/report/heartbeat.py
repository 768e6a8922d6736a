"""`harness predict --heartbeat`: the bounds of a design, in words and as JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.plan.predict import Beating
from harness.report.plan_text import describe_heartbeat


def describe(beating: Beating) -> str:
    """For people."""
    bounds = beating.bounds
    input_s, fault_s = _seconds(bounds.since_input_ns), _seconds(bounds.since_fault_ns)
    exact = (
        f"{input_s[0]:g} s" if input_s[0] == input_s[1] else f"{input_s[0]:g} to {input_s[1]:g} s"
    )
    ends = {"both ends": beating.client} if beating.server == beating.client else None
    ends = ends or {"client": beating.client, "server": beating.server}
    lines = [
        *(f"{name:<10}  {describe_heartbeat(heartbeat)}" for name, heartbeat in ends.items()),
        "",
        f"a silent peer is given up by the {beating.side}",
        f"  {exact} after the last input: {bounds.input_why}",
        (
            f"  more than {fault_s[0]:g} s, at most {fault_s[1]:g} s after the fault: "
            f"{bounds.fault_why}"
        ),
        *(
            []
            if fault_s[0]
            else ["  and so are live peers: the path is silent for as long while all is well"]
        ),
        "",
        (
            "No kernel timer decides, so it holds for any HZ; a program adds what it is late to "
            "wake up. A peer that ends,"
        ),
        (
            "or whose host has dropped its state, is detected sooner: FIN at once, RST at "
            "the next segment."
        ),
    ]
    return "\n".join(lines)


def as_json(beating: Beating) -> bytes:
    """For programs; times in seconds."""
    bounds = beating.bounds
    document: dict[str, Any] = {
        "side": beating.side,
        "client": msgspec.to_builtins(beating.client),
        "server": msgspec.to_builtins(beating.server),
        "since_input_s": _seconds(bounds.since_input_ns),
        "since_fault_s": _seconds(bounds.since_fault_ns),
        "input_why": bounds.input_why,
        "fault_why": bounds.fault_why,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _seconds(window_ns: tuple[int, int]) -> list[float]:
    return [window_ns[0] / 1e9, window_ns[1] / 1e9]
