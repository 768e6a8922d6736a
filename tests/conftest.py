"""What tests of more than one folder share."""

from __future__ import annotations

import os
import shutil
import signal
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import capabilities
from harness.errors import CapabilityError
from harness.lab.namespace import ensure_privileges
from harness.system import kernel_clock
from harness.venue.kernel import Kernel, find
from tests.running import RETRIED, group_of

pytest.register_assert_rewrite("tests.conformance.traces")

LIMIT_S = 300.0
"""Of each test in real time: who takes longer hangs, on however busy a machine.

It is no bound on what is tested.

It is no ini option, as that would also limit the scenarios that are run from this checkout by
`pytest --clock=virtual`.
"""
SLOW_S = 5.0
"""CI lists the tests that take longer."""
ASKED_FOR = frozenset(
    [
        *os.environ.get("REQUIRE", "").split(),
        *(["toxiproxy-server"] if os.environ.get("CI") else []),
    ]
)
"""What must be there: "docker", "toxiproxy-server", a program.

Toxiproxy-server always on a CI machine. Tests that need what is missing fail then, or else say so.
"""

os.environ.pop("GITHUB_STEP_SUMMARY", None)
"""The commands and sessions of tests write nothing into the summary of the step that tests."""
collect_ignore = ["cases"]
"""Its scenario files are no tests of their own: tests/live/test_cases.py runs them."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave `timed` tests to guests, and limit the time of each test."""
    if kernel_clock.clock() != "virtual":
        timed = [item for item in items if item.get_closest_marker("timed")]
        items[:] = [item for item in items if not item.get_closest_marker("timed")]
        config.hook.pytest_deselected(items=timed)
    _limit(config, items)


def _limit(config: pytest.Config, items: list[pytest.Item]) -> None:
    """As the ini option `timeout` would: what else sets a limit goes before it."""
    if config.getoption("timeout", None) is not None or "PYTEST_TIMEOUT" in os.environ:
        return
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LIMIT_S))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With --dist loadgroup: groups by file. pytest-xdist 3.8 finds no mark `xdist_group` in pytest
    9.2.
    """
    if config.getoption("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = group_of
    return scheduler


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """A test leaves the handlers of signals as they were: programs that later tests start would
    ignore them, too.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _needs(request: pytest.FixtureRequest) -> None:
    """Leave out, with the reason, what needs something that this machine lacks.

    Fail where it was asked for.
    """
    for mark in request.node.iter_markers("needs"):
        (name,) = mark.args
        if kernel_clock.clock() == "virtual" and name == "docker":
            pytest.skip("there are no containers in a guest")
        reason = _missing(name)
        if reason and name in ASKED_FOR:
            pytest.fail(f"asked for by REQUIRE, and missing: {reason}", pytrace=False)
        if reason:
            pytest.skip(reason)


def _missing(name: str) -> str:
    """Why a test cannot have what it needs, and the fix; "" where it is there."""
    known = {"docker": capabilities.docker, "toxiproxy-server": capabilities.toxiproxy}
    if name in known:
        found = known[name]()
        return "" if found.available else f"{name}: {found.found}. Fix: {found.fix}"
    fix = f"on Debian: apt-get install {DEBIAN[name]}" if name in DEBIAN else "install it"
    return "" if shutil.which(name) else f"{name}: no such program on PATH. Fix: {fix}"


DEBIAN = {"chromium": "chromium", "chromedriver": "chromium-driver"}
"""The packages of programs that are only for tests."""


@pytest.fixture(scope="session")
def privileges() -> None:
    """Labs need root or a user namespace.

    Without either the tests are left out, with the reason.
    """
    try:
        ensure_privileges()
    except CapabilityError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def kernel() -> Kernel:
    """The newest kernel for virtual time that is built."""
    if kernel_clock.clock() == "virtual":
        pytest.skip("this is a guest already: there are none within one")
    try:
        return find(None)
    except CapabilityError as reason:
        pytest.skip(f"virtual time is left out: {reason}")


# --- what was run again, and what took long -----------------------------------------------------

RETRY = "retry"
"""The property of a test's report that names what the test has run again."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Move what was noted as run again to the report, which also comes from a worker of
    pytest-xdist.
    """
    report = yield
    report.user_properties.extend((RETRY, retried) for retried in RETRIED)
    RETRIED.clear()
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was run again, and what: a test that passes only at the second attempt must be
    seen.

    ci/test, which runs several sessions, has all of them append it to files in the folder
    TEST_NOTES, with the tests that took longer than SLOW_S, and shows these at its end.
    """
    reports = [
        each
        for some in terminalreporter.stats.values()
        for each in some
        if isinstance(each, pytest.TestReport)
    ]
    again = sorted(
        f"{report.nodeid}: {value}"
        for report in reports
        for name, value in report.user_properties
        if name == RETRY
    )
    if again:
        terminalreporter.section(f"run again: {len(again)}")
        for line in again:
            terminalreporter.line(line)
    folder = os.environ.get("TEST_NOTES")
    if folder and "PYTEST_XDIST_WORKER" not in os.environ:
        _append(Path(folder, "again"), again)
        _append(Path(folder, "slow"), _slow(reports))


def _slow(reports: Iterable[pytest.TestReport]) -> list[str]:
    """The tests that took longer than SLOW_S with their set-up and teardown, each as a line."""
    took_s: dict[str, float] = defaultdict(float)
    for report in reports:
        took_s[str(report.nodeid)] += report.duration
    slowest = sorted(((seconds, nodeid) for nodeid, seconds in took_s.items()), reverse=True)
    return [f"{seconds:.1f} s  {nodeid}" for seconds, nodeid in slowest if seconds > SLOW_S]


def _append(file: Path, lines: Iterable[str]) -> None:
    with file.open("a") as notes:
        notes.writelines(f"{line}\n" for line in lines)
