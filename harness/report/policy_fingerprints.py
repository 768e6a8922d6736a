"""Where the findings of `harness check` are, for programs that follow them from one run to the
next.

A fingerprint is made of the rule, the file, the connection and the key that is the cause. It stays
the same where lines move, figures change or other connections come and go.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from harness.policy.check import Result
from harness.policy.rule import Finding


def of_findings(result: Result, root: Path) -> Iterator[tuple[Finding, str]]:
    """Each finding with its fingerprint, in the order of the result."""
    keys = {place: key for one in result.checked for key, place in one.connection.places.items()}
    before: Counter[tuple[str, ...]] = Counter()
    for finding in result.findings:
        place = finding.place
        file = relative(place.file, root) if place else ""
        key = keys.get(place, "") if place else ""
        parts = (finding.rule, file, finding.connection, key)
        yield finding, fingerprint(*parts, str(before[parts]))
        before[parts] += 1


def fingerprint(*parts: str) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()


def relative(file: str, root: Path) -> str:
    """The path of a file below `root`, with slashes, or its absolute path where it is elsewhere."""
    whole = Path(file).parent.resolve() / Path(file).name
    base = root.resolve()
    return str(whole.relative_to(base) if whole.is_relative_to(base) else whole)
