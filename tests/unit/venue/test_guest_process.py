"""Guests without a kernel: what they say on their console, and what they are given."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from harness.errors import GuestError
from harness.venue import guest_process, init
from tests.unit.venue.fake_guest import fake_guest


def test_lines_come_whole(tmp_path: Path) -> None:
    """Whatever the pieces; an unfinished line counts when the guest has ended."""
    with fake_guest(tmp_path) as (guest, process):
        assert guest.read(0) == []
        process.says(b"one\r\ntw")
        assert guest.read(0) == ["one"]
        process.says(b"o\n\xff\n\x1emore\n", b"last")
        assert guest.read(0) == ["two", "\ufffd", "\x1emore"]
        process.ends()
        assert guest.read(0) == ["last"]
        assert guest.over
        assert guest.read(0) is None
        assert guest.console == ["one", "two", "\ufffd", "last"]


def test_a_console_without_end_is_cut(tmp_path: Path) -> None:
    """The last lines of a guest are kept, each up to a length."""
    with fake_guest(tmp_path) as (guest, process):
        for number in range(guest_process.LINES_KEPT * 2):
            process.says(f"line {number}\n".encode())
            guest.read(0)
        assert len(guest.console) == guest_process.LINES_KEPT
        assert guest.console[-1] == f"line {number}"
        for _ in range(4 * guest_process.LONGEST_LINE // 4096):
            process.says(b"x" * 4096)
            guest.read(0)
        longest = max(map(len, guest.console))
        assert guest_process.LONGEST_LINE <= longest <= 2 * guest_process.LONGEST_LINE


@pytest.mark.parametrize("found", [None, b"", b"1", b"-1", b"soon", b"\xff"])
def test_a_status_that_is_none(found: bytes | None, tmp_path: Path) -> None:
    """The guest may have died before, or a program in it may have written the file."""
    if found is not None:
        (tmp_path / init.STATUS_FILE).write_bytes(found)
    with fake_guest(tmp_path) as (guest, process):
        process.says(b"Kernel panic - not syncing\n")
        guest.read(0)
        if found in (b"1", b"-1"):
            assert guest.status() == int(found)
            return
        with pytest.raises(GuestError, match=r"the guest panicked; its last words:\nKernel panic"):
            guest.status()


def test_what_init_said_of_its_end_comes_after_the_console(tmp_path: Path) -> None:
    """Cut to the last lines."""
    (tmp_path / init.ERROR_FILE).write_text(
        "\n".join(f"trace {number}" for number in range(guest_process.LAST_WORDS - 1))
    )
    with fake_guest(tmp_path) as (guest, process):
        assert fake_words(guest) == [
            f"trace {number}" for number in range(guest_process.LAST_WORDS - 1)
        ]
        process.says(b"first\nsecond\n")
        guest.read(0)
        assert fake_words(guest)[:2] == ["second", "trace 0"]
        assert guest.ending() == "ended without a result"


def fake_words(guest: guest_process.Guest) -> list[str]:
    """The lines of the last words, without what introduces them."""
    return guest.last_words().splitlines()[1:]


def test_a_job_is_what_init_reads(tmp_path: Path) -> None:
    """With what was prepared; whatever letters are in it."""
    folder = tmp_path / "guest"
    job = {
        "module": "m",
        "python": sys.executable,
        "env": {"A": 'é "quoted"\n'},
        "folders": ["/a b"],
    }
    whole = guest_process._fill(folder, job, lambda made: {"input": made.name})
    assert whole == {**job, "input": "guest"}
    assert json.loads((folder / init.JOB_FILE).read_text(encoding="utf-8")) == whole
