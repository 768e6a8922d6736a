"""Differential testing: the oracle against a guest's kernel, on scenarios drawn at random, in
virtual time.

Cases are drawn first, from a seed, and carried out in as few guests as there are cores. A case on
which oracle and kernel disagree is made smaller for as long as it still fails, and becomes a
scenario file.
"""

from __future__ import annotations

import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from harness.errors import CapabilityError, NotPredictedError, ScenarioError
from harness.fuzz.simplify import simpler
from harness.judge.result import Result
from harness.judge.verdict import Verdict, VerdictName
from harness.model.machine import MachineFacts
from harness.model.topology import SIDES
from harness.oracle.effects import Unpredictable
from harness.plan import planner
from harness.plan.model_coverage import fills
from harness.plan.plan import Plan
from harness.scenario.loader import SUFFIX, checked
from harness.scenario.schema import Scenario
from harness.scenario.toml_writer import as_toml
from harness.system import fixes, signals

if TYPE_CHECKING:
    from harness.fuzz.strategies import Drawn

Carry = Callable[[Sequence[Plan], Path], list[Result]]
"""Carries plans out at a venue, with their runs' folders below a folder, and judges them."""
Comes = Literal["agreed", "met nothing", "unjudged", "disagreed"]
"""What came of a case; "met nothing": all went as foreseen, but a fault found nothing to act on."""
COMES: tuple[Comes, ...] = ("agreed", "met nothing", "unjudged", "disagreed")
BATCH = 25
"""So many scenarios Hypothesis draws from one seed, of which it repeats some with other numbers."""
ROUNDS = 30
"""So often a case is made smaller by one thing."""
MOST = 12
"""Of so many cases the smallest is looked for; of more, one cause is likely."""
UNJUDGED_SHARE = 0.1
"""More than that, and the machine or the harness is at fault."""


class CampaignWatcher(Protocol):
    """Told how it goes."""

    def begin(self, what: str, total: int) -> None:
        """A part of the work begins, of so many steps."""

    def step(self) -> None:
        """One of them is done. Cases that are carried out say so by themselves."""


class Disagreement(msgspec.Struct, kw_only=True):
    """The smallest scenario found, and the verdict on it.

    `again`: it failed when it was carried out anew. `result`: its run, of which the verdict is.
    """

    scenario: Scenario
    verdict: Verdict
    name: str
    result: Result | None = None
    again: bool = False
    file: Path | None = None


class Tally(msgspec.Struct, kw_only=True):
    """What came of a seed's cases.

    `refused`: reasons why the oracle has no model of what was drawn, with how often. `forestalled`:
    drawn, but a fault would have come after the end. `covered`: by state, what came of how many.
    `faults`: how many were carried out.
    """

    seed: int
    machine: MachineFacts
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    forestalled: int = 0
    covered: dict[str, Counter[Comes]] = {}
    faults: Counter[str] = msgspec.field(default_factory=Counter)
    unjudged: list[Verdict] = []
    disagreements: list[Disagreement] = []

    def count(self, *comes: Comes) -> int:
        """How many cases ended in one of these ways, all of them without any."""
        return sum(row[each] for row in self.covered.values() for each in comes or COMES)

    @property
    def verdict(self) -> VerdictName:
        """Pass where oracle and kernel agree, inconclusive where none agreed or too little could be
        judged.
        """
        if self.count("disagreed"):
            return "fail"
        enough = self.count("agreed") and self.count("unjudged") <= UNJUDGED_SHARE * self.count()
        return "pass" if enough else "inconclusive"


def check_capable() -> None:
    """Raise CapabilityError where what draws and writes scenarios is missing."""
    _hypothesis()


def draw(
    cases: int, seed: int, machine: MachineFacts, watcher: CampaignWatcher
) -> tuple[list[Plan], Tally]:
    """So many plans with a prediction, no two alike, and what was left out.

    Raises CapabilityError.
    """
    tally = Tally(seed=seed, machine=machine)
    found: list[Plan] = []
    for scenario in _scenarios(seed):
        try:
            made = _planned(scenario, f"case-{seed}-{len(found):05}", machine)
        except Unpredictable as reason:
            tally.refused[_without_numbers(str(reason))] += 1
            continue
        if made is None:
            continue
        if _forestalled(made):
            tally.forestalled += 1
            continue
        found.append(made)
        watcher.step()
        if len(found) == cases:
            return found, tally
    raise AssertionError("scenarios are drawn without end")


def run(
    cases: int, seed: int, machine: MachineFacts, carry: Carry, out: Path, watcher: CampaignWatcher
) -> Tally:
    """Draw, carry out, judge, and make what fails smaller, as files in `out`.

    Raises CapabilityError.

    Of the runs below `out` only those are kept that leave a question.
    """
    watcher.begin("drawing", cases)
    plans, tally = draw(cases, seed, machine, watcher)
    watcher.begin("running", cases)
    failed = []
    for result in carry(plans, out / "runs"):
        comes = came_of(result.verdict)
        tally.covered.setdefault(state_of(result.plan), Counter())[comes] += 1
        tally.faults.update({fault.kind for fault in result.plan.scenario.faults})
        if comes == "disagreed":
            failed.append(result)
        elif comes == "unjudged":
            tally.unjudged.append(result.verdict)
        else:
            shutil.rmtree(out / "runs" / result.plan.name, ignore_errors=True)
    tally.disagreements = _smallest(failed, machine, carry, out, watcher)
    for number, disagreement in enumerate(tally.disagreements, start=1):
        disagreement.file = out / f"disagreement-{number}{SUFFIX}"
        disagreement.file.write_text(_as_file(disagreement, tally))
    return tally


