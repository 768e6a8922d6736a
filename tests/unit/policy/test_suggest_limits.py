"""What suggested settings cannot give."""

from __future__ import annotations

from typing import Any

import pytest

from harness.policy.suggest import suggest
from harness.policy.suggest_limits import limits
from tests.unit.policy.policies import connection

BEAT = {"every_s": 10, "timeout_s": 10, "apart": True}
PROXY = {"idle_timeout_s": 60, "proxy": True, "name": "nginx"}


@pytest.mark.parametrize(
    ("keys", "about"),
    [
        ({"detect_idle_within_s": 120}, ["data-in-flight", "outage", "frozen-peer"]),
        ({"detect_within_s": 120, "survive_s": 20}, ["not-reading", "frozen-peer"]),
        ({"detect_in_flight_within_s": 30}, ["idle", "not-reading"]),
        ({"heartbeat": BEAT}, []),
        (
            {"detect_idle_within_s": 30, "survive_s": 5, "path": [PROXY, "aws-nlb"]},
            ["data-in-flight", "frozen-peer", "proxy", "proxy", "behind-proxy"],
        ),
        ({"detect_within_s": 30, "path": [PROXY], "heartbeat": BEAT}, []),
    ],
)
def test_each_is_named_where_it_is_so(keys: dict[str, Any], about: list[str]) -> None:
    """And not where it is not."""
    checked = suggest(connection(hz=[250], **keys)).checked
    assert checked is not None
    assert [each.about for each in limits(checked)] == about
    assert all(each.text.endswith(".") for each in limits(checked))
