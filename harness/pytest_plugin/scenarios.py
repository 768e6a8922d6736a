"""Scenario files as test items: run at the same time, in a process of their own, and awaited one by
one.

Every file named `*.scenario.toml` below the collected paths is one item. The session's scenarios
stand together, where the first of them was collected, and start together when it is due. They run
in another process (`harness.batch.worker`), so that the tests keep their network and their
interpreter.

An item waits for its verdict while it is set up, and fails in its call when the claim is refuted. A
run that could not be judged is an error of the set-up, as pytest and its JUnit report tell the two
apart.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.pytest_plugin import limits, options, step_summary
from harness.pytest_plugin.history import Telling, last_events
from harness.system.escapes import visible

if TYPE_CHECKING:
    from harness.batch.worker import Batch
    from harness.judge.result import Result
    from harness.model.machine import MachineFacts
    from harness.plan.plan import Plan
    from harness.scenario.schema import Scenario

SUFFIX = ".scenario.toml"


class NotPassed(Exception):
    """The verdict of a scenario is not "pass"."""

    def __init__(self, result: Result) -> None:
        self.result = result
        super().__init__(f"{result.verdict.verdict}: {result.verdict.reason}")


class _Runs:
    """The scenarios of the pytest session: started together, awaited one by one."""

    def __init__(self, out: Path | None) -> None:
        self._out = out
        self._begun: set[str] = set()
        self._pending: set[str] = set()
        self._results: dict[str, Result] = {}
        self._news = threading.Condition()
        self._error: BaseException | None = None
        self._batches: list[Batch] = []

    @property
    def out(self) -> Path:
        """The folder of the run directories."""
        if self._out is None:
            from harness.batch.batch import new_folder

            self._out = new_folder()
        return self._out

    def result(self, plan: Plan, together: Sequence[Plan]) -> Result:
        """The result of one plan; when it is the first, all of `together` start.

        Raises HarnessError.

        A second call for the same plan runs it again, alone.
        """
        if self._error is None and plan.name not in self._pending:
            first = plan.name not in self._begun
            try:
                self._start([plan, *(p for p in together if first and p.name not in self._begun)])
            except Exception as error:  # noqa: BLE001 - it is raised again in each waiting test
                self._error = error
        with self._news:
            while plan.name not in self._results and self._error is None:
                self._news.wait()
            self._pending.discard(plan.name)
            if plan.name in self._results:
                return self._results.pop(plan.name)
        assert self._error is not None
        raise self._error

    def _start(self, plans: list[Plan]) -> None:
        from harness.batch.worker import Batch
        from harness.errors import UsageError
        from harness.system.threads import begin

        unique = {plan.name: plan for plan in plans}
        self._begun |= unique.keys()
        self._pending |= unique.keys()
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            what = f"expected a folder for the run directories, found {error}"
            raise UsageError(f"{what}; name another one with --harness-out") from error
        batch = Batch(list(unique.values()), self.out)
        self._batches.append(batch)
        begin(threading.Thread(target=self._listen, args=(batch,), name="scenarios", daemon=True))

    def _listen(self, batch: Batch) -> None:
        try:
            for result in batch.results():
                with self._news:
                    self._results[result.plan.name] = result
                    self._news.notify_all()
        except BaseException as error:  # noqa: BLE001 - it is raised again in the waiting test
            with self._news:
                self._error = error
                self._news.notify_all()

    def close(self) -> None:
        """End what still runs."""
        for batch in self._batches:
            batch.close()


_RUNS = pytest.StashKey[_Runs]()


# --- hooks --------------------------------------------------------------------------------------


MARKER = (
    "scenario(fault, topology, family, state, side, outcome): set on every scenario file, once "
    "for each of its faults and each end that it judges; "
    "the values are strings as in the file, for -m 'scenario(fault=\"blackhole\")'"
)


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the session's scenarios."""
    config.addinivalue_line("markers", MARKER)
    config.stash[_RUNS] = _Runs(options.of(config).out)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what still runs, as after -x."""
    config.stash[_RUNS].close()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Files named *.scenario.toml are collected."""
    if file_path.name.endswith(SUFFIX):
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put scenarios side by side, so that no other test competes with those that still run."""
    scenarios = [item for item in items if isinstance(item, ScenarioItem)]
    if not scenarios:
        return
    first = items.index(scenarios[0])
    items[:] = [
        *items[:first],
        *scenarios,
        *(item for item in items[first:] if not isinstance(item, ScenarioItem)),
    ]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Limit the scenarios' time, now that it is known which of them run together."""
    items = [item for item in session.items if isinstance(item, ScenarioItem)]
    if not items:
        return
    alone = hasattr(session.config, "workerinput")
    all_s = 0.0 if alone else limits.of_plans_s(items[0].together)
    for item in items:
        limits.apply(item, limits.of_plans_s(item.together) if alone else all_s)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A scenario's error is told as its failure is: pytest asks an item for its own words in its
    call alone.
    """
    report = yield
    if not isinstance(item, ScenarioItem) or call.when != "setup":
        return report
    if item.result is not None:
        step_summary.attach(report, item.result)
    if call.excinfo is not None and report.failed:
        report.longrepr = item.repr_failure(call.excinfo)
    return report


# --- items --------------------------------------------------------------------------------------


class ScenarioFile(pytest.File):
    """One scenario file."""

    def collect(self) -> Iterator[pytest.Item]:
        """One item; a file that cannot be loaded or planned is a collection error with the loader's
        message.

        What needs containers or virtual time is left out, with the reason, where there is none,
        unless its file is named.
        """
        import msgspec

        from harness.errors import UsageError
        from harness.plan import planner
        from harness.plan.local_machine import local_machine
        from harness.scenario import loader

        given = options.of(self.config)
        kind = given.lab
        try:
            scenario = loader.load_file(self.path)
            leaf = scenario.name.rpartition("/")[2]
            # Run directories are told apart by name, so within a session a scenario is named after
            # its path.
            scenario = msgspec.structs.replace(
                scenario, name=name_of(self.path, self.config.rootpath)
            )
            loader.check_claim(scenario)
            if given.no_commands:
                loader.refuse_programs(scenario)
            machine = local_machine(kind)
            lacking = "" if self._is_named() else lacking_in(scenario, machine)
            if lacking and scenario.of_containers:
                machine = local_machine("docker")
            elif lacking:
                machine = msgspec.structs.replace(machine, clock="virtual")
            made = planner.make(scenario, machine)
        except UsageError as error:
            raise self.CollectError(visible(str(error))) from error
        item: pytest.Item = (
            LeftOut.from_parent(self, name=leaf, reason=lacking)
            if lacking
            else ScenarioItem.from_parent(self, name=leaf, plan=made)
        )
        for mark in marks(scenario):
            item.add_marker(mark)
        yield item

    def _is_named(self) -> bool:
        """Whether the file itself is among pytest's arguments."""
        here = self.config.invocation_params.dir
        return any(here / argument.partition("::")[0] == self.path for argument in self.config.args)


