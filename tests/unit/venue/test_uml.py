"""Plans in guests, without a kernel: what becomes of each when its guest ends or lies."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from harness import timeline
from harness.plan.plan import Plan
from harness.timeline import Timeline
from harness.venue import guest_process, seeding, uml
from harness.venue.guest import BEGIN, END
from harness.venue.kernel import Kernel
from tests.unit.timelines import unreachable
from tests.unit.venue.fake_guest import FakeProcess, fake_guest

# --- plan by plan --------------------------------------------------------------------------------


class Guests:
    """Boots fake guests; each says what the next of `scripts` has for it, and ends."""

    def __init__(self, out: Path, plans: list[Plan]) -> None:
        self.out, self.plans = out, plans
        self.scripts: list[list[bytes]] = []
        self.jobs: list[list[str]] = []

    @contextmanager
    def boot(
        self, _kernel: Kernel, job: dict[str, Any], *_: object, **__: object
    ) -> Iterator[guest_process.Guest]:
        """Stands for `guest_process.boot`."""
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
        msgspec.structs.replace(plan, scenario=msgspec.structs.replace(plan.scenario, name=name))
        for name in names
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
    [
        END.encode() + b"2\n",
        END.encode() + b"\n",
        BEGIN.encode() + b"x\n",
        END.encode() + b"-1\n",
        said(7),
    ],
)
def test_what_a_program_in_the_guest_forges_changes_nothing(forged: bytes, guests: Guests) -> None:
    """It may write to the console: only the plan whose turn it is can end."""
    guests.scripts = [[said(0), forged, said(1), said(2), said(3), forged]]
    assert guests.carried_out() == {"a": WHOLE, "b": WHOLE, "c": WHOLE}
