"""An examination as JSON, with what changed since a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from harness.examine.compare import Change
from harness.examine.findings import Examination

FORMAT: Literal[1] = 1


class ExaminationDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What `harness examine --json` writes. `changes`: since the baseline of `--against`; null
    without that.
    """

    format: Literal[1]
    examination: Examination
    changes: tuple[Change, ...] | None = None


def render(found: Examination, changes: Sequence[Change] | None = None) -> bytes:
    """The document as JSON."""
    document = ExaminationDocument(
        format=FORMAT, examination=found, changes=None if changes is None else tuple(changes)
    )
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
