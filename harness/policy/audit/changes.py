"""What has changed between two looks at live sockets."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from harness.policy.audit.groups import Key
from harness.policy.audit.judging import Row


class Change(msgspec.Struct, frozen=True):
    """A group whose number of sockets was another one before; `row`: of the later look."""

    row: Row
    before: int
    after: int

    @property
    def key(self) -> Key:
        """Of the group."""
        return self.row.group.key


def changes(before: Sequence[Row], after: Sequence[Row]) -> tuple[Change, ...]:
    """Groups that are new, then those with more or fewer sockets, then those that are gone."""
    old = {row.group.key: row for row in before}
    new = {row.group.key: row for row in after}
    added = [Change(row, 0, row.group.number) for key, row in new.items() if key not in old]
    other = [
        Change(row, old[key].group.number, row.group.number)
        for key, row in new.items()
        if key in old and old[key].group.number != row.group.number
    ]
    gone = [Change(row, row.group.number, 0) for key, row in old.items() if key not in new]
    return (*added, *other, *gone)
