"""Each rule: a case in which it fires, one in which it does not, and the figures on its page."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from harness.oracle.prediction import Settings
from harness.policy import answers, words
from harness.policy.registry import every_rule
from harness.policy.settings import EVERY_HZ
from tests.unit.policy.policies import checked, found

Keys = dict[str, Any]
KEEPALIVE: Keys = {"idle_s": 60, "interval_s": 10, "count": 3}
ALB: Keys = {"name": "alb", "proxy": True, "idle_timeout_s": 60}
BEAT: Keys = {"every_s": 30, "timeout_s": 10}
CASES: dict[str, tuple[list[Keys], list[Keys]]] = {
    "KA001": (
        [
            {"detect_within_s": 60},
            {"keepalive": False, "user_timeout_s": 5, "detect_idle_within_s": 60},
        ],
        [
            {},
            {**KEEPALIVE, "detect_within_s": 99},
            {"heartbeat": BEAT, "detect_within_s": 60},
            {"detect_in_flight_within_s": 2000},
            {"idle_close_s": 30, "detect_idle_within_s": 60},
            {"idle_close_s": 90, "detect_idle_within_s": 60},
        ],
    ),
    "KA002": (
        [
            {"idle_s": 60},
            {"idle_s": 60, "interval_s": 10},
            {"idle_s": 60, "count": 3},
            {"idle_s": 60, "user_timeout_s": 90},
            {"keepalive": True},
            {"interval_s": 10, "count": 3},
            {"interval_s": 10, "heartbeat": BEAT},
        ],
        [
            KEEPALIVE,
            {"idle_s": 60, "interval_s": 10, "user_timeout_s": 80},
            {"keepalive": True, "heartbeat": BEAT},
            {},
            {"idle_s": 60, "keepalive": False},
        ],
    ),
    "KA003": (
        [
            {"idle_s": 340, "path": ["aws-nlb"]},
            {"idle_s": 340, "path": ["aws-nlb", {"proxy": True}]},
            {"path": ["aws-nlb"]},
            {"idle_s": 5, "interval_s": 60, "count": 9, "path": [{"idle_timeout_s": 60}]},
            {"idle_s": 700, "path": ["gcp-vpc"], "side": "server"},
            {"idle_s": 260, "path": ["cisco-asa", "aws-nlb", "azure-lb"]},
            {"idle_close_s": 350, "path": ["aws-nlb"]},
        ],
        [
            {"idle_s": 300, "path": ["aws-nlb"]},
            {"idle_s": 340},
            {"idle_s": 340, "path": [{"idle_timeout_s": 300, "pickup": "loose"}]},
            {"idle_s": 700, "path": ["gcp-vpc"]},
            {"idle_s": 340, "path": [{**ALB, "idle_timeout_s": 300}]},
            {"idle_s": 340, "path": [{"proxy": True}, "aws-nlb"]},
            {"heartbeat": BEAT, "path": ["aws-nlb"]},
            {"idle_close_s": 349, "path": ["aws-nlb"]},
            {"inactivity_close_s": 50, "path": ["aws-nlb"]},
        ],
    ),
    "KA004": (
        [{**KEEPALIVE, "user_timeout_s": 30}, {**KEEPALIVE, "user_timeout_s": 300}],
        [KEEPALIVE, {**KEEPALIVE, "user_timeout_s": 88}, {"user_timeout_s": 30}],
    ),
    "KA005": (
        [
            {"detect_in_flight_within_s": 60},
            {"heartbeat": BEAT, "detect_within_s": 60},
            {"idle_close_s": 5, "detect_in_flight_within_s": 60},
            {"inactivity_close_s": 50, "detect_in_flight_within_s": 60},
        ],
        [
            {"detect_in_flight_within_s": 60, "user_timeout_s": 30},
            {"detect_in_flight_within_s": 60, "heartbeat": {**BEAT, "apart": True}},
            {"detect_in_flight_within_s": 2000},
            {"detect_idle_within_s": 60},
        ],
    ),
    "KA006": (
        [{**KEEPALIVE, "count": 1}, {**KEEPALIVE, "user_timeout_s": 30}],
        [KEEPALIVE, {**KEEPALIVE, "user_timeout_s": 85}, {"user_timeout_s": 30}],
    ),
    "KA007": (
        [
            {"heartbeat": {**BEAT, "every_s": 60}, "path": [ALB]},
            {**KEEPALIVE, "heartbeat": {**BEAT, "every_s": 90}, "path": [ALB]},
            {"heartbeat": {**BEAT, "every_s": 400}, "path": ["aws-nlb"]},
            {"idle_s": 340, "heartbeat": {**BEAT, "every_s": 350}, "path": ["aws-nlb"]},
            {
                **KEEPALIVE,
                "heartbeat": {**BEAT, "every_s": 400},
                "path": [{"proxy": True}, "aws-nlb"],
            },
        ],
        [
            {"heartbeat": BEAT, "path": [ALB, "aws-nlb"]},
            {**KEEPALIVE, "heartbeat": {**BEAT, "every_s": 400}, "path": ["aws-nlb"]},
            {
                **KEEPALIVE,
                "heartbeat": {**BEAT, "every_s": 400},
                "path": ["aws-nlb", {"proxy": True}],
            },
            {"heartbeat": {**BEAT, "every_s": 900}, "path": [{"name": "envoy", "proxy": True}]},
        ],
    ),
    "KA008": (
        [
            {"side": "server", "idle_close_s": 60, "path": [ALB]},
            {"side": "server", "idle_close_s": 5, "path": [ALB]},
        ],
        [
            {"side": "server", "idle_close_s": 65, "path": [ALB]},
            {"idle_close_s": 5, "path": [ALB]},
            {"side": "server", "idle_close_s": 5},
            {"side": "server", "path": [ALB]},
        ],
    ),
    "KA009": (
        [
            {**KEEPALIVE, "survive_s": 21},
            {**KEEPALIVE, "count": 1, "survive_s": 1},
            {**KEEPALIVE, "count": 6, "survive_s": 60},
            {"user_timeout_s": 20, "survive_s": 20},
            {"user_timeout_s": 25, "survive_s": 20},
            {"survive_s": 5000},
            {"heartbeat": BEAT, "survive_s": 10},
            {"heartbeat": BEAT, "survive_s": 8},
            {"heartbeat": BEAT, "survive_s": 9.5},
            {"heartbeat": {**BEAT, "misses": 3}, "survive_s": 28},
            {**KEEPALIVE, "heartbeat": {"every_s": 400, "timeout_s": 999}, "survive_s": 21},
            {"inactivity_close_s": 25, "survive_s": 20},
        ],
        [
            {"user_timeout_s": 30, "survive_s": 20},
            {**KEEPALIVE, "survive_s": 20},
            {**KEEPALIVE, "count": 6, "survive_s": 50},
            KEEPALIVE,
            {"survive_s": 500},
            {"heartbeat": BEAT, "survive_s": 5},
            {"heartbeat": BEAT, "survive_s": 6},
            {"heartbeat": {**BEAT, "misses": 3}, "survive_s": 12.5},
            {"inactivity_close_s": 30, "survive_s": 20},
            {
                **KEEPALIVE,
                "heartbeat": {"every_s": 30, "timeout_s": 100, "misses": 2},
                "survive_s": 100,
            },
        ],
    ),
    "KA010": ([{"user_timeout_s": 30}], [KEEPALIVE, {"user_timeout_s": 0}]),
    "KA011": (
        [{**KEEPALIVE, "set_on": "listener"}, {"user_timeout_s": 9, "set_on": "listener"}],
        [KEEPALIVE, {"set_on": "listener"}],
    ),
    "KA012": (
        [{"heartbeat": {**BEAT, "longest_message_s": 11}}],
        [{"heartbeat": BEAT}, {"heartbeat": {**BEAT, "misses": 2, "longest_message_s": 20}}],
    ),
    "KA013": (
        [{"idle_s": 340, "interval_s": 10, "count": 3, "detect_idle_within_s": 390}],
        [
            {
                "idle_s": 340,
                "interval_s": 10,
                "count": 3,
                "detect_idle_within_s": 390,
                "hz": [250, 300],
            },
            {
                "idle_s": 340,
                "interval_s": 10,
                "count": 3,
                "detect_idle_within_s": 390,
                "hz": [1000],
            },
            {**KEEPALIVE, "detect_idle_within_s": 20},
        ],
    ),
    "KA014": (
        [{**KEEPALIVE, "path": ["aws-nlb", {"name": "haproxy", "proxy": True}]}],
        [
            {**KEEPALIVE, "path": ["aws-nlb"]},
            {**KEEPALIVE, "heartbeat": BEAT, "path": [ALB]},
            {"path": [ALB]},
        ],
    ),
    "KA015": (
        [
            {**KEEPALIVE, "detect_idle_within_s": 90},
            {"user_timeout_s": 60, "detect_in_flight_within_s": 60},
            {"heartbeat": BEAT, "detect_idle_within_s": 39},
            {"heartbeat": {**BEAT, "apart": True}, "detect_in_flight_within_s": 39},
            {"idle_close_s": 90, "detect_idle_within_s": 60},
            {"inactivity_close_s": 90, "detect_idle_within_s": 60},
            {"inactivity_close_s": 9, "user_timeout_s": 60, "detect_in_flight_within_s": 60},
            {
                "heartbeat": {"every_s": 30, "timeout_s": 60},
                "user_timeout_s": 10,
                "detect_idle_within_s": 40,
            },
        ],
        [
            {
                "heartbeat": {"every_s": 30, "timeout_s": 60},
                "user_timeout_s": 10,
                "detect_idle_within_s": 50,
            },
            {**KEEPALIVE, "detect_idle_within_s": 96},
            {**KEEPALIVE, "detect_idle_within_s": 20, "idle_close_s": 20},
            {"inactivity_close_s": 60, "detect_idle_within_s": 60},
            {"user_timeout_s": 60, "detect_in_flight_within_s": 70},
            {"heartbeat": BEAT, "detect_idle_within_s": 40},
            {"idle_s": 340, "interval_s": 10, "count": 3, "detect_idle_within_s": 390},
        ],
    ),
    "KA100": (
        [{**KEEPALIVE, "ignore": {"KA006": "a reason"}}],
        [{**KEEPALIVE, "count": 1, "ignore": {"KA006": "a reason"}}, KEEPALIVE],
    ),
}
AUDITED = ("KA101", "KA102")
"""Rules of `harness audit` alone, with cases in audit/test_judging.py."""
FIRES = [(rule, keys) for rule, (fires, _) in CASES.items() for keys in fires]
DOES_NOT = [(rule, keys) for rule, (_, quiet) in CASES.items() for keys in quiet]


def test_every_rule_has_both_kinds_of_cases() -> None:
    """A new rule needs a line above, unless it is about live sockets."""
    assert [*CASES, *AUDITED] == list(every_rule())
    assert all(fires and quiet for fires, quiet in CASES.values())


@pytest.mark.parametrize(("rule", "keys"), FIRES, ids=[rule for rule, _ in FIRES])
def test_it_fires(rule: str, keys: Keys) -> None:
    """With all parts of a sentence."""
    (finding,) = found(rule, **keys)
    assert finding.level == every_rule()[rule].level
    assert all((finding.expected, finding.found, finding.fix, finding.title))
    assert set(finding.hz) <= set(keys.get("hz", EVERY_HZ))


@pytest.mark.parametrize(("rule", "keys"), DOES_NOT, ids=[rule for rule, _ in DOES_NOT])
def test_it_does_not_fire(rule: str, keys: Keys) -> None:
    """Nor is anything left without an answer."""
    assert not found(rule, **keys)
    assert not checked(**keys).unanswered


def test_the_reason_of_a_probe_behind_a_load_balancer_is_the_window_of_the_first_probe() -> None:
    """340/10/3 probes after 340 s and up to a bucket of 32.768 s at HZ=1000, 300/10/3 in time."""
    late = {"interval_s": 10, "count": 3, "path": ["aws-nlb"], "hz": [1000]}
    (finding,) = checked(idle_s=340, **late).findings
    assert (finding.rule, finding.hz, finding.window_s) == ("KA003", (1000,), (339.999, 372.768))
    assert "the first probe after 340 to 372.77 s at HZ=1000" in finding.found
    assert "aws-nlb, 350 s" in finding.expected
    assert not checked(idle_s=300, **late).findings


def test_it_says_when_hz_decides() -> None:
    """Of all HZ the worst counts, and those at which all is well are named."""
    (finding,) = found("KA013", idle_s=340, interval_s=10, count=3, detect_idle_within_s=390)
    assert finding.hz == (100, 1000)
    assert (
        finding.found == "370.48 to 411.68 s at HZ=100 (HZ decides: also at 1000, not at 250, 300)"
    )
    (finding,) = found("KA003", idle_s=320, path=["aws-nlb"])
    assert finding.hz == (1000,)
    assert "at HZ=1000 (HZ decides: not at 100, 250, 300)" in finding.found


def test_the_fix_of_one_lost_probe_mends_it() -> None:
    """At the HZ with the widest bucket."""
    keys = {"idle_s": 340, "interval_s": 10, "count": 3}
    (finding,) = found("KA006", **keys, user_timeout_s=361)
    assert finding.fix.startswith("set user_timeout_s to 392 or more, or idle_s to at most ")
    assert "391.2 s for 340/10/3" in every_rule()["KA006"].page
    assert found("KA006", **keys, user_timeout_s=391.2)
    assert not found("KA006", **keys, user_timeout_s=391.21)


def test_a_rest_left_to_the_system_is_so_at_every_hz() -> None:
    """Though one is the worst."""
    (finding,) = found("KA002", idle_s=60)
    assert finding.hz == EVERY_HZ


def test_a_user_timeout_is_named_in_place_of_the_count() -> None:
    """It decides when keepalive gives up."""
    (finding,) = found("KA015", **KEEPALIVE, user_timeout_s=300, detect_idle_within_s=120)
    assert finding.fix.startswith("set user_timeout_s to at most ")


def test_no_user_timeout_of_nothing_is_advised() -> None:
    """It would switch it off."""
    (finding,) = found("KA015", user_timeout_s=5, detect_in_flight_within_s=1)
    assert finding.fix.startswith("demand 1.2 s or more")


def test_a_heartbeat_that_decides_is_told_as_it_is() -> None:
    """Not as the beginning of something longer."""
    beat = {"every_s": 40, "timeout_s": 30, "apart": True}
    (finding,) = found("KA015", heartbeat=beat, user_timeout_s=100, detect_in_flight_within_s=60)
    assert finding.found.startswith("70 s at")
    assert finding.window_s == (70.0, 70.0)


def test_a_user_timeout_that_is_named_leaves_it_to_the_count() -> None:
    """None is named where there is none."""
    settings = {"idle_s": 60, "interval_s": 10, "count": 6}
    (finding,) = found("KA004", **settings, user_timeout_s=30)
    first, last = map(int, re.findall(r"(\d+) to (\d+)", finding.fix)[0])
    assert found("KA004", **settings, user_timeout_s=first) == []
    assert found("KA004", **settings, user_timeout_s=last) == []
    assert found("KA004", **settings, user_timeout_s=first - 1)
    settings = {"idle_s": 340, "interval_s": 10, "count": 3}
    (finding,) = found("KA004", **settings, user_timeout_s=30)
    assert finding.fix.startswith("no user timeout in whole seconds lets the 3 probes decide")


PAGES: dict[str, tuple[Callable[[int], str], int]] = {
    "KA002": (lambda hz: detected(hz, idle_s=60), 1),
    "KA003": (lambda hz: first_probe(hz, idle_s=340, interval_s=10, count=3), 1),
    "KA004": (
        lambda hz: detected(hz, idle_s=60, interval_s=10, count=6, user_timeout_ms=30_000),
        2,
    ),
    "KA009": (lambda hz: outage(hz, idle_s=60, interval_s=10, count=3), 1),
    "KA013": (lambda hz: detected(hz, idle_s=340, interval_s=10, count=3), 1),
}
"""The column of a page's table, and how the oracle has it."""


