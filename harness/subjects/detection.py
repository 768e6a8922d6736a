"""The signs by which a command shows that it has detected the end of its connection."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from harness.lab.socket_table import Ends
from harness.model.programs import Detects
from harness.programs.tcp_endpoint import Emit
from harness.subjects.output import LONGEST_LINE


class Sign(NamedTuple):
    """How a command showed a detection, what was found, when, and what it reports."""

    how: str
    found: str
    at_ns: int
    reports: str | None = None
    ends: Ends | None = None
    """The connection that it is about, where it is about one."""
    late_ns: int = 0
    """How much earlier it may have come, where it was found by a look now and then."""


def _details(sign: Sign) -> dict[str, object]:
    """What else is known of a sign, as fields of its event."""
    found: dict[str, object] = {"late_ns": sign.late_ns} if sign.late_ns else {}
    if sign.ends is not None:
        found |= {"local": list(sign.ends.near), "remote": list(sign.ends.far)}
    return found


class DetectionRecorder:
    """Writes the event `subject.noticed` for the first sign after arming.

    Signs that show before `arm` is called are kept: the moment that it counts from may be earlier.
    """

    def __init__(
        self,
        detects: Detects,
        emit: Emit,
        noticed: Callable[[], None],
        *,
        tells_all: bool = False,
    ) -> None:
        """`noticed`: called once, when the first sign counts.

        `tells_all`: each sign after arming becomes an event `subject.sign` as well.
        """
        self._detects, self._emit, self._noticed = detects, emit, noticed
        self._tells_all = tells_all
        self._early: list[Sign] = []
        self._printed_early = self._has_noticed = False
        self.armed_ns: int | None = None
        """The moment that the scenario's times count from (CLOCK_MONOTONIC)."""

    @property
    def has_early_signs(self) -> bool:
        """Whether anything showed before the arming."""
        return bool(self._early)

    def arm(self, at_ns: int) -> None:
        """Signs count from that moment on, also those that showed before this call."""
        self.armed_ns = at_ns
        for sign in self._early:
            self.take(sign)

    def take(self, sign: Sign) -> None:
        """A sign of a detection."""
        if self.armed_ns is None:
            self._early.append(sign)
            return
        if sign.at_ns < self.armed_ns:
            return
        found = {"how": sign.how, "found": sign.found, "reports": sign.reports}
        if self._tells_all:
            self._emit("subject.sign", at_ns=sign.at_ns, **found, **_details(sign))
        if not self._has_noticed:
            self._has_noticed = True
            self._noticed()
            self._emit("subject.noticed", at_ns=sign.at_ns, **found)

    def reads(self, line: str, at_ns: int, *, gets_ready: bool) -> None:
        """Take a line of output.

        It is no sign where it is one of those up to the ready line (`gets_ready`). The same line
        after a reconnect is one where `detects.prints` matches it.
        """
        match = re.search(self._detects.prints, line) if self._detects.prints else None
        if match is None:
            return
        if gets_ready:
            self._printed_early = True
        else:
            reports = match.group(1) if match.re.groups else None
            self.take(Sign("output", line[:LONGEST_LINE], at_ns, reports))

    def ends(self, status: int, at_ns: int) -> bool:
        """The program has ended; whether that is a sign."""
        if not self._detects.exits or self._detects.status not in (None, status):
            return False
        self.take(Sign("exit", f"status {status}", at_ns, f"status {status}"))
        return True

    def why_unnoticed(self) -> str:
        """Why nothing that it printed was a sign, for messages; "" where no line was awaited."""
        prints = self._detects.prints
        if self._printed_early or any(sign.how == "output" for sign in self._early):
            return f", having printed what matches {prints!r} only before both ends were ready"
        return f", never having printed what matches {prints!r}" if prints else ""
