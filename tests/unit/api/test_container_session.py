"""Faults for containers that are given: from words to values, and what does not fit."""

from __future__ import annotations

import pytest

from harness.api.container_session import FITTING, fault_of
from harness.errors import UsageError
from harness.faults import AnyFault, Blackhole, ContainerRestart, LinkDown, NetworkDisconnect


@pytest.mark.parametrize(
    ("kind", "settings", "made"),
    [
        ("blackhole", [], Blackhole()),
        (
            "blackhole",
            ["direction=to-server", "port=5432"],
            Blackhole(direction="to-server", port=5432),
        ),
        ("link-down", [], LinkDown(on="server")),
        ("network-disconnect", ["network=shop_default"], NetworkDisconnect(network="shop_default")),
        ("container-restart", ["grace_s=3"], ContainerRestart(grace_s=3)),
    ],
)
def test_words_become_a_fault(kind: str, settings: list[str], made: AnyFault) -> None:
    """Of the container, which is the server."""
    assert fault_of(kind, settings) == made


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("peer-reboot", [], "expected a fault that works on one container"),
        (
            "blackhole",
            ["direction"],
            "--set: expected KEY=VALUE with one of direction, port, found direction",
        ),
        ("blackhole", ["on=client"], "found on=client"),
        ("blackhole", ["at_s=3"], "found at_s=3"),
        ("blackhole", ["direction=up"], "blackhole: direction: expected one of"),
        ("blackhole", ["port=-1"], "found -1"),
        ("container-restart", ["grace_s=soon"], "container-restart: grace_s: expected"),
    ],
)
def test_what_is_no_fault_is_refused(kind: str, settings: list[str], said: str) -> None:
    """With what would have been one."""
    with pytest.raises(UsageError) as refused:
        fault_of(kind, settings)
    assert said in str(refused.value)


@pytest.mark.parametrize("fault", FITTING)
def test_each_can_be_asked_for(fault: type[AnyFault]) -> None:
    """By its kind alone."""
    assert type(fault_of(str(fault.__struct_config__.tag), [])) is fault
