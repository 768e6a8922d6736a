"""Properties of a verdict for JUnit reports: the same names and values from `harness run` and from
pytest.
"""

from __future__ import annotations

from harness.judge.moments import ORIGINS
from harness.judge.verdict import Verdict

REMOVAL = ORIGINS["healed"]


def of(verdict: Verdict, attempts: int = 1) -> dict[str, str]:
    """By name: `clock`, `hz`, `kernel`, `lab`, `cause`, `summary`, `claim`, and others where there
    are such.

    `claimed_window` and `window`, the predicted one, are without the allowance for this machine,
    which is `allowance`. `measured`: the moment of detection, `recovered`: when data passed again.
    `attempts`: how often it was run, if more than once. Where both ends are judged, what is about
    one end has its name in front, such as `client_measured`.
    """
    found = {
        "clock": verdict.clock,
        "hz": str(verdict.hz),
        "kernel": verdict.kernel,
        "lab": verdict.lab,
        "cause": verdict.cause,
        "summary": verdict.summary,
        **({} if verdict.ends else _of_end(verdict)),
        **{
            f"{end.side}_{name}": value
            for end in verdict.ends
            for name, value in (("cause", end.cause), *_of_end(end).items())
        },
        "allowance": f"{verdict.allowance_ns / 1e9:g} s" if verdict.allowance_ns else "",
        "attempts": str(attempts) if attempts > 1 else "",
    }
    return {name: value for name, value in found.items() if value}


def _of_end(verdict: Verdict) -> dict[str, str]:
    """What is about the judged end."""
    measured_ns, recovered_ns = verdict.detected_ns, verdict.recovered_ns
    return {
        "claim": verdict.claimed,
        "claimed_window": _window(verdict, verdict.claimed_ns),
        "prediction": verdict.predicted,
        "window": _window(verdict, verdict.window_ns),
        "measured": "" if measured_ns is None else _after(verdict, f"{measured_ns / 1e9:.6f}"),
        "recovered": "" if recovered_ns is None else f"{recovered_ns / 1e9:.6f} s after {REMOVAL}",
    }


def _window(verdict: Verdict, window_ns: tuple[int, int] | None) -> str:
    if window_ns is None:
        return ""
    return _after(verdict, f"{window_ns[0] / 1e9:.3f} to {window_ns[1] / 1e9:.3f}")


def _after(verdict: Verdict, seconds: str) -> str:
    """With unit and origin."""
    return f"{seconds} s after {ORIGINS[verdict.origin]}"
