"""`harness list --faults`: every kind of fault, what it does, and its keys."""

from __future__ import annotations

from harness.faults import FAULTS
from harness.report.fault_listing import COMMON, render


def test_every_kind_is_listed_with_its_keys() -> None:
    """In the order of the alphabet, without the keys that all of them have."""
    lines = render().plain.splitlines()
    heads, keys, last = lines[:-1:2], lines[1:-1:2], lines[-1]
    assert [head.split()[0] for head in heads] == sorted(FAULTS)
    assert all(fault.summary in head for fault, head in zip(FAULTS.values(), heads, strict=True))
    assert all(key in last for key in COMMON)
    by_kind = dict(zip(FAULTS, keys, strict=True))
    assert by_kind["carrier-loss"].split() == ["keys:", "on*,", "toward"]
    assert by_kind["blackhole"].endswith("keys: on, direction, port; also for `harness inject`")
    assert by_kind["proxy-down"].endswith("keys: none")
