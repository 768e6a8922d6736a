"""Differential testing: what is drawn, what is counted, and how what fails is made smaller, without
any guest.
"""

from __future__ import annotations

import functools
import io
import itertools
import json
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import strategies as st
from rich.console import Console

from harness.cli import main
from harness.errors import CapabilityError
from harness.faults import FAULTS, Blackhole
from harness.fuzz import campaign, fault_strategies, moments
from harness.judge.reasons import Cause
from harness.judge.result import Result
from harness.judge.verdict import Verdict, VerdictName
from harness.model.machine import MachineFacts
from harness.model.topology import Family, Kind, Topology, layout
from harness.plan.plan import Plan
from harness.report import fuzz as report
from harness.scenario import loader
from harness.scenario.schema import Endpoint, Keepalive, Scenario
from harness.scenario.toml_writer import as_toml
from harness.system.signals import Terminated, told_to_end

MACHINE = MachineFacts(kernel="7.2.13", hz=1000, hz_source="by hand", cpus=1, clock="virtual")
SEED = 5
CASES = 120
"""As many as it takes to see all kinds of them."""
CAUSES: dict[VerdictName, Cause] = {
    "pass": "confirmed",
    "inconclusive": "fault-met-nothing",
    "fail": "oracle-refuted",
}


class Silent:
    """Remembers which parts there were."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.begun: list[str] = []

    def begin(self, what: str, total: int) -> None:
        """Noted."""
        assert total
        self.begun.append(what)

    def step(self) -> None:
        """Not noted."""


DRAW = campaign.draw


@functools.cache
def drawn() -> tuple[list[Plan], campaign.Tally]:
    """CASES of the seed; it takes some time, so that tests share them."""
    return DRAW(CASES, SEED, MACHINE, Silent())


@pytest.fixture
def _draws_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever draws from the seed gets the first of what was drawn already: see
    test_the_same_seed_draws_the_same.
    """

    def draw(
        cases: int, seed: int, machine: MachineFacts, watcher: campaign.CampaignWatcher
    ) -> tuple[list[Plan], campaign.Tally]:
        assert (seed, machine) == (SEED, MACHINE)
        del watcher
        return drawn()[0][:cases], campaign.Tally(seed=seed, machine=machine)

    monkeypatch.setattr(campaign, "draw", draw)


def judged(plan: Plan, name: VerdictName, *, as_foreseen: bool = False) -> Result:
    """A run with that verdict."""
    verdict = Verdict(
        name=plan.name,
        verdict=name,
        cause=CAUSES[name],
        reason="as the test has it",
        clock="virtual",
        kernel=MACHINE.kernel,
        hz=MACHINE.hz,
        side=plan.scenario.expect.side,
        as_foreseen=as_foreseen,
    )
    return Result(plan=plan, events=(), verdict=verdict)


def wrong_where(disagrees: Callable[[Scenario], bool]) -> campaign.Carry:
    """A venue on which the oracle is wrong about some scenarios."""

    def carry(plans: Sequence[Plan], _out: Path) -> list[Result]:
        return [
            judged(plan, "fail" if disagrees(plan.scenario) else "pass", as_foreseen=True)
            for plan in plans
        ]

    return carry


# --- drawing ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_seed_draws_the_same() -> None:
    """However many are drawn, it begins with the same ones; another seed draws others."""
    again, _ = DRAW(5, SEED, MACHINE, Silent())
    assert again == drawn()[0][:5]
    other, _ = DRAW(3, SEED + 1, MACHINE, Silent())
    assert [plan.scenario for plan in other] != [plan.scenario for plan in again[:3]]


@pytest.mark.slow
def test_no_case_is_drawn_twice_and_each_has_a_prediction() -> None:
    """All of the exact window, which is that of one phase."""
    plans, tally = drawn()
    scenarios = {
        msgspec.json.encode(msgspec.structs.replace(plan.scenario, name="")) for plan in plans
    }
    assert len(scenarios) == len({plan.name for plan in plans}) == len(plans) == CASES
    assert all(
        plan.prediction is not None and plan.scenario.expect.window == "exact" for plan in plans
    )
    assert tally.refused.total() > 0
    assert not any(digit in reason for reason in tally.refused for digit in "0123456789")


@pytest.mark.slow
def test_what_is_drawn_is_varied() -> None:
    """Each topology and family, both sides, every state and most of the faults that have
    predictions.
    """
    plans, _ = drawn()
    scenarios = [plan.scenario for plan in plans]
    assert len({(s.topology.kind, s.topology.family) for s in scenarios}) == 10
    assert {s.expect.side for s in scenarios} == {"client", "server"}
    states = Counter(campaign.state_of(plan) for plan in plans)
    assert set(states) == {
        "idle",
        "idle after data",
        "in flight",
        "zero window",
        "connecting",
        "closing",
    }
    kinds = Counter(fault.kind for s in scenarios for fault in s.faults)
    assert len(kinds) >= 14, kinds
    assert kinds.most_common(1)[0][1] < len(plans) / 2, kinds


