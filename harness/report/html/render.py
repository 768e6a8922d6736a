"""Pages as text: Jinja2 templates, with all text escaped, and a policy that allows nothing else."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.judge.verdict import SEVERITY, Verdict, VerdictName, worst
from harness.model.values import count
from harness.oracle.prediction import NOUNS
from harness.report import figure
from harness.report.html import socket_settings, words
from harness.report.html.page import Page, RunDetail, Status
from harness.report.html.run_view import Label, RunView, view
from harness.system.escapes import in_a_line, visible

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
OPEN_AT_FIRST = 3
"""So few runs are shown in full; of more, a reader opens those of interest."""
GLOSSARY = (
    ("arming", "The connection stands and its options are set: from now on the timers run."),
    ("claimed", "What the scenario says must happen, with its window of time."),
    (
        "predicted",
        "What the kernel's timers must do with these settings, computed before the run.",
    ),
    ("probe", "A keepalive segment, which asks the peer's kernel for an answer."),
    ("retransmission", "Data that was sent again because no acknowledgement came."),
    ("virtual time", "A guest's clock that skips the time in which nothing happens."),
    ("allowance", "How much later real time may be, because other programs need the CPU, too."),
)


def render(page: Page) -> str:
    """The page as HTML, complete in one text. The same page gives the same text."""
    details = page.details or (RunDetail(),) * len(page.results)
    runs = [
        view(number, result, detail)
        for number, (result, detail) in enumerate(zip(page.results, details, strict=True), start=1)
    ]
    topics = list(dict.fromkeys(run.topic for run in runs))
    faults = sorted({fault for run in runs for fault in run.faults})
    return fill(
        "runs.html.j2",
        style=[figure.FIGURE_CSS, *_filters(topics, faults)],
        title=page.title,
        command=page.command,
        notes=page.notes,
        assumed=page.assumed,
        made=page.made,
        tables=page.tables,
        grid_view=page.grid,
        runs=runs,
        sum=_sum(runs) if page.headline is None else _headline(*page.headline),
        counts=_counts(runs),
        topics=topics,
        faults=faults,
        topic_of={name: f"t{number}" for number, name in enumerate(topics)},
        faults_of=_classes({name: f"f{number}" for number, name in enumerate(faults)}),
        opened=lambda _: len(runs) <= OPEN_AT_FIRST,
        has_predictions=any(run.verdict.predicted for run in runs),
        has_probes=any(run.verdict.probes for run in runs),
        severity=SEVERITY,
        sort_window=_earliest_s,
        meanings=words.MEANINGS,
        glossary=GLOSSARY,
        nouns=NOUNS,
        settings_head=socket_settings.HEAD,
        symbols=words.SYMBOLS,
    )


def fill(template: str, *, style: Iterable[str] = (), **values: Any) -> str:
    """Fill a template. Its style and its script are the only ones that a browser will take."""
    from markupsafe import Markup

    made = "\n".join([(TEMPLATES / "style.css").read_text(encoding="utf-8"), *style])
    script = (TEMPLATES / "script.js").read_text(encoding="utf-8")
    text = (
        _environment()
        .get_template(template)
        .render(
            style=Markup(made),  # noqa: S704 - no text of a run is in it
            script=Markup(script),  # noqa: S704
            policy=_policy(made, script),
            version=importlib.metadata.version("keepalive-harness"),
            **values,
        )
    )
    return text.replace(">\n<", "><")  # a browser keeps each line break as an object of its own


def _policy(style: str, script: str) -> str:
    """The Content-Security-Policy: this style, this script and nothing from anywhere."""
    allowed = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in (style, script)
    ]
    return (
        f"default-src 'none'; style-src {allowed[0]}; script-src {allowed[1]}; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _environment() -> Environment:
    import jinja2

    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    found.filters |= {"visible": visible, "in_a_line": in_a_line, "breakable": _breakable}
    return found


def _breakable(name: str) -> Markup:
    """A name that a narrow column breaks after its slashes."""
    from markupsafe import Markup

    return Markup("/<wbr>").join(in_a_line(name).split("/"))


def _filters(topics: Sequence[str], faults: Sequence[str]) -> Iterable[str]:
    """Rules that hide the runs which a choice leaves out; they need no script."""
    for name in words.SYMBOLS:
        yield hides(f"#v-{name}:checked", f"[data-v]:not([data-v={name}])")
    for number in range(len(topics)):
        yield hides(f"#topic>[value=t{number}]:checked", f"[data-t]:not([data-t=t{number}])")
    for number in range(len(faults)):
        yield hides(f"#fault>[value=f{number}]:checked", f"[data-f]:not([data-f~=f{number}])")
    yield "details.run:has(:target){display:block!important}"


def hides(chosen: str, others: str) -> str:
    """A rule that hides others when something is chosen.

    The condition looks at the form alone, and at one sibling, as a page may have 500 runs.
    """
    return f".filters:has({chosen})~.list {others}{{display:none}}"


def _classes(numbers: dict[str, str]) -> Any:
    return lambda run: " ".join(numbers[fault] for fault in run.faults)


def _earliest_s(verdict: Verdict) -> float | str:
    """What the column of predictions is sorted by."""
    window_ns = verdict.window_ns or verdict.armed_window_ns
    return "" if window_ns is None else window_ns[0] / 1e9


def _counts(runs: Sequence[RunView]) -> list[tuple[VerdictName, Label, int]]:
    """For the choice of a verdict: each with its label, and how many runs have it."""
    found = []
    for name, symbol in words.SYMBOLS.items():
        mine = [run for run in runs if run.verdict.verdict == name]
        label = Label(name, symbol, name)
        if mine and all(run.label.text == words.DESCRIBED for run in mine):
            label = mine[0].label
        found.append((name, label, len(mine)))
    return found


def _headline(status: Status, text: str) -> Label:
    return Label(status, _HEADLINES[status], text)


_HEADLINES: dict[Status, str] = {
    "good": "✓",
    "warning": "!",
    "bad": "✗",
    "unknown": "?",
    "plain": "•",
}


def _sum(runs: Sequence[RunView]) -> Label:
    """The result of all runs, for the top of the page."""
    number = {name: sum(r.verdict.verdict == name for r in runs) for name in words.SYMBOLS}
    if not runs:
        return Label("", "", "")
    total, described = len(runs), sum(run.label.text == words.DESCRIBED for run in runs)
    name = worst([run.verdict for run in runs])
    if name == "pass" and described == total:
        return Label("described", "•", f"{count(total, 'run')}, of which nothing is claimed.")
    if number["pass"] == total:
        text = "The run passed." if total == 1 else f"All {total} runs passed."
    elif total == 1:
        text = "The run failed." if number["fail"] else "The run is inconclusive."
    else:
        done = "described" if described == number["pass"] and described else "passed"
        parts = [f"{number['pass']} of {total} runs {done}"]
        parts += [f"{number['fail']} failed"] if number["fail"] else []
        parts += [f"{number['inconclusive']} inconclusive"] if number["inconclusive"] else []
        text = f"{', '.join(parts)}."
    return Label(name, words.SYMBOLS[name], text)