def idle(hz: int, **settings: Any) -> answers.Idle:
    """What keepalive does with these settings."""
    found_ = answers.idle(Settings(**settings), hz)
    assert found_ is not None
    return found_


def detected(hz: int, **settings: Any) -> str:
    """The window as a page writes it."""
    return words.window(idle(hz, **settings).end)


def first_probe(hz: int, **settings: Any) -> str:
    """The same of the first probe."""
    return words.window(idle(hz, **settings).first_probe)


def outage(hz: int, **settings: Any) -> str:
    """The longest that is survived."""
    return words.seconds(idle(hz, **settings).outage_ns)


@pytest.mark.parametrize("rule", PAGES)
def test_the_figures_of_a_page_are_the_oracles(rule: str) -> None:
    """At each HZ."""
    computed, column = PAGES[rule]
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", every_rule()[rule].page, re.MULTILINE)
    assert {int(hz): cells.split(" | ")[column - 1] for hz, cells in rows} == {
        hz: computed(hz) for hz in EVERY_HZ
    }


@pytest.mark.parametrize("rule", every_rule().values(), ids=list(every_rule()))
def test_a_page_says_when_a_rule_fires_and_how_to_fix_it(rule: Any) -> None:
    """And where that comes from, for all that is about TCP."""
    assert "The rule fires" in rule.page
    assert "How to fix it:" in rule.page
    assert "Source:" in rule.page or rule.id == "KA100"
    assert re.fullmatch(r"KA\d{3}", rule.id)
