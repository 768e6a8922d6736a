"""What is said where a guest's command prints nothing."""

from __future__ import annotations

import pytest

from harness.venue.silence import SILENCE_S, Silence


class Clock:
    """Stands still until it is moved."""

    now_s = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now_s


@pytest.mark.parametrize(("on_terminal", "end"), [(False, "\n"), (True, "\r\n")])
def test_a_line_each_ten_seconds(
    on_terminal: bool,  # noqa: FBT001 - a parameter of the test
    end: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """With what is so then, and control characters escaped. A terminal of the command is raw."""
    clock, words = Clock(), ["one\x1b", "two"]
    silence = Silence(lambda: words.pop(0), on_terminal=on_terminal, clock=clock)
    for _ in range(25):
        clock.now_s += 1.0
        silence.look()
    assert SILENCE_S == 10.0
    assert capfd.readouterr().err == f"harness: one\\x1b{end}harness: two{end}"


def test_output_begins_it_anew(capfd: pytest.CaptureFixture[str]) -> None:
    """A command that prints now and then needs no words."""
    clock = Clock()
    silence = Silence(lambda: "still there", on_terminal=False, clock=clock)
    for _ in range(5):
        clock.now_s += 9.0
        silence.look()
        silence.broken()
    assert capfd.readouterr().err == ""
    clock.now_s += 10.0
    silence.look()
    assert capfd.readouterr().err == "harness: still there\n"


def test_a_command_at_work_on_its_terminal_is_not_interrupted(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """An editor waits for its user as long as it likes."""
    clock = Clock()
    silence = Silence(lambda: "still there", on_terminal=True, clock=clock)
    silence.broken()
    clock.now_s += 1000.0
    silence.look()
    assert capfd.readouterr().err == ""
