"""Which directives are read, and which are misspelled."""

from __future__ import annotations

import pytest

from harness.errors import PolicyError, UsageError
from harness.policy.directives import chosen, refuse_others
from harness.policy.lines import Word, lines, pair
from harness.policy.settings import Terms


def pairs(text: str) -> list[tuple[Word, Word]]:
    """Of a text with `key = value` in each line."""
    return [found for line in lines(text, "x") if (found := pair(line))]


def test_known_directives_are_chosen() -> None:
    """Others are left alone."""
    found = chosen(pairs("tcp-idle = 5\nport = 7\n"), ("tcp-idle", "tcp-count"))
    assert {key: value.text for key, value in found.items()} == {"tcp-idle": "5"}


@pytest.mark.parametrize("written", ["TCP-idle", "tcp_idle", "tcpIdle", "tcp.idles"])
def test_a_misspelled_directive_is_an_error(written: str) -> None:
    """The software would not read it."""
    with pytest.raises(PolicyError) as caught:
        chosen(pairs(f"a = 1\n{written} = 5"), ("tcp-idle",))
    assert str(caught.value) == f"x:2:1: tcp-idle: expected the name tcp-idle, found {written}"


def test_a_second_value_is_an_error_unless_the_last_counts() -> None:
    """At the second one."""
    twice = pairs("idle = 5\nidle = 6")
    with pytest.raises(PolicyError, match=r"^x:2:8: idle: expected one value"):
        chosen(twice, ("idle",))
    assert chosen(twice, ("idle",), last_counts=True)["idle"].text == "6"


def test_a_setting_without_a_directive_is_refused() -> None:
    """It is named, with those that have one."""
    refuse_others(Terms(idle_s=5, detect_within_s=9), ("idle_s", "count"), "x")
    with pytest.raises(UsageError, match=r"^x: expected .*\(idle_s, count\), found interval_s\. F"):
        refuse_others(Terms(idle_s=5, interval_s=5), ("idle_s", "count"), "x")
    with pytest.raises(UsageError, match=r"\(none\), found keepalive"):
        refuse_others(Terms(keepalive=False), (), "x")
