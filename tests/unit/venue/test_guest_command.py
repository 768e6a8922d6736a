"""Words, input and output between `harness vtime` and a guest: whole, cut, unknown."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.errors import GuestError
from harness.venue import guest_command, vtime
from harness.venue.guest_process import Guest
from harness.venue.output import OutputCopy
from tests.unit.venue.fake_guest import FakeProcess, fake_guest


class Both:
    """The host's side and the guest's, with pipes in between."""

    def __init__(self, guest: Guest, process: FakeProcess) -> None:
        self.folder = guest.folder
        self.process = process
        self.host = vtime._Relay(guest, raw=False, grace_s=None)
        self.host.ready = True
        job = {"folder": str(guest.folder), "input": None, "input_over": False}
        self.guest = guest_command._Command(job, process.told)

    def close(self) -> None:
        """Close the guest's files."""
        for sink in self.guest.sinks.values():
            os.close(sink)


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    """Both of them, with a folder that they share."""
    with fake_guest(tmp_path) as (guest, process):
        made = Both(guest, process)
        yield made
        made.close()


@pytest.fixture
def signalled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The signals that the guest's side sends to the command."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(guest_command, "_send", lambda pid, number: sent.append((pid, number)))
    return sent


def test_input_comes_as_it_was_given(
    both: Both, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In its order, octet by octet; the guest lets the host know, and takes the files away."""
    given = [b"one\n\xff\x00", b"two", b""]
    left = list(given)
    monkeypatch.setattr(vtime, "_read_input", lambda: left.pop(0))
    for _ in given:
        both.host._pass_input()
    both.guest._listen(7)
    assert (both.host.input_over, both.guest.input_over) == (True, True)
    assert b"".join(bytes(both.guest._take(name)) for name in both.guest.pieces) == b"".join(given)
    assert [path.name for path in both.folder.iterdir() if path.name.startswith("stdin")] == []
    assert capsys.readouterr().out == f"{guest_command.HEARD}\n" * 3


def test_a_signal_reaches_the_command(both: Both, signalled: list[tuple[int, int]]) -> None:
    """By its number."""
    both.host._tell(f"{guest_command.SIGNAL} 2")
    both.guest._listen(7)
    assert signalled == [(7, 2)]


@pytest.mark.parametrize("cut", range(1, len(b"signal 15\ninput stdin.1\nend\n")))
def test_words_that_come_in_two_pieces(
    cut: int, both: Both, signalled: list[tuple[int, int]]
) -> None:
    """A word counts once its line is whole: signal 1 is another one than signal 15."""
    whole = b"signal 15\ninput stdin.1\nend\n"
    both.process.stdin.write(whole[:cut])
    both.guest._listen(7)
    before = len(signalled), len(both.guest.pieces), int(both.guest.input_over)
    assert sum(before) == whole[:cut].count(b"\n")
    both.process.stdin.write(whole[cut:])
    both.guest._listen(7)
    assert (signalled, both.guest.pieces, both.guest.input_over) == ([(7, 15)], ["stdin.1"], True)


def test_words_that_nobody_knows_are_passed_over(
    both: Both, signalled: list[tuple[int, int]]
) -> None:
    """Those after them count."""
    both.process.stdin.write(b"\nwhat\nsignals 3\nend\n")
    both.guest._listen(7)
    assert (signalled, both.guest.pieces, both.guest.input_over) == ([], [], True)


def test_output_comes_as_it_was_written(
    both: Both, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the stream that it was written to; a line on the console says that there is more."""
    for number, written in ((1, b"out\xff\x00"), (2, b"err\n")):
        reading, writing = os.pipe()
        os.write(writing, written)
        os.close(writing)
        both.guest.outputs[reading] = number
        both.guest._copy(reading)
        both.guest._copy(reading)  # its end: it is closed
        assert reading not in both.guest.outputs
    assert capsys.readouterr().out == f"{guest_command.MORE}\n" * 2
    out, err = io.BytesIO(), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=out))
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(buffer=err))
    OutputCopy(both.host.guest).copy()
    assert (out.getvalue(), err.getvalue()) == (b"out\xff\x00", b"err\n")


def test_another_file_in_the_place_of_input_is_refused(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in the guest may write into the folder, too."""
    monkeypatch.setattr(vtime, "_read_input", lambda: b"input")
    (both.folder / "stdin.1").write_bytes(b"forged")
    with pytest.raises(GuestError, match=r"found one at .*stdin\.1"):
        both.host._pass_input()
    assert (both.folder / "stdin.1").read_bytes() == b"forged"
    assert both.process.words() == b""


def test_the_guest_says_when_it_takes_words(both: Both) -> None:
    """Before that nothing is sent to it; whatever else is on its console changes nothing."""
    both.host.ready, found = False, list[bool]()
    for said in (b"booting\n\x1ereadyish\n\xff\xfe\n", f"{guest_command.READY}\r\n".encode()):
        both.process.says(said)
        assert not both.host._serve_once(0)
        found.append(both.host.ready)
    assert found == [False, True]
    assert both.host.guest.console == ["booting", "\ufffd\ufffd"]
    both.process.ends()
    assert both.host._serve_once(0)


def test_progress_says_what_is_awaited(both: Both) -> None:
    """The command with what it reports of itself, and how long it may take; before, the guest."""
    both.host.guest.job = {"argv": ["/usr/bin/sleep", "9"]}
    both.host.limits = " of at most 60 s (--wall-limit)"
    assert both.host._progress() == "0 s gone of at most 60 s (--wall-limit): sleep runs"
    (both.folder / guest_command.IDLE_FILE).write_text("3")
    (both.folder / guest_command.DOING_FILE).write_text("test_x.py::test_y")
    assert both.host._progress().endswith(
        ": sleep runs, during test_x.py::test_y; no process has run for 3 days of virtual time"
    )
    both.host.ready = False
    assert both.host._progress().endswith("(--wall-limit): the guest boots")
