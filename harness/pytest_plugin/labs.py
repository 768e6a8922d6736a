"""The `lab` fixture for hand-written tests, and what a session with such tests needs.

Labs live in pytest's process, so where that is not root's it is moved into namespaces of its own before the first test,
when a test uses `lab` and never otherwise; it has no network but its own loopback then.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest

from harness.pytest_plugin.history import last_events

if TYPE_CHECKING:
    from harness.lab.topology import Family, Kind
    from harness.workbench import Workbench

_BENCHES: pytest.StashKey[list[Workbench]] = pytest.StashKey()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Before the first test, while there is one thread: get the right to build labs, if any test asks for one."""
    if any(_uses_lab(item) for item in session.items) and not session.config.getoption("collectonly"):
        from harness.errors import CapabilityError
        from harness.lab.namespace import ensure_privileges

        with suppress(CapabilityError):  # told when the lab is built
            ensure_privileges()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test that used `lab` shows what happened in its labs."""
    report = yield
    if call.when == "call" and report.failed:
        for number, bench in enumerate(_benches(item), start=1):
            title = f"lab {number} ({bench.topology.kind}, {bench.topology.family})"
            report.sections.append((title, "\n".join(last_events(bench.timeline.events))))
    return report


def _uses_lab(item: pytest.Item) -> bool:
    """Whether a test's `lab` is the fixture below, and not one of the same name."""
    found = getattr(item, "_fixtureinfo", None)
    definitions = [] if found is None else found.name2fixturedefs.get("lab", [])
    return any(definition.func.__module__ == __name__ for definition in definitions[-1:])


def _benches(item: pytest.Item) -> list[Workbench]:
    """The labs that a test has built."""
    return item.stash.setdefault(_BENCHES, [])


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