def marks(scenario: Scenario) -> Iterator[pytest.MarkDecorator]:
    """The marker `scenario`, once for each fault and judged end, so that an expression of -m finds
    any of them.
    """
    facts = {
        "topology": scenario.topology.kind,
        "family": scenario.topology.family,
        "state": scenario.state,
    }
    kinds: dict[str | None, None] = dict.fromkeys(fault.kind for fault in scenario.faults)
    for side in scenario.judged:
        outcome = scenario.seen_by(side).expect.outcome
        for kind in kinds or (None,):
            yield pytest.mark.scenario(fault=kind, side=side, outcome=outcome, **facts)


def name_of(path: Path, root: Path) -> str:
    """The scenario's name within the session: its path below pytest's root folder, or from / where
    it lies outside.
    """
    resolved = path.resolve()
    relative = resolved.relative_to(root if resolved.is_relative_to(root) else resolved.anchor)
    return relative.as_posix().removesuffix(SUFFIX)


def lacking_in(scenario: Scenario, machine: MachineFacts) -> str:
    """What a scenario needs that this session does not have, and the option for it; "": nothing."""
    if scenario.of_containers and machine.lab != "docker":
        return "it needs containers: pytest --lab docker"
    if scenario.of_guests and machine.clock != "virtual":
        return "it needs virtual time: pytest --clock virtual"
    return ""


class LeftOut(pytest.Item):
    """A scenario that this session leaves out. `reason`: why."""

    def __init__(self, *, reason: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.reason = reason

    def runtest(self) -> None:
        """Say why."""
        pytest.skip(self.reason)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where pytest says the item is."""
        return self.path, None, f"scenario {self.name}"


class ScenarioItem(pytest.Item):
    """One scenario as a test."""

    def __init__(self, *, plan: Plan, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.plan = plan
        self.result: Result | None = None

    @property
    def together(self) -> list[Plan]:
        """The plans that start when this item is the first of the session's scenarios to be due."""
        # A worker of pytest-xdist has collected all items and cannot know which of them it will be
        # given.
        shared = hasattr(self.config, "workerinput")
        items = (
            [self]
            if shared
            else [item for item in self.session.items if isinstance(item, ScenarioItem)]
        )
        return [item.plan for item in items]

    def setup(self) -> None:
        """Wait for the verdict.

        What could not be judged is an error: a run that broke, hung or proves nothing.
        """
        from harness.report import properties

        self.result = None
        found = self.config.stash[_RUNS].result(self.plan, self.together)
        facts = properties.of(found.verdict, found.attempts)
        self.user_properties[:] = [(name, visible(value)) for name, value in facts.items()]
        self.result = found
        if found.verdict.verdict == "inconclusive":
            raise NotPassed(found)

    def runtest(self) -> None:
        """Hold the verdict."""
        assert self.result is not None
        if self.result.verdict.verdict != "pass":
            raise NotPassed(self.result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The verdict with its picture; for a scenario that hung, its timeline so far."""
        from harness import timeline
        from harness.errors import HarnessError
        from harness.report import diagram

        error = excinfo.value
        if isinstance(error, NotPassed):
            found = error.result
            return self._report(
                str(error), diagram.draw(found.plan, found.events) or last_events(found.events)
            )
        if isinstance(error, HarnessError):
            return Telling(str(error))
        what = (
            str(error)
            if isinstance(error, pytest.fail.Exception)
            else str(super().repr_failure(excinfo, style))
        )
        try:
            events = last_events(timeline.load(self._folder()))
        except HarnessError as missing:
            events = [str(missing)]
        return self._report(what, [limits.explain(self, self.plan), "timeline so far:", *events])

    def _report(self, what: str, lines: list[str]) -> Telling:
        from harness.judge.reasons import claim

        summary = self.plan.scenario.summary
        head = [
            what,
            "",
            *([f"scenario: {summary}"] if summary else []),
            f"claim: {claim(self.plan)}",
        ]
        return Telling("\n".join([*head, *lines, "", f"run directory: {self._folder()}"]))

    def _folder(self) -> Path:
        return self.config.stash[_RUNS].out / self.plan.name

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where pytest says the item is."""
        return self.path, None, f"scenario {self.plan.name}"
