"""The pytest plugin: scenario files as test items, run all at once, and the `lab` fixture for hand-written tests.

Every file named `*.scenario.toml` below the collected paths is one test item. The session's scenarios stand together,
where the first of them was collected, and start together when it is due; each item then waits for its own verdict, and
fails when that is fail or inconclusive. Its time limit comes from its plan, unless it has a timeout mark already.

They run in a process of their own (`harness.apart`): the tests keep their network and their interpreter. Labs live in
pytest's process, so where that is not root's it is moved into namespaces of its own before the first test, when a test
uses `lab` and never otherwise; it has no network but its own loopback then.

The module is loaded by every pytest run in an environment that has the package, so it imports nothing at the top.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.venue import WALL_LIMIT_S, wall_limit

if TYPE_CHECKING:
    from harness.apart import Batch
    from harness.batch import Result
    from harness.lab.topology import Family, Kind
    from harness.plan import Plan
    from harness.workbench import Workbench

pytest_plugins = ("harness.pytest_services",)
SUFFIX = ".scenario.toml"
OVERTIME_S = 30.0
"""Added to a plan's own length for building, healing and the other scenarios of the session."""
EVENTS_SHOWN = 60


class ScenarioFailed(Exception):
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
            from harness.batch import new_folder

            self._out = new_folder()
        return self._out

    def result(self, plan: Plan, together: Sequence[Plan]) -> Result:
        """The result of one plan; when it is the first, all of `together` start. Raises HarnessError.

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
                self._news.wait(1.0)
            self._pending.discard(plan.name)
            if plan.name in self._results:
                return self._results.pop(plan.name)
        assert self._error is not None
        raise self._error

    def _start(self, plans: list[Plan]) -> None:
        from harness.apart import Batch
        from harness.errors import UsageError

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
        threading.Thread(target=self._listen, args=(batch,), name="scenarios", daemon=True).start()

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
_BENCHES: pytest.StashKey[list[Workbench]] = pytest.StashKey()


# --- hooks -----------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--harness-out`, `--lab`, `--clock` and what goes with it."""
    group = parser.getgroup("keepalive-harness")
    group.addoption(
        "--harness-out",
        metavar="DIR",
        type=Path,
        help="keep plans, timelines and captures of scenario files here (default: a state folder)",
    )
    group.addoption(
        "--clock",
        choices=("real", "virtual"),
        default="real",
        help="virtual: the whole session in a User-Mode Linux guest whose clock jumps (default: real)",
    )
    group.addoption(
        "--lab",
        choices=("netns", "docker"),
        default="netns",
        help="what hosts are, of scenarios and of the `lab` fixture: namespaces or containers (default: netns)",
    )
    group.addoption("--harness-kernel", metavar="NAME", help="the guest's kernel, see `harness kernel list`")
    group.addoption(
        "--harness-wall-limit",
        metavar="S",
        type=wall_limit,
        default=WALL_LIMIT_S,
        help="end the guest after S seconds here (default: 600; 0: never)",
    )
    group.addoption(
        "--harness-write",
        metavar="DIR",
        type=Path,
        action="append",
        default=[],
        help="a folder outside of the project that tests may write, with --clock=virtual (repeat)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """With --clock=virtual: the session happens in a guest, where this hook finds nothing left to do."""
    if config.getoption("clock") != "virtual" or config.getoption("help") or config.getoption("version"):
        return None
    if config.getoption("lab") != "netns":
        raise pytest.UsageError("--lab docker: expected --clock real with it, as containers' time is this machine's")
    from harness import capabilities
    from harness.errors import CapabilityError, HarnessError, UsageError

    if capabilities.clock() == "virtual":
        return None
    from harness.signals import Terminated, told_to_end
    from harness.venue import session

    try:
        with told_to_end():
            ended = session.run(config)
    except (UsageError, CapabilityError) as error:
        raise pytest.UsageError(str(error)) from error
    except HarnessError as error:
        sys.stderr.write(f"harness: {error}\n")
        return pytest.ExitCode.INTERNAL_ERROR
    except KeyboardInterrupt:
        sys.stderr.write("harness: interrupted\n")
        return pytest.ExitCode.INTERRUPTED
    except Terminated as end:
        sys.stderr.write(f"harness: ended by {end.signal.name}\n")
        return 128 + end.signal
    sys.stderr.write(f"harness: {ended.virtual_s:.2f} s of virtual time in {ended.wall_s:.2f} s\n")
    return ended.status


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the session's scenarios."""
    config.stash[_RUNS] = _Runs(config.getoption("--harness-out"))
    if not config.pluginmanager.has_plugin("timeout"):
        config.addinivalue_line("markers", "timeout(seconds): without effect, because pytest-timeout is switched off")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Files named *.scenario.toml are collected."""
    if file_path.name.endswith(SUFFIX):
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put scenarios side by side, so that no other test competes with those that still run; limit their time."""
    scenarios = [item for item in items if isinstance(item, ScenarioItem)]
    if not scenarios:
        return
    first = items.index(scenarios[0])
    items[:] = [*items[:first], *scenarios, *(item for item in items[first:] if not isinstance(item, ScenarioItem))]
    for item in scenarios:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(item.limit_s))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Before the first test, while there is one thread: get the right to build labs, if any test asks for one."""
    if any(_uses_lab(item) for item in session.items) and not session.config.getoption("collectonly"):
        from harness.errors import CapabilityError
        from harness.lab.namespace import ensure_privileges

        with suppress(CapabilityError):  # told when the lab is built
            ensure_privileges()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what still runs, as after -x."""
    config.stash[_RUNS].close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test that used `lab` shows what happened in its labs."""
    report = yield
    if call.when == "call" and report.failed:
        for number, bench in enumerate(_benches(item), start=1):
            title = f"lab {number} ({bench.topology.kind}, {bench.topology.family})"
            report.sections.append((title, "\n".join(_shown(bench.timeline.events))))
    return report


def _uses_lab(item: pytest.Item) -> bool:
    """Whether a test's `lab` is the fixture below, and not one of the same name."""
    found = getattr(item, "_fixtureinfo", None)
    definitions = [] if found is None else found.name2fixturedefs.get("lab", [])
    return any(definition.func.__module__ == __name__ for definition in definitions[-1:])