def test_every_fault_is_drawn_or_has_a_reason() -> None:
    """A new one is not forgotten; and what has a reason is not drawn all the same."""
    found: set[type] = set()
    for kind, family in itertools.product(get_args(Kind), get_args(Family)):
        where = layout(Topology(kind=kind, family=family))
        case = moments.Case(random.Random(SEED), where, "client", alive=True, writes_s=())
        found.update(type(make(case)) for make in fault_strategies.makes(where))
    undrawn = {fault for fault in FAULTS.values() if fault.undrawn}
    assert not found & undrawn
    assert found | undrawn == set(FAULTS.values())


@pytest.mark.slow
def test_some_observers_shut_their_direction() -> None:
    """They write nothing, which is another matter."""
    plans, _ = drawn()
    ends = [plan.scenario.endpoint(plan.scenario.expect.side) for plan in plans]
    shut = [end for end in ends if end.shuts_at_s is not None]
    assert 0 < len(shut) < 0.15 * len(plans)
    assert not any(end.writes_at_s for end in shut)


@pytest.mark.slow
def test_no_fault_comes_after_the_end() -> None:
    """Nothing could be learnt from it."""
    for plan in drawn()[0]:
        ends = [outcome.window_ns for outcome in plan.expected]
        latest = max(window[1] for window in ends if window) if all(ends) else plan.watch_ns
        assert all(fault.at_s * 1e9 <= latest for fault in plan.scenario.faults), plan.scenario


@pytest.mark.slow
def test_a_scenario_as_a_file_is_the_scenario(tmp_path: Path) -> None:
    """What is written is read as it was."""
    for plan in drawn()[0]:
        file = tmp_path / f"{plan.name}{loader.SUFFIX}"
        file.write_text(as_toml(plan.scenario))
        assert loader.load_file(file) == plan.scenario


