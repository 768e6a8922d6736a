"""The relay's orders: which payloads it swallows, and how it shows that."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.programs import tcp_relay
from harness.programs.tcp_relay import NOTES, Swallowing

PORTS = (40_000, 7000, 50_000, 7000)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The names that it gives itself. It runs in a folder of its own."""
    names: list[str] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tcp_relay, "call_itself", names.append)
    return names


@pytest.mark.parametrize(
    ("order", "direction", "payload", "swallowed"),
    [
        ("swallow to-server,to-client 5 5 -", "to-client", b"12345", True),
        ("swallow to-server,to-client 5 5 -", "to-server", b"12345", True),
        ("swallow to-server 5 5 -", "to-client", b"12345", False),
        ("swallow to-server 5 5 -", "to-server", b"1234", False),
        ("swallow to-server 4 6 -", "to-server", b"1234", True),
        ("swallow to-server 4 6 -", "to-server", b"1234567", False),
        ("swallow to-server 1 65536 50494e47", "to-server", b"PING 1", True),
        ("swallow to-server 1 65536 50494e47", "to-server", b"a PING", False),
        ("swallow to-server 6 6 50494e47", "to-server", b"PING", False),
    ],
)
def test_what_is_swallowed(
    order: str, direction: str, payload: bytes, shown: list[str], *, swallowed: bool
) -> None:
    """By direction, size and beginning, all of which must fit. It is noted with its ports."""
    swallowing = Swallowing()
    assert not swallowing.takes(direction, payload, PORTS)
    swallowing.order(order)
    assert swallowing.takes(direction, payload, PORTS) is swallowed
    assert Path(NOTES).read_text() == ("40000 7000 50000 7000\n" if swallowed else "")
    swallowing.order("pass")
    assert not swallowing.takes(direction, payload, PORTS)
    assert shown == ["swallowing", "passing"]


def test_each_order_counts_anew(shown: list[str]) -> None:
    """And the names fit where a kernel keeps them (prctl(2): 15 octets)."""
    swallowing = Swallowing()
    for _ in range(2):
        swallowing.order("swallow to-server 1 9 -")
        for _ in range(2):
            assert swallowing.takes("to-server", b"1", PORTS)
        assert len(Path(NOTES).read_text().splitlines()) == 2
    assert all(len(name) <= 15 for name in shown)


@pytest.mark.parametrize(
    "line", ["swallow", "swallow to-server 1 9", "spit to-server", "pass all", "swallow x 1 2 0g"]
)
def test_what_is_no_order_ends_it(line: str, shown: list[str]) -> None:
    """Rather than that it goes on without having obeyed."""
    with pytest.raises(ValueError, match=r".+"):
        Swallowing().order(line)
    assert not shown
