"""Suggested settings in the words of software."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.policy import suggest_snippet
from harness.policy.suggest import suggest
from tests.unit.policy.policies import connection

FULL = {"detect_within_s": 120, "survive_s": 20, "hz": [250]}
IDLE = {"detect_idle_within_s": 120, "survive_s": 20, "hz": [250]}


@pytest.mark.parametrize("name", sorted(suggest_snippet.writers()))
def test_what_is_written_reads_back_and_passes(name: str) -> None:
    """In every format that has words for it; the others say which settings they lack."""
    for demands in (FULL, IDLE):
        found = suggest(connection(**demands)).checked
        assert found is not None
        try:
            written = suggest_snippet.snippet(found.connection, name)
        except UsageError:
            continue
        assert written.checked is not None
        assert written.checked.connection.settings == found.connection.settings
        assert [each for each in written.checked.findings if each.level != "note"] == []


@pytest.mark.parametrize("name", ["haproxy", "libpq", "pg_service", "postgresql"])
def test_formats_with_a_user_timeout_say_all(name: str) -> None:
    """None of them refuses."""
    found = suggest(connection(**FULL)).checked
    assert found is not None
    assert suggest_snippet.snippet(found.connection, name).text


def test_nothing_is_needed_without_demands() -> None:
    """A comment says so."""
    found = suggest(connection()).checked
    assert found is not None
    assert suggest_snippet.snippet(found.connection, "setsockopt").text.startswith("# no option")
