"""Policies as test items: each connection of a `*.policy.toml` file is one.

A connection with an error or a warning fails, with all of its findings as the text. Where a rule
could not be applied the test ends with an error. Nothing is run: the rules are those of
`harness check`.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.pytest_plugin.history import Telling

if TYPE_CHECKING:
    from harness.policy.check import Result
    from harness.policy.settings import Connection

SUFFIX = ".policy.toml"
MARKER = "policy: set on every connection of a *.policy.toml file, for -m 'not policy'"


class NotMet(Exception):
    """A connection has an error or a warning, or a rule could not be applied to it."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", MARKER)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Files named *.policy.toml are collected."""
    if file_path.name.endswith(SUFFIX):
        return PolicyFile.from_parent(parent, path=file_path)
    return None


class PolicyFile(pytest.File):
    """One policy."""

    def collect(self) -> Iterator[pytest.Item]:
        """An item for each connection; a policy that cannot be read is a collection error."""
        from harness.errors import UsageError
        from harness.system.escapes import visible

        try:
            connections = self.connections
        except UsageError as error:
            raise self.CollectError(visible(str(error))) from error
        found: list[Connection | None] = [*connections]
        if any(key.startswith("ignore.") for each in connections for key in each.inherited):
            found.append(None)
        for each in found:
            name = each.name if each else "defaults"
            item = ConnectionItem.from_parent(self, name=name, connection=each)
            item.add_marker("policy")
            yield item

    @cached_property
    def connections(self) -> tuple[Connection, ...]:
        """In the order of the file. Raises UsageError."""
        from harness.policy import reader

        here = self.config.invocation_params.dir
        return reader.read(self.path, os.path.relpath(self.path, here))

    @cached_property
    def result(self) -> Result:
        """What all rules find, at all connections together: a suppression in the defaults is of use
        if it hides something at one of them.
        """
        from harness.policy import check, registry

        return check.check(self.connections, list(registry.every_rule().values()))

    def of(self, connection: Connection | None) -> Result:
        """The same of one connection; None: of the defaults."""
        from harness.policy.check import Result

        if connection is None:
            return Result(checked=(), others=self.result.others)
        return Result(checked=(self.result.checked[self.connections.index(connection)],))


class ConnectionItem(pytest.Item):
    """One connection as a test; None: the defaults, which may have a suppression too many."""

    def __init__(self, *, connection: Connection | None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.connection = connection

    def setup(self) -> None:
        """Apply the rules. Where one could not be, and none finds a failure, that is an error."""
        if self._found.exit_status == 3:
            raise NotMet

    def runtest(self) -> None:
        """Fail for an error or a warning; notes are in the report of a test that passes."""
        if self._found.exit_status:
            raise NotMet
        if self._found.findings:
            self.add_report_section("call", "notes", self._text)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The findings."""
        if isinstance(excinfo.value, NotMet):
            return Telling(self._text)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where the connection begins."""
        place = self.connection.place if self.connection else None
        if place is not None and Path(place.file).name != self.path.name:
            place = None  # of another file, which the policy names
        return self.path, place.line - 1 if place else None, f"policy {self.name}"

    @property
    def _text(self) -> str:
        from harness.report import policy_text

        return policy_text.describe(self._found)

    @cached_property
    def _found(self) -> Result:
        assert isinstance(self.parent, PolicyFile)
        return self.parent.of(self.connection)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What cannot be answered is told in the same words as a failure is."""
    report = yield
    if isinstance(item, ConnectionItem) and call.when == "setup" and call.excinfo is not None:
        report.longrepr = item.repr_failure(call.excinfo)
    return report
