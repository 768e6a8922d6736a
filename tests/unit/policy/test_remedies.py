"""The values that fixes name: they mend the finding, the next ones do not, and no demand breaks."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from harness.policy.check import check
from harness.policy.registry import every_rule
from harness.policy.settings import Connection, Place, Terms
from tests.unit.policy.policies import checked, found

Keys = dict[str, Any]
RARE: Keys = {"idle_s": 340, "interval_s": 10, "count": 3}
OFTEN: Keys = {"idle_s": 60, "interval_s": 10, "count": 3}
DEMANDS = {"KA001", "KA003", "KA005", "KA009", "KA013", "KA015"}
"""Rules that say that a demand is missed."""


def missed(keys: Keys) -> set[tuple[str, str]]:
    """The demands that are."""
    return {(each.rule, each.expected) for each in checked(**keys).findings if each.rule in DEMANDS}


@pytest.mark.parametrize(
    ("rule", "keys", "key"),
    [
        ("KA003", {**RARE, "path": ["aws-nlb"]}, "idle_s"),
        ("KA003", {"idle_s": 5, "interval_s": 60, "path": [{"idle_timeout_s": 60}]}, "interval_s"),
        ("KA005", {"detect_in_flight_within_s": 120}, "user_timeout_s"),
        ("KA005", {**OFTEN, "detect_within_s": 120}, "user_timeout_s"),
        ("KA005", {"detect_in_flight_within_s": 120, "survive_s": 20}, "user_timeout_s"),
        ("KA015", {**RARE, "detect_idle_within_s": 120}, "idle_s"),
        ("KA015", {**OFTEN, "interval_s": 30, "detect_idle_within_s": 120}, "interval_s"),
        ("KA015", {**OFTEN, "count": 9, "detect_idle_within_s": 120}, "count"),
        ("KA015", {**OFTEN, "user_timeout_s": 300, "detect_within_s": 120}, "user_timeout_s"),
        ("KA006", {**OFTEN, "user_timeout_s": 65}, "user_timeout_s"),
        ("KA009", {**OFTEN, "survive_s": 40, "detect_idle_within_s": 120}, "count"),
        ("KA009", {**OFTEN, "survive_s": 40, "detect_idle_within_s": 200}, "interval_s"),
        ("KA009", {"user_timeout_s": 25, "survive_s": 20}, "user_timeout_s"),
    ],
)
def test_a_fix_names_the_exact_bounds(rule: str, keys: Keys, key: str) -> None:
    """Each end mends the finding and breaks no demand; what is beyond it does one of both."""
    finding = found(rule, **keys)[0]
    told = re.search(
        rf"\b{key} to (?:at most (?P<most>\d+)|"
        r"(?:a value from )?(?P<from>\d+)(?: to (?P<to>\d+))?)",
        finding.fix,
    )
    assert told, finding.fix
    ends = {name: int(value) for name, value in told.groupdict().items() if value}
    before = missed(keys)
    for name, value in ends.items():
        tried = {**keys, key: value}
        assert (rule, finding.expected) not in {
            (each.rule, each.expected) for each in checked(**tried).findings
        }
        assert missed(tried) <= before - {(rule, finding.expected)}
        beyond = {**keys, key: value + (-1 if name == "from" else 1)}
        assert found(rule, **beyond) or missed(beyond) - before


def test_what_no_single_value_mends_is_left_to_suggest() -> None:
    """A user timeout that leaves room for two probes would miss the demand for data in flight."""
    keys = {"idle_s": 300, "interval_s": 30, "count": 3, "user_timeout_s": 30}
    (finding,) = found("KA006", **keys, detect_in_flight_within_s=120)
    assert finding.fix.startswith("no single value is enough: `harness suggest`")
    (alone,) = found("KA006", **keys)
    assert alone.fix.startswith("set user_timeout_s to ")


def test_a_user_timeout_that_needs_shorter_keepalive_says_so() -> None:
    """It replaces the count, which is what survives the outage."""
    (finding,) = found("KA005", **RARE, survive_s=10, detect_in_flight_within_s=120)
    assert finding.fix.startswith("set user_timeout_s to at most 118, with shorter keepalive times")


def test_keepalive_that_is_off_is_told_how_short_it_must_be() -> None:
    """As long as `harness suggest` makes it."""
    (finding,) = found("KA003", keepalive=False, path=["aws-nlb"])
    assert finding.fix == "set keepalive, idle_s to at most 317, and interval_s no longer than that"
    for idle_s, is_late in ((317, False), (318, True)):
        keys = {"idle_s": idle_s, "interval_s": idle_s, "count": 3, "path": ["aws-nlb"]}
        assert bool(found("KA003", **keys)) is is_late


def test_a_count_of_one_becomes_three_where_the_demand_allows_it() -> None:
    """Two probes may then be lost."""
    keys = {"idle_s": 60, "interval_s": 10, "count": 1}
    (finding,) = found("KA006", **keys, detect_idle_within_s=120)
    assert finding.fix == "set count to a value from 3 to 5"
    (tight,) = found("KA006", **keys, detect_idle_within_s=80)
    assert tight.fix == "set count to 3 with a shorter idle_s or interval_s"


def test_a_file_is_told_the_directives_of_what_the_fix_names() -> None:
    """And no others, which would not be enough."""
    directives = {"idle_s": "time", "interval_s": "intvl", "count": "probes"}
    terms = msgspec.convert({**RARE, "detect_idle_within_s": 120}, Terms)
    place = Place("sysctl.conf", 1, 1)
    named = Connection(name="system", terms=terms, place=place, directives=directives)
    (finding,) = check([named], [every_rule()["KA015"]]).findings
    assert finding.fix == "set idle_s to at most 84 (in this file: time for idle_s)"
