"""What a deploy changes among live sockets."""

from __future__ import annotations

from harness.model.live_sockets import LiveSocket
from harness.policy import registry
from harness.policy.audit.changes import changes
from harness.policy.audit.groups import groups, title
from harness.policy.audit.judging import Demands, Row, audit
from tests.unit.policy.audit.surveys import ON, accepted, connected, survey


def rows(*sockets: LiveSocket) -> tuple[Row, ...]:
    """As one look finds them."""
    return audit(groups(survey(*sockets)), Demands(), registry.selected([], []), 250).rows


def test_what_came_went_or_has_another_number() -> None:
    """The same sockets with other options are another group; what stays is not told."""
    before = rows(accepted(), accepted(), connected(), connected(1))
    after = rows(accepted(), accepted(options=ON), connected())
    assert [
        (title(each.row.group), each.key.options.keepalive, each.before, each.after)
        for each in changes(before, after)
    ] == [
        ("redis-server accepted at 6379", True, 0, 1),
        ("redis-server accepted at 6379", False, 2, 1),
        ("app to port 1", False, 1, 0),
    ]
    assert changes(after, after) == ()
