"""Fingerprints of findings: the same for the same finding, whatever is around it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.policy.check import check
from harness.policy.formats import policy_toml
from harness.policy.registry import every_rule
from harness.report import policy_fingerprints

POLICY = """
[connections.db]
idle_s = 340
interval_s = 10
count = 3
path = ["aws-nlb"]
ignore = { KA001 = "never", KA005 = "never" }
"""


def prints(text: str, source: str = "P.toml", root: Path | None = None) -> Sequence[str]:
    """Of what all rules find in a policy."""
    result = check(policy_toml.read(text, source), list(every_rule().values()))
    found = policy_fingerprints.of_findings(result, root or Path.cwd())
    return [each for _, each in found]


def test_each_finding_has_its_own() -> None:
    """Also two of one rule at one connection."""
    found = prints(POLICY)
    assert len(found) == len(set(found)) == 3


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[connections.db]", "# a comment\n\n[connections.other]\n\n[connections.db]"),
        ("idle_s = 340", "idle_s =     341"),
        ("count = 3\n", "\ncount = 4\n"),
    ],
    ids=["lines move", "the value changes", "another value changes"],
)
def test_it_stays_the_same(before: str, after: str) -> None:
    """So that an alert is not opened again."""
    assert prints(POLICY.replace(before, after)) == prints(POLICY)


def test_a_suppression_that_goes_takes_its_own_with_it() -> None:
    """Of the two that hide nothing, the second one keeps its own."""
    first, *_, last = prints(POLICY)
    assert prints(POLICY.replace('KA001 = "never", ', "")) == [first, last]


def test_it_depends_on_file_and_connection() -> None:
    """The same settings elsewhere are another finding."""
    found = set(prints(POLICY))
    assert not found & set(prints(POLICY, "Q.toml"))
    assert not found & set(prints(POLICY.replace("connections.db", "connections.cache")))


def test_it_does_not_depend_on_how_a_file_is_named(tmp_path: Path) -> None:
    """Absolute or not."""
    whole = prints(POLICY, f"{Path.cwd()}/P.toml")
    assert prints(POLICY) == whole
    assert prints(POLICY, f"{tmp_path}/P.toml", tmp_path) == whole
