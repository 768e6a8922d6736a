"""Durations in words: what they are in seconds, where they are taken, and what is suspected to be
milliseconds.
"""

from __future__ import annotations

from typing import Any

import msgspec
import msgspec.inspect as types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ScenarioError
from harness.faults import Blackhole
from harness.model import durations
from harness.scenario import loader
from harness.scenario.decode_errors import complaints
from harness.scenario.schema import Expect, Keepalive, Scenario
from harness.scenario.suites import Suite


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("2.5", 2.5),
        ("1e3", 1000),
        ("-1", -1),
        ("60s", 60),
        ("500ms", 0.5),
        ("0.1s", 0.1),
        ("1.5 h", 5400),
        ("2h", 7200),
        ("1m30s", 90),
        ("1min 30s", 90),
        ("2h 11min 15s", 7875),
        ("1d", 86400),
        ("250us", 0.00025),
        ("1h1ms", 3600.001),
    ],
)
def test_durations_are_read_exactly(text: str, seconds: float) -> None:
    """To the float that the number of seconds would be; an integer where it is whole."""
    found = durations.seconds(text)
    assert found == seconds
    assert isinstance(found, int) == (seconds == int(seconds))


@pytest.mark.parametrize(
    "text", ["", "s", "soon", "60 seconds", "30s1m", "1m1m", "1m 30", "nan", "inf", "1,5s", "-1s"]
)
def test_other_texts_are_no_durations(text: str) -> None:
    """Rather refused than guessed."""
    with pytest.raises(ValueError, match="expected"):
        durations.seconds(text)


@given(
    st.integers(0, 10**7),
    st.integers(0, 23),
    st.integers(0, 59),
    st.integers(0, 59),
    st.integers(0, 999),
)
def test_parts_add_up(days: int, hours: int, minutes: int, seconds: int, ms: int) -> None:
    """Without an error of rounding."""
    whole = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    assert (
        durations.seconds(f"{days}d{hours}h{minutes}m{seconds}s{ms}ms")
        == (whole * 1000 + ms) / 1000
    )


def test_milliseconds_have_units_too() -> None:
    """A bare number is of them."""
    assert [durations.milliseconds(text) for text in ("30", "30ms", "1.5s", "250us")] == [
        30,
        30,
        1500,
        0.25,
    ]


def test_every_key_of_seconds_takes_a_duration() -> None:
    """Keepalive's whole numbers, faults' and claims' times, arrays of them.

    What has no unit stays text.
    """
    raw = {
        "client": {
            "keepalive": {"idle_s": "1m30s", "interval_s": "10s"},
            "user_timeout_s": "500ms",
        },
        "faults": [{"kind": "blackhole", "at_s": "2h", "for_s": "1.5s"}],
        "expect": {"outcome": "detected", "errno": "ETIMEDOUT", "window_s": ["2h", "3h"]},
    }
    found = loader.from_mapping(raw)
    assert found.client.keepalive == Keepalive(idle_s=90, interval_s=10)
    assert found.client.user_timeout_s == 0.5
    assert found.faults == (Blackhole(at_s=7200.0, for_s=1.5),)
    assert found.expect == Expect(outcome="detected", errno="ETIMEDOUT", window_s=(7200.0, 10800.0))
    assert list(complaints(raw, Scenario)) == []
    json = msgspec.json.encode(found)
    assert loader.from_mapping(msgspec.json.decode(json)) == found


def test_a_commands_environment_is_its_own() -> None:
    """Variables whose name ends like a key of seconds are left alone."""
    command = {
        "argv": ["x"],
        "env": {"IDLE_s": "60s"},
        "detects": {"exits": True},
        "ready": {"within_s": "2m"},
    }
    made = loader.from_mapping(
        {"client": {"command": command}, "expect": {"outcome": "never"}}
    ).client.command
    assert made is not None
    assert made.env == {"IDLE_s": "60s"}
    assert made.ready.within_s == 120


@pytest.mark.parametrize(
    ("keepalive", "message"),
    [
        (
            {"idle_s": "soon"},
            (
                "client.keepalive.idle_s: expected an integer from 1 to 32767 (seconds), or a "
                "duration such as "
                "90s, 1m30s or 500ms, found 'soon'"
            ),
        ),
        (
            {"idle_s": "10h"},
            "client.keepalive.idle_s: expected an integer from 1 to 32767 (seconds), found '10h'",
        ),
        (
            {"idle_s": "500ms"},
            "client.keepalive.idle_s: expected an integer from 1 to 32767 (seconds), found '500ms'",
        ),
        (
            {"idle_s": 60000},
            (
                "client.keepalive.idle_s: expected an integer from 1 to 32767 (seconds) (did you "
                "mean 60 s, which are "
                "60000 ms?), found 60000"
            ),
        ),
        (
            {"idle_s": 60001},
            "client.keepalive.idle_s: expected an integer from 1 to 32767 (seconds), found 60001",
        ),
        ({"count": "3s"}, "client.keepalive.count: expected an integer from 1 to 127, found '3s'"),
    ],
)
def test_what_is_no_duration_is_told(keepalive: dict[str, object], message: str) -> None:
    """With what was written, not what was made of it."""
    with pytest.raises(ScenarioError) as caught:
        loader.from_mapping({"client": {"keepalive": keepalive}}, "f")
    assert str(caught.value) == f"f: {message}"


def _fields(kind: types.Type, seen: set[type]) -> dict[str, types.Type]:
    """All keys below a type, each with its own."""
    found: dict[str, types.Type] = {}
    inner: tuple[types.Type, ...] = ()
    match kind:
        case types.StructType() if kind.cls not in seen:
            seen.add(kind.cls)
            found = {field.encode_name: field.type for field in kind.fields}
            inner = tuple(found.values())
        case types.UnionType():
            inner = tuple(kind.types)
        case types.VarTupleType() | types.ListType():
            inner = (kind.item_type,)
        case _:
            pass
    for each in inner:
        found |= _fields(each, seen)
    return found


def test_keys_of_seconds_are_told_by_their_names() -> None:
    """A new key that ends in `_s` is one of seconds; the two rates are the only others."""
    seen: set[type] = set()
    keys = _fields(types.type_info(Scenario), seen) | _fields(types.type_info(Suite), seen)
    assert {"idle_s", "at_s", "window_s", "within_s", "documented_s", "most_retry_s"} <= set(keys)
    assert {key for key in keys if key.endswith("_s") and not durations.is_seconds(key)} == {
        "kbit_s",
        "rate_kb_s",
    }


def test_a_rate_is_not_in_seconds() -> None:
    """Neither taken as a duration nor told with that unit."""
    raw: dict[str, Any] = {"faults": [{"kind": "rate", "at_s": 1, "kbit_s": "64s"}]}
    with pytest.raises(
        ScenarioError, match=r"kbit_s: expected a number from 0.1 to 10000000, found '64s'"
    ):
        loader.from_mapping(raw, "f")


def test_nesting_without_end_is_left_to_the_complaint() -> None:
    """It is data that nobody can want, and no crash."""
    nested: Any = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(ScenarioError, match="expected"):
        loader.from_mapping({"x": nested}, "f")
