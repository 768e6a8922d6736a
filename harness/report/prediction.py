"""Predictions in words and as JSON: `harness predict` and `harness plan`."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.judge.reasons import in_range
from harness.oracle.prediction import Prediction, Settings
from harness.oracle.timerwheel import granularity, tick_ns
from harness.plan.predict import Forecast


def describe(forecast: Forecast) -> str:
    """For people."""
    settings, outcome = forecast.settings, forecast.outcome
    assert outcome.window_ns is not None
    buckets = (
        granularity(settings.idle_s * forecast.hz),
        granularity(settings.interval_s * forecast.hz - 1),
    )
    tick_s = tick_ns(forecast.hz) / 1e9
    timeout = f"user timeout {_user_timeout(settings)}, " if settings.user_timeout_ms else ""
    lines = [
        (
            f"keepalive idle {settings.idle_s} s, interval {settings.interval_s} s, count "
            f"{settings.count}, {timeout}HZ={forecast.hz} ({forecast.hz_source})"
        ),
        "",
        (
            f"a silent peer is detected  {window(outcome.window_ns)} after arming, "
            f"{span(outcome.window_ns)}"
        ),
        f"                           ({_nominal(settings)})",
        f"errno                      {outcome.errno}, because {outcome.why}",
        f"probes                     {in_range(outcome.probes)}",
        f"at the abort               {'one RST is sent' if outcome.rst else 'no RST is sent'}",
        "",
        *table(_happening(forecast, buckets[0] * tick_s, buckets[1] * tick_s)),
        "",
        *_reasons(settings, buckets[0] * tick_s, buckets[1] * tick_s),
    ]
    return "\n".join(lines)


def _nominal(settings: Settings) -> str:
    """What one would compute by hand."""
    sum_s = settings.idle_s + settings.interval_s * settings.count
    if settings.user_timeout_ms:
        return f"without the user timeout: idle + interval * count = {sum_s} s, rounded up"
    return f"idle + interval * count would be {sum_s} s"


def _reasons(settings: Settings, idle_bucket_s: float, interval_bucket_s: float) -> list[str]:
    """Why it takes longer than one would compute by hand."""
    rounding = [
        "The kernel rounds timers up to the buckets of its timer wheel (kernel/time/timer.c),",
        f"{idle_bucket_s:g} s for this idle time, {interval_bucket_s:g} s for this interval.",
    ]
    if not settings.user_timeout_ms:
        return rounding
    return [
        (
            "The user timeout replaces the count (net/ipv4/tcp_timer.c). TCP looks at it only when "
            "it would send"
        ),
        (
            "a probe: it gives up where an earlier probe is unanswered, and nothing was received "
            f"for {_user_timeout(settings)}."
        ),
        *rounding,
    ]


def _user_timeout(settings: Settings) -> str:
    return f"{settings.user_timeout_ms / 1000:g} s"


Row = tuple[tuple[int, int], str, str]
"""A line of the table of what happens when: the window, what happens, and the reason."""


def _happening(forecast: Forecast, idle_bucket_s: float, interval_bucket_s: float) -> list[Row]:
    settings, outcome = forecast.settings, forecast.outcome
    assert outcome.window_ns is not None
    rows = [
        (
            each,
            f"probe {number}",
            f"interval {settings.interval_s} s, in buckets of {interval_bucket_s:g} s",
        )
        for number, each in enumerate(forecast.prediction.probe_windows_ns, start=1)
    ]
    rows[0] = rows[0][0], "probe 1", f"idle {settings.idle_s} s, in buckets of {idle_bucket_s:g} s"
    return [
        *rows,
        *rest(forecast.prediction, "probes"),
        (outcome.window_ns, outcome.errno or "", outcome.why),
    ]


def rest(prediction: Prediction, noun: str, before: int = 0) -> list[Row]:
    """One row for all that is sent beyond the windows that a prediction lists.

    The first `before` have other names.
    """
    outcome, windows = prediction.outcomes[0], prediction.probe_windows_ns
    listed, most = len(windows), outcome.probes[1]
    if most <= listed or not prediction.probe_gaps_ns or outcome.window_ns is None:
        return []
    least_ns, most_ns = prediction.probe_gaps_ns[-1]
    latest_ns = min(windows[-1][1] + (most - listed) * most_ns, outcome.window_ns[1])
    apart = f"{least_ns / 1e9:.3f} s" if least_ns == most_ns else window((least_ns, most_ns))
    what = f"{noun} {listed + 1 - before} to {most - before}"
    return [((windows[-1][0] + least_ns, latest_ns), what, f"{apart} apart")]


def table(rows: list[Row]) -> list[str]:
    """What happens when, a line each."""
    texts = [(window(each), what, why) for each, what, why in rows]
    widths = [max(len(text[column]) for text in texts) for column in (0, 1)]
    return [
        f"  {when:>{widths[0]}}  {what:<{widths[1]}}  {why}".rstrip() for when, what, why in texts
    ]


def as_json(forecast: Forecast) -> bytes:
    """For programs; times in seconds after arming."""
    outcome = forecast.outcome
    assert outcome.window_ns is not None
    settings = forecast.settings
    document: dict[str, Any] = {
        "idle_s": settings.idle_s,
        "interval_s": settings.interval_s,
        "count": settings.count,
        "user_timeout_s": settings.user_timeout_ms / 1000,
        "hz": forecast.hz,
        "hz_source": forecast.hz_source,
        "kernel": forecast.kernel,
        "origin": "armed",
        "window_s": _seconds(outcome.window_ns),
        "nominal_s": settings.idle_s + settings.interval_s * settings.count,
        "errno": outcome.errno,
        "probes": list(outcome.probes),
        "probe_windows_s": [_seconds(window) for window in forecast.prediction.probe_windows_ns],
        "rst": outcome.rst,
        "why": outcome.why,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def span(window: tuple[int, int]) -> str:
    """A window's ends as hours, minutes and seconds."""
    return f"{_clock(window[0])} to {_clock(window[1])}"


def _clock(nanoseconds: int) -> str:
    minutes, seconds = divmod(nanoseconds / 1e9, 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = (
        ([f"{hours} h"] if hours else [])
        + ([f"{minutes} min"] if hours or minutes else [])
        + [f"{seconds:.2f} s"]
    )
    return " ".join(parts)


def _seconds(window: tuple[int, int]) -> list[float]:
    return [window[0] / 1e9, window[1] / 1e9]


def window(ends_ns: tuple[int, int]) -> str:
    """A window's ends in seconds."""
    return f"{ends_ns[0] / 1e9:.3f} to {ends_ns[1] / 1e9:.3f} s"
