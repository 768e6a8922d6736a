"""The overview of a session's scenarios in the summary of a step of GitHub Actions.

Where the variable GITHUB_STEP_SUMMARY is not set, nothing happens. With pytest-xdist the results
come to the controller with the reports of the tests.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.judge.result import Result

VARIABLE = "GITHUB_STEP_SUMMARY"
_ATTRIBUTE = "harness_result"
"""Of a report: the scenario's result, as plain values that pytest-xdist can send."""


def attach(report: pytest.TestReport, result: Result) -> None:
    """Let a scenario's report tell its result."""
    if not os.environ.get(VARIABLE):
        return
    import msgspec

    from harness.report import json

    document = json.result(result.verdict, result.attempts)
    setattr(report, _ATTRIBUTE, msgspec.to_builtins(document))


class Collector:
    """Collects the results of a session, and writes them at its end."""

    def __init__(self) -> None:
        self._results: dict[str, Any] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a test has ended, maybe in a worker; of a repeated one the last counts."""
        found = getattr(report, _ATTRIBUTE, None)
        if found is not None:
            self._results[report.nodeid] = found

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """All tests have ended."""
        if not self._results:
            return
        import msgspec

        from harness.report import markdown, step_summary
        from harness.report.documents import ScenarioResult

        results = msgspec.convert(list(self._results.values()), list[ScenarioResult])
        step_summary.add(markdown.overview(results, "pytest"))


def pytest_configure(config: pytest.Config) -> None:
    """Collect in the controller alone, and only where there is a summary."""
    if os.environ.get(VARIABLE) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Collector(), "harness-step-summary")
