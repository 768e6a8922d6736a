"""Predictions beside measurements, `harness check --prove`: the words that the formats share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from harness.model.values import count
from harness.policy import words
from harness.policy.answers import SECOND_NS
from harness.policy.proof import Claim, Measured, Proof, Proofs
from harness.report.check_document import Trial, Trials
from harness.system.escapes import in_a_line, log_line

HEAD = ("connection", "question", "HZ", "predicted", "measured", "result")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Proofs that differ in nothing but their connections."""

    proof: Proof
    connections: tuple[str, ...]

    @property
    def cells(self) -> tuple[str, ...]:
        """As of `HEAD`."""
        claim = self.proof.claim
        return (
            _names(self.connections),
            claim.title,
            str(claim.question.hz),
            predicted(claim),
            "" if self.proof.measured is None else measured(claim, self.proof.measured),
            result(self.proof),
        )


def rows(proofs: Proofs) -> tuple[Row, ...]:
    """In the order of the proofs."""
    found: dict[Proof, list[str]] = {}
    for each in proofs.proofs:
        anonymous = msgspec.structs.replace(each.claim, connection="")
        found.setdefault(msgspec.structs.replace(each, claim=anonymous), []).append(
            each.claim.connection
        )
    return tuple(Row(proof=each, connections=tuple(names)) for each, names in found.items())


def text(proofs: Proofs) -> Iterator[str]:
    """A table, then a line for all that is not as it should be."""
    found = rows(proofs)
    if found:
        yield (
            "Each prediction was run in a guest, in the worst phase of the kernel's timers that "
            "was found. Predicted bounds cover every phase."
        )
        yield ""
        yield from _aligned([HEAD, *(row.cells for row in found)])
        yield ""
    yield from notices(proofs)
    if proofs.folder:
        yield f"plans, timelines and captures: {proofs.folder}"


def notices(proofs: Proofs) -> Iterator[str]:
    """What refutes the oracle, what could not be proven, and why."""
    for row in rows(proofs):
        if row.proof.comparison == "refuted":
            yield refutation(row, proofs.folder)
        elif row.proof.comparison == "not-proven" and not row.proof.claim.by_program:
            yield f"not proven: {_about(row)}: {row.proof.why}"
    if proofs.having("not-shown"):
        yield "not in this run: the connection may be lost, but in this run it was kept"
    if proofs.missing_hz:
        yield missing(proofs)


def refutation(row: Row, folder: str) -> str:
    """That the kernel acted otherwise, and what to report."""
    run = row.proof.measured.run if row.proof.measured is not None else ""
    return (
        f"the oracle is refuted: {_about(row)}: {row.proof.why}. Do not rely on findings about it. "
        f"Please report this as a defect of keepalive-harness, with the folder {folder}/{run}"
    )


def missing(proofs: Proofs) -> str:
    """For which HZ there is no kernel."""
    commands = " && ".join(f"harness kernel build --hz {hz}" for hz in proofs.missing_hz)
    which = ", ".join(map(str, proofs.missing_hz))
    return f"not proven at HZ={which}: there is no kernel for it. Fix: {commands}"


def predicted(claim: Claim) -> str:
    """The oracle's answer."""
    if claim.unknown:
        return "?"
    window = "" if claim.window is None else words.window(claim.window)
    if claim.question.kind in ("idle", "in-flight"):
        return window or "never"
    ends = {"kept": "kept", "lost": "lost", "may-be-lost": "may be lost"}[claim.ends]
    return f"{window}, {ends}" if window else ends


def measured(claim: Claim, found: Measured) -> str:
    """What came of the run."""
    how = f" ({found.how})" if found.how else ""
    after = "" if found.after_ns is None else words.seconds(found.after_ns)
    if claim.question.kind in ("idle", "in-flight"):
        if found.ends == "kept":
            return f"nothing in {words.seconds(found.watched_ns)}"
        return f"{after}{how}"
    ends = f"{found.ends}{how}"
    return f"{after}, {ends}" if after else ends


def result(proof: Proof) -> str:
    """The comparison in a word or two."""
    if proof.claim.by_program:
        return f"not proven: {proof.why}"
    is_window = proof.claim.question.kind in ("idle", "in-flight") and proof.claim.window
    return {
        "confirmed": "inside" if is_window else "as predicted",
        "refuted": "OUTSIDE" if is_window else "REFUTED",
        "not-shown": "not in this run",
        "not-proven": "not proven",
    }[proof.comparison]


def summary(proofs: Proofs) -> str:
    """How many predictions are proven."""
    proven = len(proofs.having("confirmed"))
    refuted = len(proofs.having("refuted"))
    own = sum(each.claim.by_program for each in proofs.proofs)
    parts = [f"{proven} of {count(len(proofs.proofs) - own, 'prediction')} confirmed"]
    parts += [f"{refuted} REFUTED"] if refuted else []
    parts += [f"{own} not proven, as the program closes the connection"] if own else []
    return ", ".join(parts)


def markdown(proofs: Proofs) -> Iterator[tuple[str, ...]]:
    """The rows of a table."""
    yield HEAD
    yield from (row.cells for row in rows(proofs))


def document(proofs: Proofs) -> Trials:
    """For programs."""
    return Trials(
        proofs=tuple(_trial(each) for each in proofs.proofs),
        missing_hz=proofs.missing_hz,
        folder=proofs.folder,
    )


def _trial(each: Proof) -> Trial:
    claim, found = each.claim, each.measured
    window, after_ns = claim.window, None if found is None else found.after_ns
    return Trial(
        connection=claim.connection,
        kind=claim.question.kind,
        question=claim.title,
        hz=claim.question.hz,
        predicted=None if claim.unknown else claim.ends,
        by_program=claim.by_program,
        predicted_s=None if window is None else words.ends(window),
        measured=None if found is None else found.ends,
        measured_s=None if after_ns is None else after_ns / SECOND_NS,
        how=None if found is None else found.how or None,
        result=each.comparison,
        why=each.why,
        run=None if found is None else found.run,
    )


def _about(row: Row) -> str:
    claim = row.proof.claim
    return f"{_names(row.connections)}, {claim.title} at HZ={claim.question.hz}"


def _names(connections: Sequence[str]) -> str:
    """The first, and how many more there are."""
    first, *others = (in_a_line(each) for each in connections)
    return f"{first} and {count(len(others), 'other')}" if others else first


def _aligned(table: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        cells = zip(row, widths, strict=True)
        yield log_line("  ".join(f"{cell:<{width}}" for cell, width in cells).rstrip())
