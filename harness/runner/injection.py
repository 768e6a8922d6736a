"""Faults at work: inject, gather evidence, heal, and write all three down."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from harness.faults import AnyFault, Evidence
from harness.lab.host import Lab
from harness.timeline import Timeline


class Injection:
    """One fault that has been injected.

    `heal` may be called more than once; only the first call does anything.
    """

    def __init__(
        self,
        fault: AnyFault,
        index: int,
        lab: Lab,
        timeline: Timeline,
        look: Callable[[], object] = lambda: None,
    ) -> None:
        """Inject now. Raises FaultError or LabError.

        `look`: called before the fault is injected and before its evidence is read, to have the lab
        know which connection is watched.
        """
        self.fault, self.index, self.timeline, self._look = fault, index, timeline, look
        self._guard = ExitStack()
        look()
        self.injected_ns = timeline.clock.now_ns()
        self._evidence: Callable[[], Evidence] = self._guard.enter_context(fault.inject(lab))
        took_ns = timeline.clock.now_ns() - self.injected_ns
        self.proof: Evidence | None = None
        self.healed_ns: int | None = None
        timeline.add(
            "fault.injected",
            "fault",
            at_ns=self.injected_ns,
            index=index,
            fault=fault.kind,
            took_ns=took_ns,
        )

    def gather(self) -> Evidence:
        """The evidence, read and written down once: the first call's stands."""
        if self.proof is None:
            self._look()
            self.proof = self._evidence()
            self.timeline.add(
                "fault.evidence",
                "fault",
                index=self.index,
                fault=self.fault.kind,
                level=self.proof.level,
                found=self.proof.found,
                others=self.proof.others,
            )
        return self.proof

    @property
    def has_acted(self) -> bool:
        """Whether it has left evidence that it acted, so far."""
        if self.proof is not None:
            return self.proof.level == "bit"
        self._look()
        return self._evidence().level == "bit"

    def heal(self) -> None:
        """Gather the evidence, then undo the fault. Raises FaultError or LabError."""
        if self.healed_ns is not None:
            return
        try:
            self.gather()
        finally:
            self.healed_ns = self.timeline.clock.now_ns()
            self._guard.close()
        took_ns = self.timeline.clock.now_ns() - self.healed_ns
        self.timeline.add(
            "fault.healed",
            "fault",
            at_ns=self.healed_ns,
            index=self.index,
            fault=self.fault.kind,
            took_ns=took_ns,
        )


def without_evidence(fault: AnyFault, proof: Evidence) -> str:
    """What to say of a fault that was injected for the length of a block, and did not act in it."""
    words = f"{fault.kind}: expected evidence that it acted, found: {proof.found}"
    if proof.level != "in-place":
        return words
    return (
        f"{words}; nothing was sent that it acts on while it was on: send data, or wait, inside "
        "the `with` block"
    )