@pytest.mark.parametrize("missing", ["hypothesis", "tomli_w"])
def test_what_is_missing_is_said_with_its_fix(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before a kernel is looked for or anything is drawn."""
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(CapabilityError, match=rf"{missing} is not installed.*(ci/setup|\[fuzz\])"):
        campaign.check_capable()
    assert main.main(["fuzz"]) == 3
    assert f"{missing} is not installed" in capsys.readouterr().err


# --- what comes of it ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "as_foreseen", "comes"),
    [
        ("pass", True, "agreed"),
        ("inconclusive", True, "met nothing"),
        ("inconclusive", False, "unjudged"),
        ("fail", False, "disagreed"),
    ],
)
def test_what_came_of_a_case(
    name: VerdictName, comes: campaign.Comes, *, as_foreseen: bool
) -> None:
    """A fault that met nothing is no doubt about what oracle and kernel agreed on."""
    assert campaign.came_of(judged(drawn()[0][0], name, as_foreseen=as_foreseen).verdict) == comes


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ({"agreed": 300}, "pass"),
        ({"agreed": 1, "met nothing": 299}, "pass"),
        ({"met nothing": 10}, "inconclusive"),
        ({"agreed": 90, "unjudged": 10}, "pass"),
        ({"agreed": 90, "unjudged": 11}, "inconclusive"),
        ({"unjudged": 1}, "inconclusive"),
        ({}, "inconclusive"),
        ({"agreed": 299, "disagreed": 1}, "fail"),
        ({"unjudged": 299, "disagreed": 1}, "fail"),
    ],
)
def test_the_verdict_on_all_cases(counts: dict[campaign.Comes, int], verdict: VerdictName) -> None:
    """One disagreement is enough.

    Too many that could not be judged are no agreement, nor is it that none agreed.
    """
    assert (
        campaign.Tally(seed=1, machine=MACHINE, covered={"idle": Counter(counts)}).verdict
        == verdict
    )


@pytest.mark.slow
@pytest.mark.usefixtures("_draws_once")
def test_all_that_is_told(tmp_path: Path) -> None:
    """Counts, refusals, and each disagreement as it was saved, in words and as JSON."""
    watcher = Silent()
    tally = campaign.run(
        20, SEED, MACHINE, wrong_where(lambda s: s.state == "connecting"), tmp_path, watcher
    )
    disagreed = sum(plan.scenario.state == "connecting" for plan in drawn()[0][:20])
    assert tally.count("disagreed") == disagreed > 0
    assert tally.count() == 20
    assert watcher.begun[:3] == ["drawing", "running", f"making {disagreed} smaller, round 1"]
    shown = io.StringIO()
    Console(file=shown, width=140).print(*report.describe(tally, 1.5), sep="\n")
    text = shown.getvalue()
    assert f"20 cases, {20 - disagreed} agreed, {disagreed} disagreed in 1.5 s" in text
    assert f"harness fuzz --seed {SEED} --cases 20" in text
    assert f"harness run --clock virtual {tmp_path}/disagreement-1.scenario.toml" in text
    told = json.loads(report.as_json(tally))
    assert (told["verdict"], told["seed"], told["cases"], told["agreed"]) == (
        "fail",
        SEED,
        20,
        20 - disagreed,
    )
    assert told["states"]["connecting"]["disagreed"] == disagreed
    assert [each["file"] for each in told["disagreements"]] == [
        str(each.file) for each in tally.disagreements
    ]
    assert (
        told["disagreements"][0]["scenario"]
        in (tmp_path / "disagreement-1.scenario.toml").read_text()
    )


# --- making smaller -----------------------------------------------------------------------------


def smallest(disagrees: Callable[[Scenario], bool], folder: Path) -> list[Scenario]:
    """What is left of the cases on which the oracle is wrong, as read from their files."""
    tally = campaign.run(60, SEED, MACHINE, wrong_where(disagrees), folder, Silent())
    assert tally.disagreements
    assert all(each.again for each in tally.disagreements)
    found = [loader.load_file(each.file) for each in tally.disagreements if each.file is not None]
    assert all(disagrees(scenario) for scenario in found)
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("_draws_once")
def test_what_fails_is_made_as_small_as_it_gets(tmp_path: Path) -> None:
    """What makes no difference is gone: faults, writes, options, the topology, the phase,
    digits.
    """

    def disagrees(scenario: Scenario) -> bool:
        alive = scenario.client.keepalive
        cut = any(isinstance(fault, Blackhole) for fault in scenario.faults)
        idle = scenario.state == "established" and scenario.server.reads
        return cut and idle and isinstance(alive, Keepalive) and alive.count >= 3

    for scenario in smallest(disagrees, tmp_path):
        (fault,) = scenario.faults
        assert isinstance(fault, Blackhole)
        rounder = msgspec.structs.replace(fault, at_s=float(round(fault.at_s)))
        ways = [msgspec.structs.replace(scenario, faults=(rounder,))]
        assert rounder == fault or not list(
            campaign._all_planned(ways, "rounder", MACHINE)
        )  # no moment near a probe
        assert isinstance(scenario.client.keepalive, Keepalive)
        assert 3 <= scenario.client.keepalive.count <= 5
        assert scenario.client == Endpoint(keepalive=scenario.client.keepalive)
        assert scenario.server == Endpoint()
        assert scenario.topology == Topology()
        assert scenario.expect.phase_ns == 0


@pytest.mark.slow
@pytest.mark.usefixtures("_draws_once")
def test_what_matters_is_kept(tmp_path: Path) -> None:
    """Where two things must come together for a failure, both of them stay."""

    def disagrees(scenario: Scenario) -> bool:
        return scenario.topology.family == "ipv6" and len(scenario.client.writes_at_s) >= 2

    for scenario in smallest(disagrees, tmp_path):
        assert len(scenario.client.writes_at_s) == 2
        assert scenario.topology.family == "ipv6"
        assert len(scenario.faults) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("_draws_once")
def test_what_does_not_fail_again_is_reported_as_it_was(tmp_path: Path) -> None:
    """A failure that came once is told, with that it did not come again."""
    done: list[str] = []

    def carry(plans: Sequence[Plan], _out: Path) -> list[Result]:
        first = not done
        done.append("once")
        return [judged(plan, "fail" if first and not n else "pass") for n, plan in enumerate(plans)]

    tally = campaign.run(10, SEED, MACHINE, carry, tmp_path, Silent())
    (found,) = tally.disagreements
    assert not found.again
    assert found.scenario == drawn()[0][0].scenario


def test_a_signal_while_hypothesis_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypothesis takes it for an example that fails, draws that again, and calls the second one
    flaky.
    """
    drawn = []

    def draw(number: int) -> tuple[int, int]:
        drawn.append(number)
        if len(drawn) == 1:
            signal.raise_signal(signal.SIGTERM)
        return number, number

    monkeypatch.setattr("harness.fuzz.strategies.scenarios", lambda: st.builds(draw, st.integers()))
    with pytest.raises(Terminated), told_to_end():
        campaign._batch(1)
    assert len(drawn) > 1
