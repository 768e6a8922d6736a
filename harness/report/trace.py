"""Runs in Chrome's trace event format, for Perfetto (ui.perfetto.dev) and chrome://tracing.

Each host of a run is a process with a track each for its segments, its program and what it
detected; faults and windows are processes of their own, as they concern no single track. A segment
is an instant on either host, and a span of the process "network" from being sent to its arrival.
Times are microseconds since the run's timeline was opened.

Format: "Trace Event Format" of the Chromium project, JSON object format: `X` is a span with a
duration, `i` an instant of its thread, `b`, `e` and `n` are asynchronous and may overlap, `M` names
processes and threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from harness.judge.result import Result
from harness.model.topology import SIDES
from harness.report.figure.contents import Contents, Moment, Window, contents_of
from harness.report.figure.crossings import Captured, Crossing
from harness.report.figure.words import role_of, told

_Entry = dict[str, Any]
_SEGMENTS, _PROGRAM, _DETECTION = 1, 2, 3
_TRACKS = {_SEGMENTS: "segments", _PROGRAM: "program", _DETECTION: "detection"}
_ON_DETECTION = ("detected", "reconnected", "recovered", "sign")


def render(results: Sequence[Result]) -> bytes:
    """All runs in one document, one after the other in the list of processes."""
    entries: list[_Entry] = []
    for number, result in enumerate(results):
        entries += _Run(result, first_process=number * _PROCESSES + 1).entries()
    return msgspec.json.encode({"displayTimeUnit": "ms", "traceEvents": entries}) + b"\n"


_PROCESSES = 10
"""So many processes a run may have, at most."""


class _Run:
    """One run's events. `first_process`: the number of its first process."""

    def __init__(self, result: Result, first_process: int) -> None:
        self.contents: Contents = contents_of(result)
        self.name = result.plan.name
        proxy = [] if self.contents.proxy is None else [self.contents.proxy]
        names = ["client", *proxy, "server", "faults", "windows", "network"]
        self.process = {name: first_process + place for place, name in enumerate(names)}

    def entries(self) -> Iterator[_Entry]:
        """Names first, then what happened."""
        yield from self._names()
        yield from self._faults()
        for place, window in enumerate(self.contents.windows, start=1):
            yield self._window(window, place)
        for moment in self.contents.moments:
            if moment.side in self.process:
                yield self._moment(moment)
        for number, crossing in enumerate(self.contents.crossings):
            yield from self._crossing(number, crossing)

    def _names(self) -> Iterator[_Entry]:
        for name, process in self.process.items():
            yield _meta("process_name", process, 0, name=f"{self.name}: {name}")
            yield _meta("process_sort_index", process, 0, sort_index=process)
        for side in SIDES:
            for thread, name in _TRACKS.items():
                yield _meta("thread_name", self.process[side], thread, name=name)
        for fault in self.contents.faults:
            yield _meta("thread_name", self.process["faults"], fault.index + 1, name=fault.label)
        for place, window in enumerate(self.contents.windows, start=1):
            name = f"{window.kind}, {window.side}"
            yield _meta("thread_name", self.process["windows"], place, name=name)

    def _faults(self) -> Iterator[_Entry]:
        for fault in self.contents.faults:
            until_ns = fault.until_ns or self.contents.ended_ns or self._last_ns()
            yield {
                **_span(fault.from_ns, until_ns, self.process["faults"], fault.index + 1),
                "name": fault.label,
                "cat": "fault",
                "args": {"evidence": fault.found, "removed": fault.until_ns is not None},
            }

    def _last_ns(self) -> int:
        return max((crossing.t_ns for crossing in self.contents.crossings), default=0)

    def _window(self, window: Window, thread: int) -> _Entry:
        begin_ns = max(window.from_ns, 0)
        return {
            **_span(begin_ns, window.until_ns, self.process["windows"], thread),
            "name": window.what or window.kind,
            "cat": window.kind,
            "args": {"side": window.side},
        }

    def _moment(self, moment: Moment) -> _Entry:
        thread = _DETECTION if moment.kind in _ON_DETECTION else _PROGRAM
        return {
            **_instant(moment.t_ns, self.process[moment.side], thread),
            "name": moment.what,
            "cat": moment.kind,
            "args": {"verdict": moment.verdict} if moment.verdict else {},
        }

    def _crossing(self, number: int, crossing: Crossing) -> Iterator[_Entry]:
        sent, received = crossing.sent, crossing.received
        name = role_of(crossing.seen)
        for captured in (None if crossing.again else sent, received):
            if captured is not None:
                yield self._captured(captured)
        common = {"cat": "network", "id": f"{self.name}/{number}", "name": name}
        args = {"told": told(crossing, self.contents)}
        at = {"pid": self.process["network"], "tid": 1}
        if sent is not None and received is not None:
            yield {**common, **at, "ph": "b", "ts": _us(sent.t_ns), "args": args}
            yield {**common, **at, "ph": "e", "ts": _us(received.t_ns)}
        else:
            shown = f"{name}, lost" if crossing.lost else name
            yield {**common, **at, "ph": "n", "ts": _us(crossing.t_ns), "name": shown, "args": args}

    def _captured(self, captured: Captured) -> _Entry:
        shown = ("flags", "seq", "ack", "length", "src", "sport", "dst", "dport")
        args = {key: captured.data[key] for key in shown if key in captured.data}
        return {
            **_instant(captured.t_ns, self.process[captured.host], _SEGMENTS),
            "name": f"{'sends' if captured.way == 'out' else 'receives'} {role_of(captured)}",
            "cat": captured.role,
            "args": args,
        }


def _us(t_ns: int) -> float:
    """Microseconds, as the format has all times."""
    return t_ns / 1000


def _span(from_ns: int, until_ns: int, process: int, thread: int) -> _Entry:
    duration_us = _us(max(until_ns - from_ns, 0))
    return {"ph": "X", "ts": _us(from_ns), "dur": duration_us, "pid": process, "tid": thread}


def _instant(t_ns: int, process: int, thread: int) -> _Entry:
    return {"ph": "i", "s": "t", "ts": _us(t_ns), "pid": process, "tid": thread}


def _meta(kind: str, process: int, thread: int, **args: Any) -> _Entry:
    return {"ph": "M", "name": kind, "pid": process, "tid": thread, "args": args}
