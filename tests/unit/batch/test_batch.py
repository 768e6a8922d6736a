"""Plans to results: what a busy machine was too late for is run again, in quiet, and nothing is
lost.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from pathlib import Path

import msgspec
import pytest

from harness import timeline
from harness.batch import batch
from harness.judge.result import Result
from harness.lab import run_folders
from harness.plan import plan_file
from harness.plan.plan import Plan
from harness.runner.execute import Status
from harness.timeline import Event
from harness.venue import host
from harness.venue.host import Carried, folder_of
from tests.running import Silent
from tests.unit.timelines import as_foreseen, changed, unreachable

GOOD = changed(as_foreseen(unreachable()), "segment", host="client", device="eth0", frame="00" * 54)
BUSY = changed(GOOD, "subject.armed", took_ns=10_000_000_000)
REFUTED = changed(GOOD, "subject.detected", errno="EPIPE")


def named(*names: str) -> list[Plan]:
    """Plans that differ in their names alone."""
    scenario = unreachable().scenario
    return [
        msgspec.structs.replace(
            unreachable(), scenario=msgspec.structs.replace(scenario, name=name)
        )
        for name in names
    ]


class Venue:
    """Carries out nothing: each scenario's timelines, one for each attempt, were made by hand."""

    def __init__(self, **timelines: list[list[Event]]) -> None:
        self.timelines = timelines
        self.asked: list[list[str]] = []

    def __call__(self, some: Sequence[Plan], out: Path, status: Status) -> Generator[Carried]:
        """Yield the next timeline of each."""
        del status
        self.asked.append([plan.name for plan in some])
        for plan in some:
            folder = folder_of(out, plan)
            folder.mkdir(parents=True, exist_ok=True)
            plan_file.save(plan, folder)
            events = self.timelines[plan.name.replace("/", "_")].pop(0)
            encoded = b"".join(msgspec.json.encode(event) + b"\n" for event in events)
            (folder / timeline.FILE_NAME).write_bytes(encoded)
            yield Carried(plan, tuple(events), 0.25)


class Heard(Silent):
    """Writes down which results it was told."""

    def __init__(self) -> None:
        self.results: list[Result] = []

    def done(self, result: Result) -> None:
        """A result that stands."""
        self.results.append(result)


def test_what_a_busy_machine_was_too_late_for_is_run_again(tmp_path: Path) -> None:
    """After the others; its first attempt is kept beside, and does not count when the runs are
    judged again.
    """
    venue, heard = Venue(a=[BUSY, GOOD], b=[REFUTED], a_b=[GOOD]), Heard()
    results = batch.run(named("a", "b", "a/b"), tmp_path, heard, venue, retries=1)
    assert venue.asked == [["a", "b", "a/b"], ["a"]]
    assert [(r.plan.name, r.verdict.verdict, r.attempts) for r in results] == [
        ("a", "pass", 2),
        ("b", "fail", 1),
        ("a/b", "pass", 1),
    ]
    assert [result.plan.name for result in heard.results] == ["b", "a/b", "a"]
    files = {"plan.json", "timeline.jsonl", "verdict.json", "client.pcapng", "server.pcapng"}
    assert {path.name for path in (tmp_path / "a").iterdir()} == {*files, "attempts", "b"}
    assert {path.name for path in (tmp_path / "a" / "attempts" / "1").iterdir()} == files
    first, last = (
        json.loads((tmp_path / "a" / place / "verdict.json").read_text())
        for place in ("attempts/1", ".")
    )
    assert (first["cause"], first["attempts"], last["cause"], last["attempts"]) == (
        *("machine-too-busy", 1),
        *("confirmed", 2),
    )
    again = {r.plan.name: (r.verdict, r.attempts) for r in batch.judge_again(tmp_path)}
    assert again == {r.plan.name: (r.verdict, r.attempts) for r in results}
    (alone,) = batch.judge_again(tmp_path / "a" / "attempts" / "1")
    assert alone.verdict.cause == "machine-too-busy"


def test_no_more_attempts_than_allowed(tmp_path: Path) -> None:
    """First few at once, then each alone.

    What is still too late stays inconclusive, with all its attempts.
    """
    names = ["a", "b", "c", "d", "e"]
    venue = Venue(**{name: [BUSY] * 3 for name in names})
    results = batch.run(named(*names), tmp_path, Silent(), venue, retries=2)
    assert venue.asked == [names, names[:4], names[4:], *([name] for name in names)]
    assert {(r.verdict.cause, r.attempts) for r in results} == {("machine-too-busy", 3)}
    assert sorted(path.name for path in (tmp_path / "a" / "attempts").iterdir()) == ["1", "2"]


