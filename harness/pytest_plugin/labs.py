"""The `lab` fixture for hand-written tests, and what a session with such tests needs.

Labs live in pytest's process, so where that is not root's it is moved into namespaces of its own
before the first test, when a test uses `lab` and never otherwise; it has no network but its own
loopback then.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from harness.pytest_plugin import options
from harness.pytest_plugin.history import last_events

if TYPE_CHECKING:
    from harness.api.lab_session import Workbench
    from harness.model.topology import Family, Kind, LabKind
    from harness.pytest_plugin.fixtures import LabFixture

_BENCHES: pytest.StashKey[list[Workbench]] = pytest.StashKey()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Before the first test, while there is one thread: get the right to build labs, if any test
    asks for one.
    """
    if any(_uses_lab(item) for item in session.items) and not session.config.getoption(
        "collectonly"
    ):
        from harness.errors import CapabilityError
        from harness.lab.namespace import ensure_privileges

        with suppress(CapabilityError):  # told when the lab is built
            ensure_privileges()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test that used `lab` shows what happened in its labs, and a mistake shows where the
    test made it.
    """
    if call.excinfo is not None and not item.config.getoption("fulltrace", default=False):
        _cut(call.excinfo)
    report = yield
    if call.when == "call" and report.failed:
        for number, bench in enumerate(_benches(item), start=1):
            title = f"lab {number} ({bench.topology.kind}, {bench.topology.family})"
            report.sections.append((title, "\n".join(last_events(bench.timeline.events))))
    return report


def _cut(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """Leave the harness's own code out of the traceback of a mistake, whose message says
    everything.
    """
    if "harness.errors" not in sys.modules:
        return
    from harness.errors import CapabilityError, UsageError

    if not isinstance(excinfo.value, UsageError | CapabilityError):
        return
    entry, last = excinfo.value.__traceback__, None
    while entry is not None:
        if not _is_ours(entry.tb_frame.f_globals.get("__name__", "")):
            last = entry
        entry = entry.tb_next
    if last is not None:
        last.tb_next = None
        excinfo.value.__cause__, excinfo.value.__suppress_context__ = None, True


def _is_ours(module: str) -> bool:
    """Whether a module is of the harness or of the standard library, through which the harness
    calls itself.
    """
    package = module.partition(".")[0]
    return package == "harness" or package in sys.stdlib_module_names


def _uses_lab(item: pytest.Item) -> bool:
    """Whether a test's `lab` is the fixture below, and not one of the same name."""
    found = getattr(item, "_fixtureinfo", None)
    definitions = [] if found is None else found.name2fixturedefs.get("lab", [])
    return any(definition.func.__module__ == __name__ for definition in definitions[-1:])


def _benches(item: pytest.Item) -> list[Workbench]:
    """The labs that a test has built."""
    return item.stash.setdefault(_BENCHES, [])


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[LabFixture]:
    """Build a lab for each call, with a topology and a family.

    All are taken down at the end of the test.

    `harness.Workbench` says what can be done with one.
    """
    from harness.api.lab_session import Workbench

    benches = _benches(request.node)
    with ExitStack() as stack:

        def build(
            kind: Kind = "routed",
            family: Family = "ipv4",
            *,
            lab: LabKind | None = None,
            images: Mapping[str, str] | None = None,
        ) -> Workbench:
            chosen = options.of(request.config).lab if lab is None else lab
            bench = stack.enter_context(Workbench(kind, family, lab=chosen, images=images))
            benches.append(bench)
            return bench

        yield build
