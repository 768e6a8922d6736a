"""Whether a command is ready: which of its conditions were met, and when."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from harness.model.programs import Ready

Condition = Literal["prints", "listens", "stands", "quiet"]
"""A line was printed; the program listened at the port; the watched connection stood; no connection
carried data for a while.
"""
Look = Callable[[], int | None]
"""Looks whether a condition is met: since when (CLOCK_MONOTONIC in ns), or None."""


class Readiness:
    """The conditions of one command. A condition that was met once stays met."""

    def __init__(
        self,
        ready: Ready,
        port: int,
        listened: Look,
        stood: Look,
        connection: int,
        calmed: Look = lambda: None,
    ) -> None:
        """`ready`: from the scenario. `connection`: the number of the watched one, for messages."""
        self._ready, self._port, self._connection = ready, port, connection
        self._looks: dict[Condition, Look] = {
            "listens": listened,
            "stands": stood,
            "quiet": calmed,
        }
        self._met_ns: dict[Condition, int] = {}

    @property
    def met_ns(self) -> int:
        """When the last condition so far was met (CLOCK_MONOTONIC); 0 where none was."""
        return max(self._met_ns.values(), default=0)

    def forget(self) -> None:
        """Another program takes over, and gets ready in its turn."""
        self._met_ns.clear()

    def reads(self, line: str, at_ns: int) -> bool:
        """Take a line of output; whether it is the awaited one, or comes before that."""
        if not self._ready.prints or "prints" in self._met_ns:
            return False
        if re.search(self._ready.prints, line):
            self._met_ns["prints"] = at_ns
        return True

    def missing(self, *, connects: bool) -> str:
        """The first condition that was not met yet, in words; "" when all were.

        `connects`: the watched connection must stand.
        """
        if self._ready.prints and "prints" not in self._met_ns:
            return f"a line that matches {self._ready.prints!r}"
        if self._ready.listens and not self._is_met("listens"):
            return f"it to listen at port {self._port}"
        if connects and not self._is_met("stands"):
            return f"connection {self._connection} to port {self._port}"
        if connects and self._ready.quiet_s is not None and not self._is_met("quiet"):
            return f"its connection to carry no data for {self._ready.quiet_s:g} s"
        return ""

    def _is_met(self, condition: Condition) -> bool:
        if condition not in self._met_ns:
            since_ns = self._looks[condition]()
            if since_ns is not None:
                self._met_ns[condition] = since_ns
        return condition in self._met_ns
