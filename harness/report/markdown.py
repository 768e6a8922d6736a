"""The overview of a run as Markdown: for the summary of a step of GitHub Actions, or a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.judge.moments import ORIGINS
from harness.judge.reasons import clipped
from harness.judge.result import Result
from harness.report import json
from harness.report.documents import ScenarioResult, WindowS
from harness.system.escapes import markdown_cell

REASON_SHOWN = 500
"""So many characters of a reason stand in a cell; all of them are in verdict.json."""
MOST_OCTETS = 900_000
"""GitHub refuses a step's summary of more than 1 MiB. What is folded is left out first."""


def overview(results: Sequence[ScenarioResult], command: str, wall_s: float | None = None) -> str:
    """Counts, a table of the scenarios that did not pass, and a folded one of the others.

    `command`: what ran them, for the heading. Text of scenarios and programs is escaped.
    """
    bad = [each for each in results if each.verdict != "pass"]
    good = [each for each in results if each.verdict == "pass"]
    took = "" if wall_s is None else f" in {wall_s:.1f} s"
    counts = {name: sum(r.verdict == name for r in results) for name in ("fail", "inconclusive")}
    told = [f"{len(good)} pass", *(f"{number} {name}" for name, number in counts.items())]
    lines = [f"### {markdown_cell(command)}: {', '.join(told)}{took}", ""]
    if bad:
        bad.sort(key=lambda each: each.verdict != "fail")
        lines += _within(MOST_OCTETS // 2, _table(_BAD, map(_of_bad, bad)))
        lines.append("")
    lines += [*dict.fromkeys(map(_circumstances, results)), ""]
    if good:
        summary = f"{len(good)} passed" if bad else f"all {len(good)} passed"
        left = MOST_OCTETS - len("\n".join(lines).encode())
        folded = _within(left, _table(_GOOD, map(_of_good, good)))
        lines += [f"<details><summary>{summary}</summary>", "", *folded, "", "</details>", ""]
    return "\n".join(lines)


def of_run(results: Sequence[Result], command: str, wall_s: float) -> str:
    """The overview of judged runs."""
    return overview([json.result(r.verdict, r.attempts) for r in results], command, wall_s)


_BAD = ("verdict", "scenario", "claimed", "measured", "predicted", "reason")
_GOOD = ("scenario", "claimed", "measured", "predicted")


def _of_bad(result: ScenarioResult) -> tuple[str, ...]:
    reason = clipped(result.reason, REASON_SHOWN)
    return (f"{result.verdict} ({result.cause})", *_of_good(result), reason)


def _of_good(result: ScenarioResult) -> tuple[str, ...]:
    return result.name, result.claimed, _measured(result), _predicted(result)


def _table(header: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield "|---" * len(header) + "|"
    for row in rows:
        yield f"| {' | '.join(map(markdown_cell, row))} |"


def _within(octets: int, lines: Iterator[str]) -> list[str]:
    """The first lines of a table, as far as they fit, and how many do not."""
    shown: list[str] = []
    left_out = 0
    for line in lines:
        octets -= len(line.encode()) + 1
        if octets >= 0 and not left_out:
            shown.append(line)
        else:
            left_out += 1
    return [*shown, "", f"{left_out} more are left out here"] if left_out else shown


def _measured(result: ScenarioResult) -> str:
    if result.detected_s is None:
        return "nothing" if result.outcome == "quiet" else "-"
    what = {"eof": "EOF", "noticed": result.reports}.get(result.outcome or "") or result.errno
    return f"{clipped(what or 'detected', 60)} {result.detected_s:.3f} s {_origin(result)}"


def _predicted(result: ScenarioResult) -> str:
    if result.predicted is None:
        return "-"
    window = result.predicted_window_s
    return result.predicted if window is None else f"{_seconds(window)} {_origin(result)}"


def _seconds(window_s: WindowS) -> str:
    return f"{window_s[0]:.3f} to {window_s[1]:.3f} s"


def _origin(result: ScenarioResult) -> str:
    return f"after {ORIGINS[result.origin]}"


def _circumstances(result: ScenarioResult) -> str:
    where = ", in containers" if result.lab == "docker" else ""
    machine = f"Linux {result.kernel}, HZ={result.hz}{where}"
    return f"Times are {result.clock} time; {markdown_cell(machine)}."
