"""What is taken for granted of a command, and what it says itself."""

from __future__ import annotations

import pytest

from harness.model.programs import QUIET_S, Command, Detects, Ready
from harness.model.topology import Side
from harness.scenario import guesses


def test_nothing_said() -> None:
    """Both sides are ready in their own way; every sign counts."""
    bare = Command(argv=("it",))
    server, client = guesses.filled(bare, "server"), guesses.filled(bare, "client")
    assert server.ready == Ready(listens=True)
    assert client.ready == Ready(quiet_s=QUIET_S)
    assert server.detects == client.detects == guesses.EVERY_SIGN
    for side in ("client", "server"):
        ready, signs = guesses.in_words(bare, side)
        assert ready.startswith(f"the {side} is ready when ")
        assert signs.startswith(f"the {side} shows a detection by its exit, ")


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize(
    "ready", [Ready(prints="^ready"), Ready(listens=True), Ready(quiet_s=5, within_s=90)]
)
def test_what_is_said_stays(side: Side, ready: Ready) -> None:
    """A line that shows a detection counts beside all other signs."""
    command = Command(argv=("it",), ready=ready, detects=Detects(prints="lost"))
    filled = guesses.filled(command, side)
    assert filled.ready == ready
    assert filled.detects == Detects(prints="lost", exits=True, closes=True, reconnects=True)
    assert not list(guesses.in_words(command, side))


def test_the_time_to_get_ready_is_kept() -> None:
    """It is said, and no condition is."""
    command = Command(argv=("it",), ready=Ready(within_s=90))
    assert guesses.ready(command, "server") == Ready(listens=True, within_s=90)
