from __future__ import annotations

import json
import platform
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from xml.etree import ElementTree as ET

import pytest

from harness import timeline
from harness.batch import batch
from harness.judge.verdict import worst
from harness.plan import plan_file
from harness.report.documents import RunReport, VerdictFile
from harness.scenario import catalogue
from harness.system import kernel_clock
from tests import documents
from tests.live.command import CHECKOUT, Command, Ended, harness, started
from tests.running import note_retry

T = TypeVar("T", bound=Callable[..., object])
OUTCOMES = sorted(scenario.name for scenario in catalogue.find(["outcomes"]))
UNASKED = {"outcomes/peer-closes", "outcomes/rst-injected-ipv4", "outcomes/rst-injected-ipv6"}
"""What is detected without a probe."""
CATALOGUE = CHECKOUT / "scenarios"
RUN_FILES = {"plan.json", "timeline.jsonl", "client.pcapng", "server.pcapng", "verdict.json"}
PEER_UNREACHABLE = (CATALOGUE / "outcomes" / "peer-unreachable.scenario.toml").read_text()

REFUTED = {
    "too-late": ("window_s = [5.0, 5.4]", "window_s = [6.0, 6.4]"),
    "too-early": ("window_s = [5.0, 5.4]", "window_s = [4.0, 4.4]"),
    "wrong-errno": ('errno = "ETIMEDOUT"', 'errno = "ECONNRESET"'),
    "wrong-outcome": (
        'outcome = "detected"\nerrno = "ETIMEDOUT"\nwindow_s = [5.0, 5.4]',
        'outcome = "survives"\nbound_s = 6.0',
    ),
}
"""Copies of outcomes/peer-unreachable with one thing changed, each a claim that does not hold."""
UNBITTEN = {
    "healed-too-soon": """
[client.keepalive]
idle_s = 2
interval_s = 1
count = 2

[[faults]]
kind = "blackhole"
at_s = 0.2
for_s = 0.3

[expect]
outcome = "survives"
bound_s = 2.5
""",
    "never-injected": """
[client.keepalive]
idle_s = 1
interval_s = 1
count = 1

[[faults]]
kind = "peer-reboot"
at_s = 0.2

[[faults]]
kind = "blackhole"
at_s = 2.0

[expect]
outcome = "detected"
errno = "ECONNRESET"
window_s = [1.0, 1.3]
""",
}
"""Scenarios in which a fault leaves no trace."""


def of_runs(test: T) -> T:
    """Mark a test that looks at the runs, which take real time."""
    pytest.mark.live(test)
    return test


class Runs(NamedTuple):
    """Three `harness run` commands at work at the same time."""

    outcomes: Command
    refuted: Command
    unbitten: Command


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """The runs that several tests look at, in one worker."""
    top = tmp_path_factory.mktemp("runs")
    for name, (old, new) in REFUTED.items():
        assert old in PEER_UNREACHABLE
        _scenario_file(top / "refuted" / "claims", name, PEER_UNREACHABLE.replace(old, new))
    for name, text in UNBITTEN.items():
        _scenario_file(top / "unbitten" / "claims", name, text)

    def run(words: str, name: str) -> Command:
        arguments = (
            "run",
            words,
            "--json",
            "-",
            "--junit",
            "junit.xml",
            "--markdown",
            "overview.md",
            "--out",
            "out",
            "--retries",
            "3",
        )
        return stack.enter_context(started(top / name, *arguments))

    with ExitStack() as stack:
        yield Runs(
            run("outcomes", "outcomes"), run("./claims", "refuted"), run("./claims", "unbitten")
        )