def _benches(item: pytest.Item) -> list[Workbench]:
    """The labs that a test has built."""
    return item.stash.setdefault(_BENCHES, [])


def _shown(events: Sequence[Any]) -> list[str]:
    """The last events as lines of text."""
    from harness.report import picture

    lines = picture.chronicle(events)
    left_out = len(lines) - EVENTS_SHOWN
    return lines if left_out <= 0 else [f"({left_out} earlier events left out)", *lines[-EVENTS_SHOWN:]]


# --- scenario files --------------------------------------------------------------------------------------


class ScenarioFile(pytest.File):
    """One scenario file."""

    def collect(self) -> Iterator[pytest.Item]:
        """One item; a file that cannot be loaded or planned is a collection error with the loader's message.

        What needs containers is left out, with the reason, where there are to be none, unless its file is named.
        """
        import msgspec

        from harness import capabilities, loader, plan
        from harness.errors import UsageError

        kind = self.config.getoption("lab")
        try:
            scenario = loader.load_file(self.path)
            leaf = scenario.name.rpartition("/")[2]
            # Run directories are told apart by name, so within a session a scenario is named after its path.
            scenario = msgspec.structs.replace(scenario, name=_name_of(self.path, self.config.rootpath))
            loader.check_claim(scenario)
            left_out = scenario.of_containers and kind != "docker" and not self._is_named()
            made = plan.make(scenario, capabilities.machine("docker" if left_out else kind))
        except UsageError as error:
            raise self.CollectError(str(error)) from error
        if left_out:
            yield LeftOut.from_parent(self, name=leaf)
            return
        yield ScenarioItem.from_parent(self, name=leaf, plan=made)

    def _is_named(self) -> bool:
        """Whether the file itself is among pytest's arguments."""
        here = self.config.invocation_params.dir
        return any(here / argument.partition("::")[0] == self.path for argument in self.config.args)


def _name_of(path: Path, root: Path) -> str:
    """The scenario's name within the session: its path below pytest's root folder, or from / where it lies outside."""
    resolved = path.resolve()
    relative = resolved.relative_to(root if resolved.is_relative_to(root) else resolved.anchor)
    return relative.as_posix().removesuffix(SUFFIX)


class LeftOut(pytest.Item):
    """A scenario of containers, in a session without any."""

    def runtest(self) -> None:
        """Say why."""
        pytest.skip("it needs containers: pytest --lab docker")

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where pytest says the item is."""
        return self.path, None, f"scenario {self.name}"


class ScenarioItem(pytest.Item):
    """One scenario as a test."""

    def __init__(self, *, plan: Plan, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.plan = plan

    @property
    def limit_s(self) -> float:
        """How long the item may take, in seconds: what its plan says and ample time for the rest."""
        return (self.plan.watch_ns + self.plan.allowance_ns) / 1e9 + OVERTIME_S

    def runtest(self) -> None:
        """Wait for the verdict."""
        # A worker of pytest-xdist has collected all items and cannot know which of them it will be given.
        shared = hasattr(self.config, "workerinput")
        items = [self] if shared else [item for item in self.session.items if isinstance(item, ScenarioItem)]
        result = self.config.stash[_RUNS].result(self.plan, [item.plan for item in items])
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
            return self._report(str(error), picture.draw(found.plan, found.events) or _shown(found.events))
        if isinstance(error, HarnessError):
            return str(error)
        what = str(error) if isinstance(error, pytest.fail.Exception) else str(super().repr_failure(excinfo, style))
        try:
            events = _shown(timeline.load(self._folder()))
        except HarnessError as missing:
            events = [str(missing)]
        return self._report(what, ["timeline so far:", *events])

    def _report(self, what: str, lines: list[str]) -> str:
        summary = self.plan.scenario.summary
        head = [what, "", *([f"claim: {summary}"] if summary else [])]
        return "\n".join([*head, *lines, "", f"run directory: {self._folder()}"])

    def _folder(self) -> Path:
        return self.config.stash[_RUNS].out / self.plan.name

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where pytest says the item is."""
        return self.path, None, f"scenario {self.plan.name}"


# --- hand-written tests ----------------------------------------------------------------------------------


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[Callable[..., Workbench]]:
    """Build labs on demand, torn down at the test's end; call it with a topology and a family.

    With lab="docker", or the option --lab docker, its hosts are containers; images={"server": "redis:7"} names one.
    See `harness.workbench.Workbench` for what can be done with one.
    """
    from harness.workbench import Workbench

    benches = _benches(request.node)
    with ExitStack() as stack:

        def build(kind: Kind = "routed", family: Family = "ipv4", **options: Any) -> Workbench:
            __tracebackhide__ = True
            options.setdefault("lab", request.config.getoption("lab"))
            benches.append(stack.enter_context(Workbench(kind, family, **options)))
            return benches[-1]

        yield build
