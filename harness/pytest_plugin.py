"""The pytest plugin: scenario files as test items, run all at once, and the `lab` fixture for hand-written tests.

Every file named `*.scenario.toml` below the collected paths is one test item. All scenarios of a session start together
when the first of them is due; each item then waits for its own verdict. A scenario fails its test when its verdict is
fail or inconclusive. pytest-timeout is set for each from its plan.

The module is loaded by every pytest run in an environment that has the package, so it imports nothing at the top.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.batch import Result
    from harness.lab.topology import Family, Kind
    from harness.plan import Plan
    from harness.workbench import Workbench

SUFFIX = ".scenario.toml"
OVERTIME_S = 30.0
"""Added to a plan's own length for building, healing and the other scenarios of the session."""


class ScenarioFailed(Exception):
    """The verdict of a scenario is not "pass"."""

    def __init__(self, result: Result) -> None:
        self.result = result
        super().__init__(result.verdict.reason)


class _Session:
    """All scenarios of the pytest session: started once, together."""

    def __init__(self, out: Path | None) -> None:
        self._out = out
        self._results: dict[str, Result] = {}
        self._news = threading.Condition()
        self._error: BaseException | None = None
        self._started = False

    @property
    def out(self) -> Path:
        """The folder of the run directories."""
        if self._out is None:
            from harness.batch import new_folder

            self._out = new_folder()
        return self._out

    def result(self, plan: Plan, plans: list[Plan]) -> Result:
        """The result of one plan; the first call starts all of `plans`. Raises what ended the batch."""
        if not self._started:
            self._started = True
            from harness.lab.namespace import ensure_privileges

            ensure_privileges()  # while there is one thread
            self.out.mkdir(parents=True, exist_ok=True)
            threading.Thread(target=self._run, args=(plans,), name="scenarios", daemon=True).start()
        with self._news:
            while plan.name not in self._results and self._error is None:
                self._news.wait(1.0)
            if plan.name in self._results:
                return self._results[plan.name]
        assert self._error is not None
        raise self._error

    def _run(self, plans: list[Plan]) -> None:
        from harness import batch

        try:
            batch.run(plans, self.out, self)
        except BaseException as error:  # noqa: BLE001 - it is raised again in the waiting test
            with self._news:
                self._error = error
                self._news.notify_all()

    def status(self, name: str, what: str, until_ns: int | None) -> None:
        """Progress is pytest's own business."""

    def done(self, result: Result) -> None:
        """One scenario has been judged: wake its test."""
        with self._news:
            self._results[result.plan.name] = result
            self._news.notify_all()


_SESSION = pytest.StashKey[_Session]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--harness-out DIR`."""
    group = parser.getgroup("keepalive-harness")
    group.addoption(
        "--harness-out",
        metavar="DIR",
        type=Path,
        help="keep plans, timelines and captures of scenario files here (default: a state folder)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the session's scenarios."""
    config.stash[_SESSION] = _Session(config.getoption("--harness-out"))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Files named *.scenario.toml are collected."""
    if file_path.name.endswith(SUFFIX):
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


class ScenarioFile(pytest.File):
    """One scenario file."""

    def collect(self) -> Iterator[pytest.Item]:
        """One item; a file that cannot be loaded or planned is a collection error with the loader's message."""
        import msgspec

        from harness import capabilities, loader, plan
        from harness.errors import UsageError

        try:
            scenario = loader.load_file(self.path)
            # Run directories are told apart by name, so within a session a scenario is named after its path.
            scenario = msgspec.structs.replace(scenario, name=_name_of(self.path, self.config.rootpath))
            made = plan.make(scenario, capabilities.machine())
        except UsageError as error:
            raise self.CollectError(str(error)) from error
        yield ScenarioItem.from_parent(self, name=scenario.name.rpartition("/")[2], plan=made)


def _name_of(path: Path, root: Path) -> str:
    """The scenario's name within the session: its path below pytest's root folder."""
    resolved = path.resolve()
    relative = resolved.relative_to(root) if resolved.is_relative_to(root) else Path(resolved.name)
    return relative.as_posix().removesuffix(SUFFIX)


class ScenarioItem(pytest.Item):
    """One scenario as a test."""

    def __init__(self, *, plan: Plan, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.plan = plan
        seconds = (plan.watch_ns + plan.allowance_ns) / 1e9 + OVERTIME_S
        self.add_marker(pytest.mark.timeout(seconds))

    def runtest(self) -> None:
        """Wait for the verdict."""
        plans = [item.plan for item in self.session.items if isinstance(item, ScenarioItem)]
        result = self.config.stash[_SESSION].result(self.plan, plans)
        if result.verdict.verdict != "pass":
            raise ScenarioFailed(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The verdict with its picture; for a scenario that hung, its timeline so far."""
        from harness import timeline
        from harness.errors import HarnessError
        from harness.report import picture

        error = excinfo.value
        if isinstance(error, ScenarioFailed):
            found = error.result
            lines = picture.draw(found.plan, found.events)
            head = f"{found.plan.name}: {found.verdict.verdict}: {found.verdict.reason}"
            return "\n".join([head, "", *lines, "", f"run directory: {self._folder()}"])
        if isinstance(error, HarnessError):
            return str(error)
        shown = [str(super().repr_failure(excinfo, style)), "", f"timeline so far ({self._folder()}):"]
        try:
            shown += [f"  {e.t_ns / 1e9:10.6f} s  {e.kind:<18} {e.source}" for e in timeline.load(self._folder())]
        except HarnessError as missing:
            shown.append(f"  {missing}")
        return "\n".join(shown)

    def _folder(self) -> Path:
        return self.config.stash[_SESSION].out / self.plan.name

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where pytest says the item is."""
        return self.path, None, f"scenario: {self.plan.scenario.summary or self.name}"


@pytest.fixture
def lab() -> Iterator[Callable[..., Workbench]]:
    """Build labs on demand, torn down at the test's end; call it with a topology and a family.

    See `harness.workbench.Workbench` for what can be done with one.
    """
    from harness.workbench import Workbench

    with ExitStack() as stack:

        def build(kind: Kind = "routed", family: Family = "ipv4") -> Workbench:
            return stack.enter_context(Workbench(kind, family))

        yield build
