"""From settings to findings: what the oracle itself predicts, suppressions, order and exit
status.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.oracle import established
from harness.oracle.effects import Effect, Unpredictable
from harness.oracle.established_query import Question
from harness.oracle.prediction import Machine
from harness.plan import predict
from harness.policy import registry
from harness.policy.check import check
from harness.policy.facts import Facts
from harness.policy.rule import Draft, Rule
from harness.policy.settings import EVERY_HZ, Notice, Place
from tests.unit.policy.policies import checked, connection, found
from tests.unit.strategies import sweep

KEEPALIVE: dict[str, Any] = {"idle_s": 60, "interval_s": 10, "count": 3}


def settings() -> st.SearchStrategy[dict[str, Any]]:
    """Of keepalive, from short to long."""
    return st.fixed_dictionaries(
        {
            "idle_s": st.integers(1, 900),
            "interval_s": st.integers(1, 90),
            "count": st.integers(1, 12),
        },
        optional={"user_timeout_s": st.integers(1, 900)},
    )


@sweep(40, exhaustively=1000)
@given(settings(), st.integers(-4, 4), st.sampled_from(EVERY_HZ))
def test_what_is_in_time_is_so_in_the_prediction(keys: dict[str, Any], off_s: int, hz: int) -> None:
    """Around the last moment of `harness predict`.

    And late is late where keepalive begins with the idle time.
    """
    idle_s, interval_s = keys["idle_s"], keys["interval_s"]
    forecast = predict.of_options(
        idle_s, interval_s, keys["count"], float(keys.get("user_timeout_s", 0)), hz
    )
    assert forecast.outcome.window_ns is not None
    latest_ns = forecast.outcome.window_ns[1]
    demand_s = max(1, latest_ns // 1_000_000_000 + off_s)
    late = found("KA015", **keys, hz=[hz], detect_idle_within_s=demand_s)
    is_late = latest_ns > demand_s * 1_000_000_000
    assert late or not is_late
    if idle_s > 2 * interval_s and "user_timeout_s" not in keys:
        assert bool(late) == is_late


@sweep(40, exhaustively=1000)
@given(settings(), st.integers(-40, 40), st.sampled_from(EVERY_HZ))
def test_what_outlives_a_middlebox_does_so_in_the_prediction(
    keys: dict[str, Any], off_s: int, hz: int
) -> None:
    """The live peer's answers keep the flow known, or a probe comes too late at some phase."""
    limit_s = max(1, max(keys["idle_s"], keys["interval_s"]) + off_s)
    box = Effect(mechanism="expires", timeout_s=float(limit_s), then="reset")
    horizon_ns = 6 * (keys["idle_s"] + keys["interval_s"]) * 1_000_000_000
    question = Question(connection(**keys).settings, Machine(hz=hz), (box,), horizon_ns)
    lost = any(each.errno == "ECONNRESET" for each in established.predict(question).outcomes)
    path = [{"idle_timeout_s": limit_s, "then": "reset"}]
    late = found("KA003", **keys, hz=[hz], path=path)
    assert late or not lost
    if keys["idle_s"] > 2 * keys["interval_s"]:
        assert bool(late) == lost


# --- suppression --------------------------------------------------------------------------------


def test_a_suppressed_finding_is_kept_apart() -> None:
    """It is no finding, and the exit status is that of the others."""
    result = checked(**{**KEEPALIVE, "count": 1}, ignore={"KA006": "a reason"})
    assert not result.findings
    assert result.exit_status == 0
    assert [each.rule for each in result.checked[0].suppressed] == ["KA006"]


def test_a_suppression_of_a_rule_that_was_not_applied_is_not_called_unused() -> None:
    """Nobody knows whether it is needed."""
    rules = registry.selected(["KA003", "KA100"], [])
    assert not check([connection(**KEEPALIVE, ignore={"KA006": "a reason"})], rules).findings


def test_the_rule_about_suppressions_can_be_suppressed_and_left_out() -> None:
    """As any other."""
    keys = {**KEEPALIVE, "ignore": {"KA006": "for later", "KA100": "for later"}}
    assert not checked(**keys).findings
    assert not check(
        [connection(**{**KEEPALIVE, "ignore": {"KA006": "x"}})], registry.selected([], ["KA100"])
    ).findings


# --- order and exit status ----------------------------------------------------------------------


def test_a_finding_says_what_the_file_notices_about_its_keys() -> None:
    """In every report; what is about other keys is told beside the report alone."""
    place = Place("g.json", 1, 2)
    notices = (
        Notice(place, "grpc.keepalive_time_ms", "does not watch", ("keepalive",)),
        Notice(place, "timeout", "is something else", ("count_of_nothing",)),
    )
    of_file = msgspec.structs.replace(connection(detect_within_s=60), notices=notices)
    found = {each.rule: each for each in check([of_file], registry.selected([], [])).findings}
    assert found["KA001"].found == (
        "keepalive off and no heartbeat; grpc.keepalive_time_ms does not watch"
    )
    assert "grpc." not in found["KA005"].found


def test_the_worst_come_first() -> None:
    """Errors, then warnings, then notes."""
    result = checked(idle_s=340, user_timeout_s=30, path=["aws-nlb"], detect_within_s=100)
    levels = [each.level for each in result.findings]
    assert levels == sorted(levels, key=["error", "warning", "note"].index)
    assert set(levels) == {"error", "warning", "note"}


@pytest.mark.parametrize(
    ("keys", "status"),
    [
        (KEEPALIVE, 0),
        ({"user_timeout_s": 30}, 0),
        ({**KEEPALIVE, "count": 1}, 1),
        ({"detect_within_s": 9}, 1),
    ],
    ids=["nothing", "a note", "a warning", "an error"],
)
def test_the_exit_status(keys: dict[str, Any], status: int) -> None:
    """Notes are no failures."""
    assert checked(**keys).exit_status == status


def _unpredictable(facts: Facts) -> Iterator[Draft]:
    if facts.hz:
        raise Unpredictable("no model covers it")
    yield Draft(expected="", found="", fix="")


def test_what_no_model_covers_is_not_answered() -> None:
    """It ends with 3, and with 1 beside a finding; a suppression of it is not called unused."""
    puzzle = Rule(id="KA006", level="error", title="t", page="", find=_unpredictable)
    result = check(
        [connection(**KEEPALIVE, ignore={"KA006": "x"})],
        [puzzle, *registry.selected(["KA100"], [])],
    )
    assert [(each.rule, each.why) for each in result.unanswered] == [
        ("KA006", "no model covers it")
    ]
    assert not result.findings
    assert result.exit_status == 3
    rules = [puzzle, *registry.selected(["KA001"], [])]
    assert check([connection(detect_within_s=9)], rules).exit_status == 1


def _half_answered(facts: Facts) -> Iterator[Draft]:
    yield Draft(expected="this", found="that", fix="do it")
    yield from _unpredictable(facts)


def test_what_is_found_before_a_rule_gives_up_is_kept() -> None:
    """Both are told, and the finding decides the exit status."""
    puzzle = Rule(id="KA006", level="error", title="t", page="", find=_half_answered)
    result = check([connection(**KEEPALIVE)], [puzzle])
    assert [each.found for each in result.findings] == ["that"]
    assert [each.why for each in result.unanswered] == ["no model covers it"]
    assert result.exit_status == 1
