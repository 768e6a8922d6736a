"""What a file states and what its software fills in: terms, places, sources, and errors."""

from __future__ import annotations

import pytest

from harness.errors import PolicyError
from harness.policy.check import check
from harness.policy.registry import every_rule
from harness.policy.settings import Heartbeat, Place
from harness.policy.stated import Filled, Stated, connection

HERE = Place("x.conf", 2, 5)
LISTED = Place("x.conf", 1, 1)


def stated(value: object, written: str = "60s") -> Stated:
    """At HERE."""
    return Stated(value=value, place=HERE, directive="tcp-idle", written=written)


def test_what_is_stated_comes_before_what_is_filled_in() -> None:
    """Each with its place or its source."""
    made = connection(
        "db",
        LISTED,
        {"idle_s": stated(60), "heartbeat.every_s": stated(30)},
        {
            "idle_s": Filled(300, "x's default"),
            "count": Filled(3, "x's default"),
            "heartbeat.timeout_s": Filled(5, "x's rule"),
        },
    )
    assert (made.terms.idle_s, made.terms.count) == (60, 3)
    assert made.terms.heartbeat == Heartbeat(every_s=30, timeout_s=5)
    assert made.places == {"idle_s": HERE, "heartbeat.every_s": HERE, "heartbeat": HERE}
    assert made.defaults == {"count": "x's default", "heartbeat.timeout_s": "x's rule"}


def test_a_finding_says_whose_default_a_value_is() -> None:
    """The software's, or the system's where it sets none."""
    made = connection(
        "db",
        LISTED,
        {"idle_s": stated(340)},
        {"count": Filled(2, "x's default"), "interval_s": Filled(None, "the pod's sysctl")},
    )
    (found,) = [
        each for each in check([made], list(every_rule().values())).findings if each.rule == "KA002"
    ]
    assert found.place == HERE
    assert "interval_s = 75, the pod's sysctl" in map(str, found.defaults)
    assert len(set(found.defaults)) == len(found.defaults)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "idle_s",
            40000,
            "x.conf:2:5: tcp-idle: expected an integer from 1 to 32767 (seconds)",
        ),
        ("user_timeout_s", 0.0001, "x.conf:2:5: tcp-idle: expected seconds in whole"),
        ("heartbeat.misses", 0, "x.conf:2:5: tcp-idle: expected an integer from 1 to 1000"),
    ],
)
def test_a_value_that_the_kernel_refuses_is_an_error_where_it_stands(
    key: str, value: object, message: str
) -> None:
    """In the words of the file."""
    filled = {f"heartbeat.{each}": Filled(5, "x") for each in ("every_s", "timeout_s")}
    with pytest.raises(PolicyError) as caught:
        connection("db", LISTED, {key: stated(value)}, filled)
    assert message in str(caught.value)
    assert str(caught.value).endswith("found 60s")
