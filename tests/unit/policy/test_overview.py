"""A connection at a glance: figures, and the same judgement as the rules'."""

from __future__ import annotations

from typing import Any

import pytest

from harness.policy.overview import Figure, Overview
from tests.unit.policy.policies import checked
from tests.unit.policy.test_rules import DOES_NOT, FIRES

BEHIND: dict[frozenset[str], str] = {
    frozenset({"idle", "in_flight"}): "KA001 KA005 KA013 KA015",
    frozenset({"silence"}): "KA003 KA007",
    frozenset({"outage", "outage_in_flight"}): "KA009",
}
"""The rules that fire where one of these figures is not what was demanded."""


def glance(**keys: Any) -> Overview:
    """At a connection with these keys."""
    found = checked(**keys).checked[0].overview
    assert found is not None
    return found


@pytest.mark.parametrize(
    "keys", [keys for _, keys in FIRES + DOES_NOT], ids=[rule for rule, _ in FIRES + DOES_NOT]
)
def test_a_demand_is_not_met_exactly_where_a_rule_fires(keys: dict[str, Any]) -> None:
    """But for idle timeouts of proxies, which no figure is compared with."""
    found, fired = glance(**keys), {each.rule for each in checked(**keys).findings}
    for columns, rules in BEHIND.items():
        unmet = any(getattr(found, column).met is False for column in columns)
        by_rules = bool(fired & set(rules.split()))
        proxied = any(isinstance(hop, dict) and hop.get("proxy") for hop in keys.get("path", []))
        assert unmet == by_rules or (proxied and fired & {"KA007"})


def test_the_worst_hz_is_named() -> None:
    """340/10/3 at HZ=100 for what comes late, at 300 for the last probe."""
    found = glance(idle_s=340, interval_s=10, count=3, path=["aws-nlb"], detect_idle_within_s=420)
    assert found.idle == Figure(worst_s=411.68, hz=100, demand_s=420.0, met=True)
    assert found.silence == Figure(worst_s=380.96, hz=100, demand_s=350, met=False)
    assert found.outage.hz == 300
    assert found.in_flight.met is None


def test_a_heartbeat_does_not_ask_for_hz() -> None:
    """It keeps the flow known. In an outage HZ decides when TCP sends it again."""
    beat = {"every_s": 30, "timeout_s": 10, "misses": 2, "apart": True}
    found = glance(heartbeat=beat, path=["aws-nlb"], detect_within_s=60)
    assert found.idle == Figure(worst_s=50.0, demand_s=60.0, met=True)
    assert found.silence == Figure(worst_s=30.0, demand_s=350, met=True)
    assert found.outage == Figure(worst_s=12.79, hz=100)
    assert found.in_flight.worst_s == 50.0


def test_nothing_is_a_figure_of_nothing() -> None:
    """No keepalive, no heartbeat."""
    found = glance(detect_within_s=9, path=["aws-nlb"])
    assert (found.idle.worst_s, found.idle.met) == (None, False)
    assert (found.silence.worst_s, found.silence.met) == (None, False)
    assert (found.outage.worst_s, found.outage.met) == (None, None)


def test_a_user_timeout_bounds_a_heartbeat_in_flight() -> None:
    """Idle and with data in flight, though the heartbeat waits longer."""
    beat = {"every_s": 60, "timeout_s": 60, "apart": True}
    found = glance(heartbeat=beat, user_timeout_s=10, detect_within_s=120)
    assert found.idle.worst_s is not None
    assert found.in_flight.worst_s is not None
    assert 70 < found.idle.worst_s < 73
    assert 10 < found.in_flight.worst_s < 13


def test_an_outage_is_told_apart_for_idle_and_in_flight() -> None:
    """Without keepalive an idle one survives any; a user timeout of 25 s ends the other."""
    short, long = glance(survive_s=20, user_timeout_s=25), glance(survive_s=20, user_timeout_s=90)
    assert (short.outage.worst_s, short.outage.met) == (None, True)
    assert (short.outage_in_flight.worst_s, short.outage_in_flight.met) == (12.79, False)
    assert long.outage_in_flight.met


def test_a_heartbeat_apart_counts_with_data_in_flight() -> None:
    """Any other waits while the program is sending."""
    beat = {"every_s": 30, "timeout_s": 5}
    for apart, met in ((True, False), (False, True)):
        found = glance(heartbeat={**beat, "apart": apart}, survive_s=20)
        assert (found.outage.met, found.outage_in_flight.met) == (False, met)
