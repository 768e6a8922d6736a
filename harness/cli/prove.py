"""`harness check --prove`: what is predicted of connections is run in guests."""

from __future__ import annotations

from collections.abc import Sequence

from harness.batch import batch, proving
from harness.policy import proof
from harness.policy.proof import Claim, Proofs
from harness.policy.settings import Connection
from harness.report import policy_proofs
from harness.report.steps import Steps
from harness.system import streams

WITHOUT_PROOFS = ("gitlab", "sarif")
"""Formats of reports that have no place for measurements."""


def tell(proofs: Proofs) -> None:
    """Say on standard error what a report has no place for."""
    streams.complain(policy_proofs.summary(proofs))
    for each in policy_proofs.notices(proofs):
        streams.complain(each)


def run(connections: Sequence[Connection], *, hz_is_asked: bool) -> Proofs:
    """Run the predictions of these connections, with progress on standard error.

    `hz_is_asked`: an option names the HZ. Where neither that nor a file does, an HZ without a
    kernel is left out, and the report says so. Raises UsageError and CapabilityError.
    """
    asked = {
        hz for each in connections if hz_is_asked or "hz" in each.places for hz in each.terms.hz
    }
    with Steps("prediction") as progress:
        claims: list[Claim] = []
        progress.begin("predicting", len(connections), "connection")
        for each in connections:
            claims += proof.claims([each])
            progress.step()
        return proving.prove(claims, batch.new_folder, progress, asked)
