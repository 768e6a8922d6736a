"""Guests, where no kernel is needed: their console, and the results of their plans."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from harness import timeline
from harness.errors import GuestError
from harness.plan.plan import Plan
from harness.timeline import Timeline
from harness.venue import init, seeding, uml
from harness.venue.guest import BEGIN, END
from harness.venue.kernel import Kernel
from tests.unit.timelines import unreachable
from tests.unit.venue.fake_guest import FakeProcess, fake_guest

# --- its console ----------------------------------------------------------------------------------


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
        for number in range(uml.LINES_KEPT * 2):
            process.says(f"line {number}\n".encode())
            guest.read(0)
        assert len(guest.console) == uml.LINES_KEPT
        assert guest.console[-1] == f"line {number}"
        for _ in range(4 * uml.LONGEST_LINE // 4096):
            process.says(b"x" * 4096)
            guest.read(0)
        longest = max(map(len, guest.console))
        assert uml.LONGEST_LINE <= longest <= 2 * uml.LONGEST_LINE


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
    (tmp_path / init.ERROR_FILE).write_text("\n".join(f"trace {number}" for number in range(uml.LAST_WORDS - 1)))
    with fake_guest(tmp_path) as (guest, process):
        assert fake_words(guest) == [f"trace {number}" for number in range(uml.LAST_WORDS - 1)]
        process.says(b"first\nsecond\n")
        guest.read(0)
        assert fake_words(guest)[:2] == ["second", "trace 0"]
        assert guest.ending() == "ended without a result"


def fake_words(guest: uml.Guest) -> list[str]:
    """The lines of the last words, without what introduces them."""
    return guest.last_words().splitlines()[1:]


def test_a_job_is_what_init_reads(tmp_path: Path) -> None:
    """With what was prepared; whatever letters are in it."""
    folder = tmp_path / "guest"
    job = {"module": "m", "python": sys.executable, "env": {"A": 'é "quoted"\n'}, "folders": ["/a b"]}
    whole = uml._fill(folder, job, lambda made: {"input": made.name})
    assert whole == {**job, "input": "guest"}
    assert json.loads((folder / init.JOB_FILE).read_text(encoding="utf-8")) == whole


# --- plan by plan ---------------------------------------------------------------------------------


class Guests:
    """Boots fake guests; each says what the next of `scripts` has for it, and ends."""

    def __init__(self, out: Path, plans: list[Plan]) -> None:
        self.out, self.plans = out, plans
        self.scripts: list[list[bytes]] = []
        self.jobs: list[list[str]] = []

    @contextmanager
    def boot(self, _kernel: Kernel, job: dict[str, Any], *_: object, **__: object) -> Iterator[uml.Guest]:
        """Stands for `uml.boot`."""
        self.jobs.append([Path(folder).name for folder in job["folders"]])
        script = self.scripts.pop(0)
        with fake_guest(self.out, job) as (guest, process):
            thread = threading.Thread(target=self._run, args=(process, script))
            thread.start()
            yield guest
            thread.join()

    def _run(self, process: FakeProcess, script: list[bytes]) -> None:
        process.says(*script)
        process.ends()

    def carried_out(self) -> dict[str, list[str]]:
        """The kinds of events of each plan, in the order in which the plans came back."""
        kernel = cast("Kernel", None)
        found = uml.run_all(self.plans, self.out, lambda *_: None, kernel, jobs=1)
        return {carried.plan.name: [event.kind for event in carried.events] for carried in found}


@pytest.fixture
def guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guests:
    """Guests that have carried out three plans: each timeline is there."""
    plan = unreachable()
    names = ("a", "b", "c")
    plans = [
        msgspec.structs.replace(plan, scenario=msgspec.structs.replace(plan.scenario, name=name)) for name in names
    ]
    for name in names:
        (tmp_path / name).mkdir()
        recorded = Timeline(tmp_path / name)
        recorded.add("run.ended", "harness", reason="noticed")
        recorded.close()
    made = Guests(tmp_path, plans)
    monkeypatch.setattr(uml, "boot", made.boot)
    monkeypatch.setattr(seeding, "words", lambda _: ())
    return made


def said(*numbers: int) -> bytes:
    """What a guest says that has carried out these plans."""
    return "".join(f"{BEGIN}{number}\r\n{END}{number}\r\n" for number in numbers).encode()


WHOLE = ["opened", "run.ended"]


def test_each_plan_comes_back_as_its_guest_says(guests: Guests) -> None:
    """Lines of the kernel's own in between change nothing."""
    guests.scripts = [[said(0), b"random: crng init done\n", said(1)[:9], said(1)[9:], said(2)]]
    assert guests.carried_out() == {"a": WHOLE, "b": WHOLE, "c": WHOLE}
    assert guests.jobs == [["a", "b", "c"]]


def test_a_guest_that_dies_takes_one_plan_with_it(guests: Guests) -> None:
    """It is given up with its events; the next guest gets the rest. A cut line says nothing."""
    guests.scripts = [[said(0), said(1)[:-4]], [said(0)]]
    found = guests.carried_out()
    assert found == {"a": WHOLE, "b": [*WHOLE, "run.broken"], "c": WHOLE}
    assert guests.jobs == [["a", "b", "c"], ["c"]]
    assert "the guest ended without a result" in timeline.load(guests.out / "b")[-1].data["error"]


@pytest.mark.parametrize(
    "forged",
    [END.encode() + b"2\n", END.encode() + b"\n", BEGIN.encode() + b"x\n", END.encode() + b"-1\n", said(7)],
)
def test_what_a_program_in_the_guest_forges_changes_nothing(forged: bytes, guests: Guests) -> None:
    """It may write to the console: only the plan whose turn it is can end."""
    guests.scripts = [[said(0), forged, said(1), said(2), said(3), forged]]
    assert guests.carried_out() == {"a": WHOLE, "b": WHOLE, "c": WHOLE}
