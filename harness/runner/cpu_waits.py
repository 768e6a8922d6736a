"""How long the programs of a lab wait for a CPU while a scenario's time counts, as the kernel tells
of each.
"""

from __future__ import annotations

from harness.lab.host import Lab
from harness.lab.process import Program
from harness.timeline import Timeline


class CpuWaits:
    """Counts from when it is made. A program that is started later counts from its start."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._before_ns = {program: program.waited_ns() for _, program in self._programs()}

    def note(self, timeline: Timeline) -> None:
        """Write down for each program how long it has waited since then."""
        for name, program in self._programs():
            took_ns = program.waited_ns() - self._before_ns.get(program, 0)
            timeline.add("program.waited", name, program=program.name, took_ns=took_ns)

    def _programs(self) -> list[tuple[str, Program]]:
        names = self._lab.layout.host_names
        return [(name, program) for name in names for program in self._lab.host(name).programs]
