"""An examination as JSON, with what changed since a baseline."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from harness.examine.compare import Change
from harness.examine.findings import Examination
from harness.report.documents import FORMAT, Format


class ExaminationDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What `harness examine --json` writes."""

    format: Format
    """1."""
    examination: Examination
    """What both ends did under each fault."""
    changes: tuple[Change, ...] | None
    """What changed since the baseline; null without --against."""


def render(found: Examination, changes: Sequence[Change] | None = None) -> bytes:
    """The document as JSON."""
    document = ExaminationDocument(
        format=FORMAT, examination=found, changes=None if changes is None else tuple(changes)
    )
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
