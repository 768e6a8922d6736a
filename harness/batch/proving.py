"""Runs in virtual time what `harness check` predicts, and puts the measurements beside it.

Each claim is run in a guest whose kernel has the HZ that the claim is about. Claims that ask the
same question share a run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from harness.batch import batch, proof_scenarios
from harness.batch.batch import BatchWatcher
from harness.errors import HarnessError, NotPredictedError
from harness.judge.facts import CapturedPacket, Fact
from harness.judge.history import History
from harness.judge.result import Result
from harness.judge.watched_segments import is_from_living_peer
from harness.plan.plan import Plan
from harness.policy import proof
from harness.policy.proof import Claim, Measured, Proof, Proofs, Question
from harness.runner.execute import Status
from harness.venue import kernel, uml
from harness.venue.host import Carried
from harness.venue.kernel import Kernel

_DETECTIONS = ("idle", "in-flight")


class Stepper(BatchWatcher, Protocol):
    """Told how far the work is."""

    def begin(self, what: str, total: int) -> None:
        """A part of the work begins, of so many steps."""

    def step(self) -> None:
        """One of them is done. Runs say so by themselves."""


def prove(
    claims: Sequence[Claim],
    folder: Callable[[], Path],
    watcher: Stepper,
    asked_hz: Iterable[int] = (),
) -> Proofs:
    """Plan and run what the claims ask. Raises CapabilityError.

    `folder` makes the folder for run directories, once there is something to run. `asked_hz`: those
    that somebody asked for by name.
    """
    wanted = {claim.question.hz for claim in claims}
    kernels = _kernels(wanted)
    missing = wanted - set(kernels)
    tried = [claim for claim in claims if claim.question.hz in kernels]
    made = _Plans(kernels)
    questions = dict.fromkeys(claim.question for claim in tried if _is_run(claim))
    watcher.begin("planning", len(questions))
    for question in questions:
        made.plan(question)
        watcher.step()
    plans = tuple(made.planned.values())
    results: dict[str, Result] = {}
    out = folder() if plans else None
    if out is not None:
        hz = ", ".join(str(each) for each in sorted({plan.machine.hz for plan in plans}))
        watcher.begin(f"running in guests with HZ={hz}", len(plans))
        venue = functools.partial(_at_each_hz, kernels=kernels)
        results = {each.plan.name: each for each in batch.run(plans, out, watcher, venue)}
    return Proofs(
        proofs=tuple(made.proof(claim, results) for claim in tried),
        missing_hz=tuple(sorted(missing)),
        missing_asked=tuple(sorted(missing & set(asked_hz))),
        folder=str(out or ""),
    )


class _Plans:
    """One plan for each question, or the reason why there is none."""

    def __init__(self, kernels: Mapping[int, Kernel]) -> None:
        self.machines = {hz: uml.machine(each) for hz, each in kernels.items()}
        self.planned: dict[Question, Plan] = {}
        self.refused: dict[Question, str] = {}

    def plan(self, question: Question) -> None:
        """Find the worst run."""
        name = f"{len(self.planned) + 1:03}-{question.kind}-hz{question.hz}"
        try:
            machine = self.machines[question.hz]
            self.planned[question] = proof_scenarios.plan(question, name, machine)
        except NotPredictedError as error:
            self.refused[question] = f"no model of the trial: {error.reason}"
        except HarnessError as error:
            self.refused[question] = str(error)

    def proof(self, claim: Claim, results: Mapping[str, Result]) -> Proof:
        """A claim beside its measurement."""
        if claim.unknown:
            return proof.unproven(claim, claim.unknown)
        if claim.by_program:
            return proof.unproven(claim, proof.BY_PROGRAM)
        made = self.planned.get(claim.question)
        if made is None:
            return proof.unproven(claim, self.refused[claim.question])
        result = results[made.name]
        verdict = result.verdict
        if verdict.verdict == "inconclusive" and not verdict.as_foreseen:
            return proof.unproven(claim, verdict.reason)
        return proof.compare(claim, measured(claim.question, result))


def _is_run(claim: Claim) -> bool:
    return not claim.unknown and not claim.by_program


def measured(question: Question, result: Result) -> Measured:
    """What a run that could be judged has shown."""
    plan, verdict = result.plan, result.verdict
    history = History(plan, result.events)
    # Without a prediction the scenario's claim only says how long to watch; but a connection that
    # stands must carry data.
    told = plan.prediction is not None or (question.kind not in _DETECTIONS and not history.end)
    return Measured(
        ends="kept" if history.end is None else "lost",
        after_ns=_after_ns(question, history),
        how=verdict.errno or ("heartbeat" if verdict.outcome == "noticed" else ""),
        watched_ns=plan.watch_ns,
        mismatch=verdict.reason if verdict.verdict == "fail" and told else "",
        run=plan.name,
    )


def _after_ns(question: Question, history: History) -> int | None:
    """The figure that a question is about; None: there was no such moment."""
    if history.armed is None:
        return None
    if question.kind == "path":
        probes = history.probes if question.settings.keepalive else []
        return max((each.t_ns - _packet_before(history, each) for each in probes), default=None)
    if history.end is None:
        return None
    if question.kind == "in-flight":
        writes = [each.t_ns for each in history.writes if each.what.side == question.side]
        return history.end.t_ns - writes[0]
    if question.kind == "idle":
        received = [
            each.t_ns
            for each in history.segments
            if is_from_living_peer(each.what) and history.before_end(each.t_ns)
        ]
        return history.end.t_ns - max(history.armed.t_ns, *received)
    return None


def _packet_before(history: History, probe: Fact[CapturedPacket]) -> int:
    """When the last packet before a probe passed, or the connection was armed."""
    assert history.armed is not None
    earlier = [each.t_ns for each in history.segments if each.t_ns < probe.t_ns]
    return max(history.armed.t_ns, *earlier)


def _kernels(wanted: Iterable[int]) -> dict[int, Kernel]:
    """The first kernel of `kernel.installed` for each HZ that has one."""
    installed = kernel.installed()
    found = {hz: [each for each in installed if each.manifest.hz == hz] for hz in wanted}
    return {hz: kernels[0] for hz, kernels in found.items() if kernels}


def _at_each_hz(
    plans: Sequence[Plan], out: Path, status: Status, kernels: Mapping[int, Kernel]
) -> Generator[Carried]:
    """A venue: each plan in a guest with its HZ, one HZ after the other."""
    for hz, each in kernels.items():
        some = [plan for plan in plans if plan.machine.hz == hz]
        if some:
            with closing(uml.run_all(some, out, status, each)) as running:
                yield from running
