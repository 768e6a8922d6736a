"""Redis URLs, as redis-py documents them."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from harness.errors import UsageError
from harness.policy.check import check
from harness.policy.formats.redis_url import FORMAT
from harness.policy.registry import every_rule
from harness.policy.settings import Connection, Place, Terms
from tests.unit.policy.formats.lines_of_text import only, refusal

ON, OFF = Terms(keepalive=True), Terms(keepalive=False)


def read(text: str) -> Connection:
    """The one connection of a text."""
    return only(FORMAT, text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("redis://localhost", "localhost"),
        ("redis://", "redis"),
        ("redis://:secret@localhost:6379/0", "localhost:6379/0"),
        ("rediss://user:secret@cache.example?db=2&max_connections=10", "cache.example"),
        ("redis://h?socket_keepalive=", "h"),
    ],
)
def test_keepalive_is_off_as_before_redis_py_8(text: str, name: str) -> None:
    """The version is not known. An empty value is none."""
    assert FORMAT.fits(Path("x"), text)
    found = read(text)
    assert (found.name, found.terms) == (name, OFF)
    assert found.defaults == {
        "keepalive": "redis-py's default before 8.0, on since then (socket_keepalive)"
    }
    assert "secret" not in str(found)


@pytest.mark.parametrize("value", ["0", "no", "False", "n"])
def test_keepalive_may_be_off(value: str) -> None:
    """In the words that redis-py takes."""
    found = read(f"redis://h/0?socket_keepalive={value}")
    assert (found.terms, found.defaults) == (Terms(keepalive=False), {})
    assert found.places == {"keepalive": Place("x", 1, 30)}


def test_keepalive_that_is_stated_has_the_systems_times() -> None:
    """As before redis-py 8.0; a finding says since when there are others."""
    found = read("redis://h/0?socket_keepalive=yes")
    assert found.terms == ON
    assert sorted(found.defaults) == ["count", "idle_s", "interval_s"]
    demanding = replace(found, terms=replace(found.terms, detect_idle_within_s=60))
    result = check([demanding], list(every_rule().values()))
    assert {each.rule for each in result.findings} == {"KA002", "KA015"}
    for each in result.findings:
        assert "redis-py before 8.0 sets none; 30, 5 and 3 since then" in each.message


def test_what_does_not_watch_a_connection_is_told() -> None:
    """Timeouts of the client, and its question before a command."""
    found = read("redis://h?socket_timeout=2.5&health_check_interval=30")
    assert [each.directive for each in found.notices] == ["socket_timeout", "health_check_interval"]


WRONG = {
    "redis://h?socket_keep_alive=1": "x:1:11: socket_keepalive: expected the name socket_keepalive",
    "redis://h?health_check_interval=5s": "x:1:33: health_check_interval: expected seconds",
    "redis://h:port": "x:1:1: expected a host and the number of a port",
    "redis://:secret/@h": "x:1:1: expected %40 in place of each @",
    "http://:secret@h": "x:1:1: expected a URL such as redis://",
    "": "x:1:1: expected a URL such as redis://",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_whatever_is_wrong_is_one_error_without_a_password(text: str, message: str) -> None:
    """With line and column."""
    told = refusal(FORMAT, text)
    assert told.startswith(message)
    assert "secret" not in told


@pytest.mark.parametrize("terms", [ON, OFF])
def test_what_is_written_reads_back(terms: Terms) -> None:
    """All of it."""
    assert FORMAT.write is not None
    assert read(FORMAT.write(terms)).terms == terms


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (Terms(idle_s=60, interval_s=10, count=3), "expected no idle_s, which a URL cannot state"),
        (Terms(keepalive=False, interval_s=5), "expected no interval_s, which a URL cannot"),
        (Terms(user_timeout_s=5), "found user_timeout_s"),
    ],
)
def test_what_a_url_cannot_express_is_refused(terms: Terms, message: str) -> None:
    """With what it can."""
    assert FORMAT.write is not None
    with pytest.raises(UsageError, match=message):
        FORMAT.write(terms)
