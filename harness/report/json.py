"""Verdicts as JSON: seconds for people and their scripts, nanoseconds stay in the timeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from harness.judge.verdict import Verdict, worst
from harness.oracle.prediction import NOUNS

FORMAT = 1


def as_mapping(verdict: Verdict, attempts: int = 1) -> dict[str, Any]:
    """One scenario's result.

    Times in seconds from `origin`; windows as [earliest, latest], without the allowance.

    "attempts": how often it was run, as this machine was too busy before the last time. Of an idle
    connection "probes" are counted, "retransmissions" where data was in flight.
    """
    noun = NOUNS[verdict.asking]
    return {
        "name": verdict.name,
        "summary": verdict.summary,
        "verdict": verdict.verdict,
        "cause": verdict.cause,
        "reason": verdict.reason,
        "attempts": attempts,
        "clock": verdict.clock,
        "lab": verdict.lab,
        "side": verdict.side,
        "outcome": verdict.outcome,
        "errno": verdict.errno,
        "detected_s": None if verdict.detected_ns is None else verdict.detected_ns / 1e9,
        "claimed": verdict.claimed,
        "claimed_window_s": _seconds(verdict.claimed_ns),
        "predicted": verdict.predicted or None,
        "predicted_window_s": _seconds(verdict.window_ns),
        "allowance_s": verdict.allowance_ns / 1e9,
        "origin": verdict.origin,
        f"{noun}s": verdict.probes,
        f"{noun}s_expected": verdict.probes_expected,
        "kernel": verdict.kernel,
        "hz": verdict.hz,
        "cites": verdict.cites,
    }


def _seconds(window_ns: tuple[int, int] | None) -> list[float] | None:
    return None if window_ns is None else [window_ns[0] / 1e9, window_ns[1] / 1e9]


def render(verdicts: Sequence[Verdict], attempts: Mapping[str, int] | None = None) -> bytes:
    """All results of one command: {"format", "verdict", "retried", "scenarios": [...]}.

    `attempts` by name.
    """
    numbers = attempts or {}
    document = {
        "format": FORMAT,
        "verdict": worst(verdicts),
        "retried": sum(number > 1 for number in numbers.values()),
        "scenarios": [as_mapping(verdict, numbers.get(verdict.name, 1)) for verdict in verdicts],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
