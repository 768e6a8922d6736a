"""The timeline: written through as things happen, read back as far as it is whole."""

from __future__ import annotations

import errno
import io
import os
import tempfile
import time
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import timeline
from harness.errors import UsageError
from harness.timeline import Event, Timeline


def test_the_first_event_ties_both_clocks(tmp_path: Path) -> None:
    """It lies at 0 and holds CLOCK_MONOTONIC and CLOCK_REALTIME of that moment."""
    before = time.time_ns()
    line = Timeline(tmp_path)
    after = time.time_ns()
    line.close()
    (opened,) = timeline.load(tmp_path)
    assert (opened.t_ns, opened.kind, opened.source) == (0, "opened", "harness")
    assert opened.data["monotonic_ns"] == line.opened_ns
    assert before - 1_000_000 <= opened.data["realtime_ns"] <= after + 1_000_000


def test_an_event_is_on_disk_before_the_next_thing_happens(tmp_path: Path) -> None:
    """Each is a line of its own, there as soon as it was added: a killed run keeps all that it
    saw.
    """
    line = Timeline(tmp_path)
    for number in range(3):
        line.add("segment", "client", way="out", number=number)
        assert len((tmp_path / timeline.FILE_NAME).read_bytes().splitlines()) == number + 2
        assert timeline.load(tmp_path) == tuple(line.events)
    line.close()
    line.close()


def test_a_full_disk_breaks_the_run_and_not_the_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no longer fits is kept in memory.

    The run cannot be judged, and the error names the file.
    """
    line = Timeline(tmp_path)
    assert line._file is not None
    monkeypatch.setattr(line, "_file", _Full(line._file))
    line.add("segment", "client", number=1)
    line.add("run.ended", "harness")
    assert [event.kind for event in line.events] == ["opened", "segment", "run.broken", "run.ended"]
    assert line.events[2].data["error"] == (
        "expected room for the timeline, found No space left on device at "
        f"{tmp_path / timeline.FILE_NAME}"
    )
    assert [event.kind for event in timeline.load(tmp_path)] == ["opened"]


class _Full(io.RawIOBase):
    """A file with room for half a line, as the kernel writes it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.writes = file, 0

    def write(self, line: Any) -> int:
        self.writes += 1
        if self.writes > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(line[: len(line) // 2])

    def close(self) -> None:
        self.file.close()


def test_times_count_from_the_opening() -> None:
    """A moment that is given is taken as CLOCK_MONOTONIC, also one before the opening.

    Else it is now.
    """
    line = Timeline()
    assert line.add("a", "x", at_ns=line.opened_ns + 5).t_ns == 5
    assert line.add("b", "x", at_ns=line.opened_ns - 5).t_ns == -5
    now = line.add("c", "x").t_ns
    assert 0 <= now <= time.monotonic_ns() - line.opened_ns


def test_events_stay_in_the_order_of_adding(tmp_path: Path) -> None:
    """What is learnt late has an early time and a late line."""
    line = Timeline(tmp_path)
    line.add("subject.detected", "client", at_ns=line.opened_ns + 9)
    line.add("segment", "client", at_ns=line.opened_ns + 3)
    line.close()
    assert [event.t_ns for event in timeline.load(tmp_path)] == [0, 9, 3]


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_a_torn_end_is_left_out(cut: int) -> None:
    """A file cut anywhere gives the events whose lines are whole, and no error."""
    events = [Event(n, "segment", "client", {"flags": "A", "text": "ä" * n}) for n in range(5)]
    lines = [msgspec.json.encode(event) + b"\n" for event in events]
    whole = b"".join(lines)
    text = whole[: cut % (len(whole) + 1)]
    found = load_text(text)
    assert list(found) == events[: len(found)]
    kept = sum(len(part) for part in lines[: len(found)])
    assert kept <= len(text) + 1  # only the line's end may be missing from the last one
    assert len(text) - kept < len(lines[len(found)]) if len(found) < len(lines) else True


def load_text(text: bytes) -> tuple[Event, ...]:
    """What is loaded from a file with that text."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / timeline.FILE_NAME).write_bytes(text)
        return timeline.load(Path(folder))


@pytest.mark.parametrize(
    "garbage",
    [b"\x00\xff", b"{", b"[]", b'{"t_ns":"soon","kind":"a","source":"b"}', b'{"kind":"a"}'],
)
def test_garbage_in_the_middle_is_an_error(tmp_path: Path, garbage: bytes) -> None:
    """A line that no run wrote is told with file and number; it is not skipped."""
    good = msgspec.json.encode(Event(0, "opened", "harness"))
    (tmp_path / timeline.FILE_NAME).write_bytes(good + b"\n" + garbage + b"\n" + good + b"\n")
    with pytest.raises(
        UsageError, match=rf"{timeline.FILE_NAME}:2: expected an event as JSON, found"
    ):
        timeline.load(tmp_path)


def test_blank_lines_and_unknown_keys_are_passed_over() -> None:
    """What a later version adds to an event does not stop an older one."""
    text = b'\n{"t_ns":1,"kind":"a","source":"b","mood":"good"}\n\n{"t_ns":2,"kind":"c","source":"d","data":{"x":[1]}}\n'  # noqa: E501
    assert load_text(text) == (Event(1, "a", "b"), Event(2, "c", "d", {"x": [1]}))


def test_a_folder_without_a_timeline_is_told(tmp_path: Path) -> None:
    """The error says where it was looked for."""
    with pytest.raises(
        UsageError,
        match=f"expected a run's timeline, found No such file or directory at {tmp_path}",
    ):
        timeline.load(tmp_path)


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    """A program under test may write in the run's folder, and must not choose what else is written
    or read.
    """
    kept = tmp_path / "kept"
    kept.write_bytes(b"kept")
    (tmp_path / timeline.FILE_NAME).symlink_to(kept)
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        timeline.append(tmp_path, Event(0, "kind", "source", {}))
    with pytest.raises(UsageError, match=os.strerror(errno.ELOOP)):
        timeline.load(tmp_path)
    assert kept.read_bytes() == b"kept"


def test_a_new_run_replaces_an_old_timeline(tmp_path: Path) -> None:
    """Opening starts afresh."""
    (tmp_path / timeline.FILE_NAME).write_text("what was there before\n" * 100)
    Timeline(tmp_path).close()
    assert len(timeline.load(tmp_path)) == 1


def test_what_a_program_prints_is_made_sure_of_at_once(tmp_path: Path) -> None:
    """Whoever writes the timeline in a guest may not get another turn; everything else can wait."""
    secured: list[bytes] = []
    line = Timeline(
        tmp_path, lambda _: secured.append((tmp_path / timeline.FILE_NAME).read_bytes())
    )
    line.add("subject.armed", "client", side="client")
    line.add("subject.printed", "server", side="server", line="starting")
    line.close()
    assert [text.splitlines()[-1].count(b"starting") for text in secured] == [1]