def test_a_scenario_that_a_session_runs_twice_keeps_all_attempts(tmp_path: Path) -> None:
    """In the same folder, as pytest-rerunfailures has it."""
    for _ in range(2):
        (result,) = batch.run(named("a"), tmp_path, Silent(), Venue(a=[BUSY, GOOD]), retries=1)
        assert (result.verdict.verdict, result.attempts) == ("pass", 2)
    assert sorted(path.name for path in (tmp_path / "a" / "attempts").iterdir()) == ["1", "2"]


def test_what_an_interrupt_kept_from_another_attempt_is_judged_by_its_last(tmp_path: Path) -> None:
    """The files of that one were set aside already."""

    class Interrupted(Venue):
        def __call__(self, some: Sequence[Plan], out: Path, status: Status) -> Generator[Carried]:
            if len(self.asked) == 2:
                raise KeyboardInterrupt
            return super().__call__(some, out, status)

    venue = Interrupted(a=[BUSY, BUSY], b=[GOOD])
    with pytest.raises(KeyboardInterrupt):
        batch.run(named("a", "b"), tmp_path, Silent(), venue, retries=2)
    found = {result.plan.name: result.verdict.cause for result in batch.judge_again(tmp_path)}
    assert found == {"a": "machine-too-busy", "b": "confirmed"}
    assert len(batch.judge_again(tmp_path / "a")) == 1


def test_a_folder_of_scenarios_may_be_called_attempts(tmp_path: Path) -> None:
    """None of its runs is left out when they are judged again."""
    batch.run(named("attempts/a", "b"), tmp_path, Silent(), Venue(attempts_a=[GOOD], b=[GOOD]))
    assert [result.plan.name for result in batch.judge_again(tmp_path)] == ["attempts/a", "b"]


@pytest.mark.parametrize("events", [REFUTED, GOOD[:5]], ids=["fail", "cut short"])
def test_only_a_busy_machine_is_a_reason_to_run_again(tmp_path: Path, events: list[Event]) -> None:
    """Neither what fails nor what is inconclusive for another reason gets a second chance."""
    venue = Venue(a=[events, GOOD])
    (result,) = batch.run(named("a"), tmp_path, Silent(), venue, retries=3)
    assert (result.verdict.verdict != "pass", result.attempts, len(venue.asked)) == (True, 1, 1)


def test_without_retries_nothing_is_run_again(tmp_path: Path) -> None:
    """As in virtual time."""
    venue = Venue(a=[BUSY, GOOD])
    (result,) = batch.run(named("a"), tmp_path, Silent(), venue)
    assert (result.verdict.cause, result.attempts, len(venue.asked)) == ("machine-too-busy", 1, 1)
    assert result.wall_s == 0.25


def test_how_long_all_attempts_may_take() -> None:
    """By default real time has one more, of few at once; virtual time has none."""
    real = named("a", "b", "c", "d", "e")
    virtual = [
        msgspec.structs.replace(p, machine=msgspec.structs.replace(p.machine, clock="virtual"))
        for p in real
    ]
    assert (batch.default_retries(real), batch.default_retries(virtual)) == (1, 0)
    once, few, last = (host.gives_up_after_ns(some) for some in (real, real[:4], real[4:]))
    assert batch.gives_up_after_ns(real, 0) == once
    assert batch.gives_up_after_ns(real, 1) == once + few + last
    assert batch.gives_up_after_ns(real, 2) == once + few + last + sum(
        host.gives_up_after_ns([p]) for p in real
    )


def test_old_run_folders_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With each new folder the oldest go that are over, until so many are left."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def over(name: str) -> Path:
        folder = tmp_path / "keepalive-harness" / "runs" / name
        folder.mkdir()
        (folder / run_folders.RUN_MARK).write_text("4194999 of another boot\n")
        return folder

    folders = [batch.new_folder(keep=9), over("one"), over("two"), batch.new_folder(keep=9)]
    batch.new_folder(keep=4)
    assert [folder.exists() for folder in folders] == [True, False, True, True], (
        "the oldest is this process's own"
    )
    batch.new_folder(keep=1)
    assert [folder.exists() for folder in folders] == [True, False, False, True]