def came_of(verdict: Verdict) -> Comes:
    """A case's end."""
    if verdict.verdict == "inconclusive":
        return "met nothing" if verdict.as_foreseen else "unjudged"
    return "agreed" if verdict.verdict == "pass" else "disagreed"


def state_of(plan: Plan) -> str:
    """What the connection was about, as far as it decides which of the kernel's timers asks."""
    scenario = plan.scenario
    if scenario.state == "connecting":
        return "connecting"
    if any(scenario.endpoint(side).shuts_at_s is not None for side in SIDES):
        return "closing"
    if fills(scenario, scenario.expect.side):
        return "zero window"
    if plan.prediction is not None and plan.prediction.asking in ("retransmit", "both"):
        return "in flight"
    written = [side for side in SIDES if scenario.endpoint(side).writes_at_s]
    return "idle after data" if written else "idle"


# --- drawing ------------------------------------------------------------------------------------


def _scenarios(seed: int) -> Iterator[Scenario]:
    """Scenarios without end, the same for the same seed, and no two alike: Hypothesis varies what
    it has drawn.
    """
    chance = random.Random(seed)
    known: set[int] = set()
    while True:
        for choices, scenario in _batch(chance.getrandbits(64)):
            if choices not in known:
                known.add(choices)
                yield scenario


def _batch(seed: int) -> list[Drawn]:
    hypothesis = _hypothesis()
    from harness.fuzz.strategies import scenarios

    found: list[Drawn] = []
    choose = hypothesis.settings(
        max_examples=BATCH,
        database=None,
        deadline=None,
        derandomize=False,  # as Hypothesis would have it on CI machines, whatever the seed
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )

    def gather(drawn: Drawn) -> None:
        found.append(drawn)

    with (
        signals.deferred()
    ):  # Hypothesis takes an exception that comes from nowhere for one of what it draws
        hypothesis.seed(seed)(choose(hypothesis.given(scenarios())(gather)))()
    return found


def _hypothesis() -> Any:
    try:
        import hypothesis
        import tomli_w  # noqa: F401 - wanted at the end
    except ImportError as error:
        raise CapabilityError(
            "differential testing", f"{error.name} is not installed", fixes.install_extra("fuzz")
        ) from error
    return hypothesis


def _planned(scenario: Scenario, name: str, machine: MachineFacts) -> Plan | None:
    """The plan, or None where the scenario makes no sense. Raises Unpredictable."""
    named = msgspec.structs.replace(scenario, name=name)
    try:
        sound = checked(named, name)
    except ScenarioError:
        return None
    try:
        return planner.make(sound, machine)
    except NotPredictedError as error:
        raise Unpredictable(error.reason) from error
    except ScenarioError as error:
        raise Unpredictable(error.expected) from error


def _without_numbers(reason: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "N", reason)


def _forestalled(made: Plan) -> bool:
    """Whether a fault would come after the end, whichever that is: nothing could be learnt from
    it.
    """
    ends = [outcome.window_ns[1] for outcome in made.expected if outcome.window_ns is not None]
    if len(ends) < len(made.expected):
        return False
    return any(fault.at_s * 1e9 > max(ends) for fault in made.scenario.faults if not fault.standing)


# --- making smaller -----------------------------------------------------------------------------


def _smallest(
    failed: Sequence[Result],
    machine: MachineFacts,
    carry: Carry,
    out: Path,
    watcher: CampaignWatcher,
) -> list[Disagreement]:
    """Leave out, round and halve what makes no difference to the failure, one thing after the
    other.

    All that could be left out of all cases is tried in one go, as it is the guests' start that
    takes time.
    """
    found = [
        Disagreement(scenario=r.plan.scenario, verdict=r.verdict, name=r.plan.name, result=r)
        for r in failed
    ]
    pending = found[:MOST]
    for number in range(ROUNDS):
        tries: dict[str, tuple[Disagreement, Plan]] = {}
        for each in pending:
            ways = simpler(each.scenario) if number else [each.scenario]
            for made in _all_planned(ways, f"{each.name}-smaller-{number}", machine):
                tries[made.name] = (each, made)
        if not tries:
            break
        watcher.begin(f"making {len(pending)} smaller, round {number + 1}", len(tries))
        progressing: dict[str, Disagreement] = {}
        for result in carry([made for _, made in tries.values()], out / "smaller"):
            each, made = tries[result.plan.name]
            if result.verdict.verdict == "fail" and each.name not in progressing:
                each.scenario, each.verdict, each.again = made.scenario, result.verdict, True
                each.result = result
                progressing[each.name] = each
        pending = list(progressing.values())
    shutil.rmtree(out / "smaller", ignore_errors=True)
    return _all_different(found)


def _all_different(found: list[Disagreement]) -> list[Disagreement]:
    """Each scenario once: many failures of one cause become the same."""
    by_spelling = {
        msgspec.json.encode(msgspec.structs.replace(each.scenario, name="")): each for each in found
    }
    return list(by_spelling.values())


def _all_planned(ways: Iterable[Scenario], name: str, machine: MachineFacts) -> Iterator[Plan]:
    for number, smaller in enumerate(ways):
        try:
            made = _planned(smaller, f"{name}-{number}", machine)
        except Unpredictable:
            continue
        if made is not None:
            yield made


# --- as files -----------------------------------------------------------------------------------


def _as_file(found: Disagreement, tally: Tally) -> str:
    kernel = f"{tally.machine.kernel}, HZ={tally.machine.hz}"
    comment = (
        f"# {found.name} of `harness fuzz --seed {tally.seed}`; Linux {kernel}\n# "
        f"{found.verdict.reason}\n\n"
    )
    return comment + as_toml(found.scenario)
