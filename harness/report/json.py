"""Verdicts as JSON: seconds for people and their scripts, nanoseconds stay in the timeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET

from harness.judge.verdict import Verdict, worst
from harness.oracle.prediction import NOUNS
from harness.report.documents import FORMAT, RunReport, ScenarioResult, VerdictFile, WindowS


def result(verdict: Verdict, attempts: int = 1) -> ScenarioResult:
    """One scenario's result. `attempts`: how often it was run."""
    probing = NOUNS[verdict.asking] == "probe"
    sent, expected = verdict.probes, verdict.probes_expected
    return ScenarioResult(
        name=verdict.name,
        summary=verdict.summary,
        verdict=verdict.verdict,
        cause=verdict.cause,
        reason=verdict.reason,
        attempts=attempts,
        clock=verdict.clock,
        lab=verdict.lab,
        side=verdict.side,
        outcome=verdict.outcome,
        errno=verdict.errno,
        reports=verdict.reports,
        detected_s=None if verdict.detected_ns is None else verdict.detected_ns / 1e9,
        reconnected_s=None if verdict.reconnected_ns is None else verdict.reconnected_ns / 1e9,
        recovered_s=None if verdict.recovered_ns is None else verdict.recovered_ns / 1e9,
        known_failure=verdict.known_failure,
        claimed=verdict.claimed,
        claimed_window_s=_seconds(verdict.claimed_ns),
        predicted=verdict.predicted or None,
        predicted_window_s=_seconds(verdict.window_ns),
        allowance_s=verdict.allowance_ns / 1e9,
        origin=verdict.origin,
        probes=sent if probing else UNSET,
        probes_expected=expected if probing else UNSET,
        retransmissions=UNSET if probing else sent,
        retransmissions_expected=UNSET if probing else expected,
        kernel=verdict.kernel,
        hz=verdict.hz,
        cites=verdict.cites,
        ends=tuple(result(end, attempts) for end in verdict.ends),
    )


def verdict_file(verdict: Verdict, attempts: int) -> bytes:
    """`verdict.json` of a run directory, in one line."""
    fields = msgspec.structs.asdict(result(verdict, attempts))
    return msgspec.json.encode(VerdictFile(format=FORMAT, **fields)) + b"\n"


def indented(document: msgspec.Struct) -> bytes:
    """A document for people and their scripts."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def render(verdicts: Sequence[Verdict], attempts: Mapping[str, int] | None = None) -> bytes:
    """All results of one command. `attempts` by name."""
    numbers = attempts or {}
    return indented(
        RunReport(
            format=FORMAT,
            verdict=worst(verdicts),
            retried=sum(number > 1 for number in numbers.values()),
            scenarios=tuple(result(each, numbers.get(each.name, 1)) for each in verdicts),
        )
    )


def _seconds(window_ns: tuple[int, int] | None) -> WindowS | None:
    return None if window_ns is None else (window_ns[0] / 1e9, window_ns[1] / 1e9)
