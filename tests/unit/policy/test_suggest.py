"""Settings for demands: what is suggested passes, and what is refused does not."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.firewall_presets import PRESETS
from harness.oracle import idle_bounds
from harness.policy import suggest_ways
from harness.policy.check import check
from harness.policy.registry import every_rule
from harness.policy.settings import EVERY_HZ, Connection, Terms
from harness.policy.suggest import Suggestion, suggest
from tests.unit.policy.policies import checked, connection
from tests.unit.strategies import sweep

BEAT = {"every_s": 30, "timeout_s": 10, "misses": 2, "apart": True}


def suggested(**keys: Any) -> Suggestion:
    """For a connection with these keys."""
    return suggest(connection(**keys))


def terms(found: Suggestion) -> Terms:
    """The settings and demands of what was suggested."""
    assert found.checked is not None
    return found.checked.connection.terms


def chosen(found: Suggestion) -> tuple[float | None, ...]:
    """Idle, interval, count and user timeout."""
    of = terms(found)
    return of.idle_s, of.interval_s, of.count, of.user_timeout_s


def passes(of: Terms) -> bool:
    """Whether a check finds no error and no warning."""
    return check([Connection(name="db", terms=of)], list(every_rule().values())).exit_status == 0


@st.composite
def demands(draw: st.DrawFn) -> dict[str, Any]:
    """Of which most can be met, and some cannot."""
    keys: dict[str, Any] = {"hz": draw(st.sampled_from([EVERY_HZ, (250,), (1000, 100)]))}
    for key, most in (
        ("detect_within_s", 900),
        ("detect_idle_within_s", 900),
        ("detect_in_flight_within_s", 120),
        ("survive_s", 60),
    ):
        if draw(st.booleans()):
            keys[key] = draw(st.one_of(st.integers(2, 60), st.integers(61, max(most, 61))))
    keys["path"] = draw(st.lists(st.sampled_from(sorted(PRESETS)), max_size=2))
    program = draw(st.integers(0, 6))
    if program == 0:
        keys["heartbeat"] = BEAT
    elif program == 1:
        keys["inactivity_close_s"] = draw(st.integers(10, 400))
    return keys


@sweep(7, exhaustively=400)
@given(demands())
def test_what_is_suggested_passes_and_longer_idle_times_do_not(keys: dict[str, Any]) -> None:
    """The reliefs of what is refused pass, too."""
    found = suggested(**keys)
    if found.conflict is not None:
        for relief in found.conflict.reliefs:
            assert relief.demand.asked_s != relief.met_s
        return
    of = terms(found)
    assert passes(of)
    if of.idle_s is None or of.interval_s is None or of.count is None:
        return
    near = itertools.product(*(range(value - 1, value + 2) for value in (of.interval_s, of.count)))
    for interval_s, count in near:
        if interval_s >= 1 <= count:
            longer = msgspec.structs.replace(
                of, idle_s=of.idle_s + 1, interval_s=interval_s, count=count
            )
            assert not passes(_with_a_user_timeout(longer))


@sweep(15, exhaustively=2000)
@given(
    st.integers(2, 12),
    st.integers(1, 9),
    st.none() | st.integers(2, 12),
    st.lists(
        st.tuples(st.integers(1, 10), st.integers(1, 4), st.integers(1, 9), st.integers(0, 12)),
        min_size=5,
        max_size=5,
    ),
)
def test_where_none_are_suggested_none_pass(
    detect_s: int, survive_s: int, limit_s: int | None, tried: list[tuple[int, int, int, int]]
) -> None:
    """Of short settings, which might."""
    path = [{"idle_timeout_s": limit_s, "then": "drop"}] if limit_s else []
    keys = {"detect_within_s": detect_s, "survive_s": survive_s, "path": path, "hz": [250]}
    found = suggested(**keys)
    assert (found.exit_status == 0) == (found.conflict is None)
    for idle_s, interval_s, count, user_timeout_s in tried:
        settings = {
            "idle_s": idle_s + interval_s - 1,
            "interval_s": interval_s,
            "count": count,
            "user_timeout_s": user_timeout_s,
        }
        if found.conflict is not None:
            assert not passes(connection(**keys, **settings).terms)


def _with_a_user_timeout(of: Terms) -> Terms:
    """With the shortest in whole seconds that leaves it to the count, where there is one."""
    if of.user_timeout_s is None:
        return of
    settings = Connection(name="db", terms=of).settings
    least_ms = max(idle_bounds.counted_ms(settings, hz)[0] for hz in of.hz)
    return msgspec.structs.replace(of, user_timeout_s=-(-least_ms // 1000))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"path": ["aws-nlb"], "detect_within_s": 400}, (293, 36, 2, 365)),
        ({"path": ["azure-lb"]}, (223, 223, 2, None)),
        ({"detect_within_s": 120, "survive_s": 20}, (86, 7, 4, 114)),
        ({"detect_idle_within_s": 120, "survive_s": 20}, (93, 1, 21, None)),
        ({"detect_in_flight_within_s": 30}, (None, None, None, 29)),
        ({"survive_s": 30}, (None, None, None, None)),
        ({"path": ["linux-conntrack"]}, (None, None, None, None)),
        ({"detect_within_s": 120, "heartbeat": BEAT}, (None, None, None, None)),
        ({"detect_within_s": 20, "heartbeat": BEAT}, (14, 2, 2, 18)),
        ({"detect_within_s": 40, "heartbeat": BEAT}, (None, None, None, 9)),
        ({"path": ["aws-nlb"], "idle_close_s": 60}, (None, None, None, None)),
        ({"detect_within_s": 120, "idle_close_s": 60}, (None, None, None, 117)),
        ({"detect_within_s": 120, "inactivity_close_s": 60}, (None, None, None, 117)),
        ({"detect_in_flight_within_s": 5}, (None, None, None, 4)),
        ({"detect_in_flight_within_s": 1}, (None, None, None, 0.5)),
    ],
)
def test_known_answers(keys: dict[str, Any], expected: tuple[float | None, ...]) -> None:
    """With the longest idle time, and no keepalive or user timeout where nothing needs them."""
    found = suggested(**keys)
    assert chosen(found) == expected
    assert found.exit_status == 0
    assert passes(terms(found))


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_has_settings(preset: str) -> None:
    """With demands for detection and outages."""
    found = suggested(
        path=[preset], detect_within_s=600, survive_s=60, side="server", hz=[100, 1000]
    )
    assert passes(terms(found))


def test_demands_that_contradict_each_other_are_named_with_what_would_do() -> None:
    """An outage longer than detection may take."""
    found = suggested(detect_within_s=30, survive_s=60)
    assert found.exit_status == 1
    assert found.conflict is not None
    met = {each.demand.key: each.met_s for each in found.conflict.reliefs}
    assert met == {"detect_within_s": 118, "survive_s": 20}
    for keys in (
        {"detect_within_s": 118, "survive_s": 60},
        {"detect_within_s": 30, "survive_s": 20},
    ):
        relieved = connection(**keys)
        met_by = suggest_ways.known_settings(relieved)
        assert met_by is not None
        assert passes(suggest_ways.with_settings(relieved, met_by).terms)


def test_a_user_timeout_ends_a_heartbeat_that_probes_run_beside() -> None:
    """The heartbeat is too rare for the device and waits too long for the demand."""
    beat = {"every_s": 4, "timeout_s": 5, "misses": 2}
    path = [{"idle_timeout_s": 2, "then": "drop"}]
    demands_ = {"detect_idle_within_s": 12, "detect_in_flight_within_s": 8, "survive_s": 5}
    found = suggested(**demands_, path=path, heartbeat=beat, hz=[100])
    assert found.exit_status == 0
    assert passes(terms(found))


def test_hz_is_named_where_it_decides() -> None:
    """The same demands are met in a fleet of one HZ."""
    found = suggested(detect_idle_within_s=63, survive_s=60, hz=[100, 300])
    assert found.conflict is not None
    assert found.conflict.hz == (100, 300)
    assert suggested(detect_idle_within_s=63, survive_s=60, hz=[300]).exit_status == 0


def test_demands_that_must_be_given_up_together_are_named() -> None:
    """Neither is met without the other's being given up."""
    found = suggested(
        detect_idle_within_s=1, survive_s=2, path=[{"idle_timeout_s": 1, "then": "drop"}]
    )
    assert found.conflict is not None
    assert found.conflict.reliefs == ()
    assert {each.key for each in found.conflict.together} == {"detect_idle_within_s", "path"}


