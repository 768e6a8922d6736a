"""The figures of a scenario in the page that pytest-html (4 or later) writes, where that is
installed and a page is asked for with --html.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from harness.pytest_plugin.scenarios import ScenarioItem

if TYPE_CHECKING:
    from harness.judge.result import Result

PLUGIN, OPTION = "html", "htmlpath"
"""The name of pytest-html as a plugin, and of its --html."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A scenario's call has its figures. A set-up that failed has them, as no call follows it."""
    report = yield
    if (
        isinstance(item, ScenarioItem)
        and item.result is not None
        and (call.when == "call" or (call.when == "setup" and report.failed))
        and _is_asked_for(item.config)
    ):
        extras = [*getattr(report, "extras", []), _figures(item.result)]
        report.__dict__["extras"] = extras  # where pytest-html looks
    return report


def _is_asked_for(config: pytest.Config) -> bool:
    return config.pluginmanager.has_plugin(PLUGIN) and bool(config.getoption(OPTION, None))


def _figures(result: Result) -> dict[str, Any]:
    """What pytest_html.extras.html would make of the figures."""
    from harness.report import figure

    drawn = figure.figures(figure.contents_of(result))
    page = f"<style>{figure.FIGURE_CSS}</style>{drawn.timeline}{drawn.ladder}"
    return {
        "name": None,
        "format_type": "html",
        "content": page,
        "mime_type": None,
        "extension": None,
    }