def _scenario_file(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.scenario.toml").write_text(text)


def _results(ended: Ended) -> dict[str, dict[str, Any]]:
    return {scenario["name"]: scenario for scenario in json.loads(ended.out)["scenarios"]}


# --- commands that run nothing ------------------------------------------------------------------


def test_doctor_finds_what_the_labs_need(tmp_path: Path) -> None:
    """On a machine on which these tests run nothing essential is missing.

    HZ and where it was found are told.
    """
    ended = harness(tmp_path, "doctor")
    assert ended.status == 0
    assert "MISSING" not in ended.out
    for word in (platform.release(), f"HZ={kernel_clock.hz()[0]}", "namespaces", "conntrack"):
        assert word in ended.out


# --- run ----------------------------------------------------------------------------------------


@of_runs
def test_outcomes_pass(runs: Runs) -> None:
    """The main claim: every scenario of `outcomes` passes on this machine, and the exit status says
    so.
    """
    for running in runs:
        again = [name for name, found in _results(running.wait()).items() if found["attempts"] > 1]
        note_retry(again, "this machine was too busy; then few at once")
    ended = runs.outcomes.wait()
    assert ended.status == 0, ended.err
    document = json.loads(ended.out)
    assert document["verdict"] == "pass"
    assert sorted(scenario["name"] for scenario in document["scenarios"]) == OUTCOMES
    assert {scenario["verdict"] for scenario in document["scenarios"]} == {"pass"}
    assert f"{len(OUTCOMES)} pass" in ended.err


@of_runs
def test_json_says_what_was_measured_and_where(runs: Runs) -> None:
    """Each result carries clock, kernel, HZ, origin, errno, probes, and a time inside of its
    window.
    """
    for name, found in _results(runs.outcomes.wait()).items():
        assert (found["clock"], found["kernel"], found["hz"]) == (
            "real",
            platform.release(),
            kernel_clock.hz()[0],
        )
        assert found["origin"] == "armed"
        assert (found["probes"] == 0) is (name in UNASKED), name
        if found["outcome"] == "eof":
            continue
        if found["outcome"] == "detected":
            least, most = found["predicted_window_s"]
            assert least <= found["detected_s"] <= most + found["allowance_s"], name
            assert found["errno"] in ("ETIMEDOUT", "ECONNRESET")
        else:
            assert (found["outcome"], found["detected_s"], found["errno"]) == ("quiet", None, None)


@of_runs
def test_junit_has_a_case_for_each(runs: Runs) -> None:
    """JUnit counts as the exit status does: failures for refuted claims, errors for what could not
    be judged. So has the overview in Markdown.
    """
    counts = {}
    for running in runs:
        running.wait()
        suite = ET.parse(running.folder / "junit.xml").getroot().find("testsuite")  # noqa: S314 - written by ourselves
        assert suite is not None
        counts[running.folder.name] = tuple(
            int(suite.attrib[key]) for key in ("tests", "failures", "errors")
        )
        assert len(suite.findall("testcase")) == int(suite.attrib["tests"])
        page = (running.folder / "overview.md").read_text()
        assert all(f"{case.attrib['name']} |" in page for case in suite.findall("testcase"))
        for case in suite.findall("testcase"):  # real time: the wall's time is the run's, and more
            assert float(case.attrib["time"]) > 0
            assert case.find("properties/property[@name='clock']") is not None
    assert counts == {
        "outcomes": (len(OUTCOMES), 0, 0),
        "refuted": (len(REFUTED), len(REFUTED), 0),
        "unbitten": (len(UNBITTEN), 0, len(UNBITTEN)),
    }


@of_runs
def test_run_directories_are_complete(runs: Runs) -> None:
    """Each run leaves its plan, its timeline, both ends' captures and its verdict, readable without
    the harness.
    """
    results = _results(runs.outcomes.wait())
    for name in OUTCOMES:
        folder = runs.outcomes.out / name
        assert {path.name for path in folder.iterdir()} - {batch.ATTEMPTS_FOLDER} == RUN_FILES
        assert json.loads((folder / "plan.json").read_text())["scenario"]["name"] == name
        kinds = [
            json.loads(line)["kind"]
            for line in (folder / "timeline.jsonl").read_text().splitlines()
        ]
        assert kinds[0] == "opened"
        assert {"lab.ready", "subject.armed", "run.ended"} < set(kinds)
        for end in ("client.pcapng", "server.pcapng"):
            assert (folder / end).read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"  # a section header block
        verdict = documents.check(VerdictFile, (folder / "verdict.json").read_bytes())
        assert verdict == {"format": 1, **results[name]}
        assert documents.problems("verdict", verdict) == []


@of_runs
def test_scenarios_run_at_the_same_time(runs: Runs) -> None:
    """None waits for another: each begins before the longest one ends.

    What is run again comes later.
    """
    results = _results(runs.outcomes.wait())
    spans = [
        _span_ns(runs.outcomes.out / name) for name in OUTCOMES if results[name]["attempts"] == 1
    ]
    _, longest_ended = max(spans, key=lambda span: span[1] - span[0])
    assert max(begun for begun, _ in spans) < longest_ended
    whole_ns = max(ended for _, ended in spans) - min(begun for begun, _ in spans)
    assert whole_ns < sum(ended - begun for begun, ended in spans)


def _span_ns(folder: Path) -> tuple[int, int]:
    """When a run began and ended, in CLOCK_MONOTONIC."""
    events = timeline.load(folder)
    opened = int(events[0].data["monotonic_ns"])
    return opened, opened + max(event.t_ns for event in events)


@of_runs
@pytest.mark.parametrize("name", REFUTED)
def test_a_claim_that_does_not_hold_fails(runs: Runs, name: str) -> None:
    """A window moved by a second or another errno is refuted, and the reason names both expected
    and measured.
    """
    ended = runs.refuted.wait()
    assert ended.status == 1, ended.err
    found = _results(ended)[name]
    assert found["verdict"] == "fail"
    assert (found["outcome"], found["errno"]) == ("detected", "ETIMEDOUT")
    expected = {
        "too-late": r"\(6 to 6\.4 s after arming\)",
        "too-early": r"\(4 to 4\.4 s after arming\)",
        "wrong-errno": "expected errno ECONNRESET, found ETIMEDOUT",
        "wrong-outcome": "expected the connection to survive, found ETIMEDOUT",
    }[name]
    assert re.search(expected, found["reason"])
    assert f"{found['detected_s']:.3f} s" in found["reason"]
    assert f"{len(REFUTED)} fail" in ended.err


@of_runs
@pytest.mark.parametrize("name", UNBITTEN)
def test_a_fault_without_a_trace_is_inconclusive(runs: Runs, name: str) -> None:
    """What was seen may be as claimed: without evidence that each fault bit it is not a pass."""
    ended = runs.unbitten.wait()
    assert ended.status == 3, ended.err
    found = _results(ended)[name]
    assert found["verdict"] == "inconclusive"
    reason = {
        "healed-too-soon": "0 packets dropped",
        "never-injected": r"fault 1 \(blackhole\) was never injected",
    }
    assert re.search(reason[name], found["reason"])


@pytest.mark.live
def test_without_out_a_folder_below_the_state_folder_is_kept(tmp_path: Path) -> None:
    """Runs are kept below XDG_STATE_HOME, where `harness clean` leaves them and `harness clean
    --runs` does not.
    """
    ended = harness(tmp_path, "run", "host/killed")
    assert ended.status == 0, ended.err
    (kept,) = (tmp_path / "state" / "keepalive-harness" / "runs").iterdir()
    assert str(kept) in ended.out
    files = {path.name for path in (kept / "host" / "killed").iterdir()}
    assert (
        files - {batch.ATTEMPTS_FOLDER} == RUN_FILES
    )  # there may be attempts that a busy machine was too late for
    assert harness(tmp_path, "clean").out == "nothing to remove\n"
    assert kept.is_dir()
    assert harness(tmp_path, "clean", "--runs").out == f"removed run directory {kept}\n"
    assert not kept.exists()


# --- judge --------------------------------------------------------------------------------------


@of_runs
@pytest.mark.parametrize("which", Runs._fields)
def test_judging_again_gives_the_same(runs: Runs, which: str, tmp_path: Path) -> None:
    """A saved run, moved elsewhere, is judged as it was: the same verdicts, reasons, times and exit
    status.
    """
    running: Command = getattr(runs, which)
    ended = running.wait()
    moved = tmp_path / "moved"
    shutil.copytree(running.out, moved)
    for verdict_file in moved.rglob("verdict.json"):
        verdict_file.unlink()
    again = harness(tmp_path, "judge", str(moved), "--json", str(tmp_path / "again.json"))
    assert (again.status, again.err) == (ended.status, "")
    results = _results(ended)
    document = documents.check(RunReport, (tmp_path / "again.json").read_bytes())
    assert {result["name"]: result for result in document["scenarios"]} == results
    for name, result in results.items():
        assert any(name in line and result["verdict"] in line for line in again.out.splitlines())


@of_runs
def test_judging_many_runs_gives_the_worst(runs: Runs, tmp_path: Path) -> None:
    """A folder of runs is as good as its worst one: fail before inconclusive before pass."""
    for running in runs:
        running.wait()
    top = runs.outcomes.folder.parent
    assert harness(tmp_path, "judge", str(top)).status == 1
    assert worst([result.verdict for result in batch.judge_again(top)]) == "fail"


@of_runs
def test_a_timeline_cut_short_is_inconclusive(runs: Runs, tmp_path: Path) -> None:
    """Wherever a timeline ends before the run did, even within a line, or if there is none, nothing
    has passed.
    """
    runs.outcomes.wait()
    whole = runs.outcomes.out / "outcomes" / "peer-rebooted"
    text = (whole / timeline.FILE_NAME).read_bytes()
    end = text.index(b'"run.ended"')
    for number, length in enumerate([0, 1, end // 3, end // 2, text.rindex(b"\n", 0, end), end]):
        folder = tmp_path / str(number)
        folder.mkdir()
        shutil.copy(whole / plan_file.FILE_NAME, folder)
        (folder / timeline.FILE_NAME).write_bytes(text[:length])
    shutil.copytree(tmp_path / "0", tmp_path / "none")
    (tmp_path / "none" / timeline.FILE_NAME).unlink()
    verdicts = [result.verdict for result in batch.judge_again(tmp_path)]
    assert [verdict.verdict for verdict in verdicts] == ["inconclusive"] * 7
    assert harness(tmp_path, "judge", ".").status == 3
