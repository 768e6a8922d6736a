"""In a guest: how long tests took in real time, for --durations and for the JUnit report.

pytest measures by the guest's clock, which jumps. A new file in a folder of the host gets the time
of the host's clock, which is how a guest can read it; that takes 0.2 ms.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from harness.pytest_plugin import progress

_SINCE: pytest.StashKey[int] = pytest.StashKey()
"""When the last phase of a test ended, in nanoseconds of the host's wall clock."""
_VIRTUAL_S: pytest.StashKey[float] = pytest.StashKey()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """A test begins."""
    folder = progress.folder(item.config)
    if folder is not None:
        item.stash[_SINCE], item.stash[_VIRTUAL_S] = host_time_ns(folder), 0.0
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give each phase its real length; the virtual one of all three is a property of the test."""
    report = yield
    folder = progress.folder(item.config)
    if folder is not None:
        now_ns = host_time_ns(folder)
        item.stash[_VIRTUAL_S] += report.duration
        report.duration = (now_ns - item.stash[_SINCE]) / 1e9
        item.stash[_SINCE] = now_ns
        if report.when == "teardown":
            report.user_properties.append(("virtual_time", f"{item.stash[_VIRTUAL_S]:.3f} s"))
    return report


def host_time_ns(folder: Path) -> int:
    """The host's wall clock, to a few milliseconds, by a folder of the host that a guest may
    write.
    """
    path = folder / f"now-{os.getpid()}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    found_ns = path.stat().st_mtime_ns
    path.unlink()
    return found_ns