def test_the_demand_that_makes_probes_frequent_is_named() -> None:
    """With the idle time that there could be without it."""
    found = suggested(detect_within_s=120, survive_s=20, path=["aws-nlb"])
    assert {each.demand.key: each.idle_s for each in found.costs} == {
        "detect_within_s": 317,
        "survive_s": 102,
    }


def test_what_settings_cannot_mend_is_left() -> None:
    """A proxy's warning stays; a heartbeat too rare for it is an error."""
    proxy = [{"idle_timeout_s": 20, "proxy": True}]
    warned = suggested(detect_within_s=120, path=proxy)
    assert warned.result is not None
    assert [each.rule for each in warned.result.findings] == ["KA014", "KA010"]
    assert warned.exit_status == 0
    assert suggested(detect_within_s=120, path=proxy, heartbeat=BEAT).exit_status == 1


def test_suppressions_that_hide_nothing_any_more_are_dropped() -> None:
    """They would be findings."""
    found = suggested(
        detect_within_s=120, idle_s=60, ignore={"KA004": "meant", "KA010": "it always reads"}
    )
    assert terms(found).ignore == {"KA010": "it always reads"}


def test_what_no_model_covers_is_told() -> None:
    """A user timeout that would have to be followed for minutes."""
    found = suggested(detect_in_flight_within_s=1201.5, survive_s=1190)
    assert found.exit_status == 3
    assert "too long to be followed" in found.unanswered


def test_settings_of_before_have_no_say() -> None:
    """They are replaced."""
    demands_ = {"detect_within_s": 120, "survive_s": 20}
    before = {"keepalive": False, "user_timeout_s": 5, "idle_s": 7000, "count": 1}
    assert checked(**before, **demands_).exit_status == 1
    assert chosen(suggested(**before, **demands_)) == chosen(suggested(**demands_))
