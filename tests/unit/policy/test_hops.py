"""What is expected in place of an unknown device's name."""

from __future__ import annotations

import pytest

from harness.policy import hops


@pytest.mark.parametrize("name", ["aws-alb", "ALB", "haproxy", "my-nginx"])
def test_a_proxy_is_told_from_a_firewall(name: str) -> None:
    """The nearest preset would be a device that does not end TCP."""
    option = hops.expected(name, as_option=True)
    assert f"({name} is a proxy, which ends TCP itself: write 60:proxy," in option
    assert "did you mean" not in option
    assert "write { idle_timeout_s = 60, proxy = true }," in hops.expected(name, as_option=False)


def test_an_option_takes_no_table() -> None:
    """A misspelled preset gets a hint."""
    option = hops.expected("aws-nbl", as_option=True)
    assert option.endswith("350:reset, 600:drop or 60:proxy (did you mean aws-nlb?)")
    assert "table" not in option
    assert "proxy = true" not in option
    assert "a table such as { idle_timeout_s" in hops.expected("aws-nbl", as_option=False)
